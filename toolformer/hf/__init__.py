"""Models of transformers behind the port of `lm.py`. Importing this loads torch: do so only where a model is needed."""

from toolformer.hf.load import BUILTIN, Quantize, load, load_network

__all__ = ["BUILTIN", "Quantize", "load", "load_network"]
