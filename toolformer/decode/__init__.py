"""The runtime decoder: a model writes, and calls tools as it does. See `decoder.py`; what comes out is `events.py`."""
