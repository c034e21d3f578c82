"""Models of transformers behind the port of `lm.py`. Importing this loads torch: do so only where a model is needed."""

from toolformer.hf.load import fetch, load, load_merged, load_network
from toolformer.hf.source import BUILTIN
from toolformer.loading import Quantize

__all__ = ["BUILTIN", "Quantize", "fetch", "load", "load_merged", "load_network"]
