"""Teach a language model to use tools from plain text alone, after Schick et al. 2023 (arXiv 2302.04761).

Importing this loads nothing heavy: torch and transformers come with the first model.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from toolformer.calls import Call, CallSyntax, Found
from toolformer.errors import (
    CallFormatError,
    ConfigError,
    DataError,
    ServerError,
    ToolBroken,
    ToolError,
    ToolformerError,
    ToolNothing,
    ToolTimeout,
    ToolUnavailable,
)
from toolformer.tool import DocumentFacts, FunctionTool, Tool, Traits, tool
from toolformer.toolbox import ResultMemory, Toolbox

if TYPE_CHECKING:
    from toolformer.decode.options import Options
    from toolformer.hf import load
    from toolformer.model import Generation, Toolformer

__version__ = "0.1.0"

__all__ = [
    "Call",
    "CallFormatError",
    "CallSyntax",
    "ConfigError",
    "DataError",
    "DocumentFacts",
    "Found",
    "FunctionTool",
    "Generation",
    "Options",
    "ResultMemory",
    "ServerError",
    "Tool",
    "ToolBroken",
    "ToolError",
    "ToolNothing",
    "ToolTimeout",
    "ToolUnavailable",
    "Toolbox",
    "Toolformer",
    "ToolformerError",
    "Traits",
    "default_tools",
    "load",
    "tool",
]


_AT_FIRST_USE = {
    "Generation": "toolformer.model",
    "Options": "toolformer.decode.options",
    "Toolformer": "toolformer.model",
    "load": "toolformer.hf",
}
"""Names whose modules need torch, or are of use only with those that do."""


def __getattr__(name: str) -> object:
    """Import what needs torch at its first use."""
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_AT_FIRST_USE[name]), name)


def default_tools() -> list[Tool]:
    """The tools of the package that need neither a network nor a model: what a Toolformer has if none are given."""
    from toolformer.catalog import default_tools

    return default_tools()
