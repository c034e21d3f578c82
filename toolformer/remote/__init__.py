"""Servers of other people's models: how they are asked, and one that stands behind the port of `lm.py`."""
