"""Teach a language model to use tools from plain text alone, after Schick et al. 2023 (arXiv 2302.04761).

Importing this loads nothing heavy: torch and transformers come with the first model.
"""

from typing import TYPE_CHECKING

from toolformer.calls import Call, CallSyntax, Found
from toolformer.errors import (
    CallFormatError,
    ConfigError,
    DataError,
    ServerError,
    ToolError,
    ToolformerError,
    ToolTimeout,
)
from toolformer.tool import DocumentFacts, FunctionTool, Tool, Traits, tool
from toolformer.toolbox import ResultMemory, Toolbox

if TYPE_CHECKING:
    from toolformer.hf import load

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
    "ResultMemory",
    "ServerError",
    "Tool",
    "ToolError",
    "ToolTimeout",
    "Toolbox",
    "ToolformerError",
    "Traits",
    "load",
    "tool",
]


def __getattr__(name: str) -> object:
    """Import what needs torch at its first use."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from toolformer.hf import load

    return load
