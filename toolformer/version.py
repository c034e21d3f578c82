"""Which release this is, and what pip calls it."""

DISTRIBUTION = "toolformer-kit"
"""On PyPI, toolformer is another project."""

__version__ = "0.1.0"
