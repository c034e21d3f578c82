"""How the built-in model, its corpus and its facts are made: see the README beside this file."""

from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "toolformer" / "builtin"
"""Where what is made is shipped from."""
