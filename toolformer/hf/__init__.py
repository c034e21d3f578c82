"""Models of transformers behind the port of `lm.py`. Importing this loads torch: do so only where a model is needed."""

from toolformer.hf.load import BUILTIN, load, load_network
from toolformer.hf.precision import Quantize

__all__ = ["BUILTIN", "Quantize", "load", "load_network"]
