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
from toolformer.version import __version__ as __version__

if TYPE_CHECKING:
    from toolformer.catalog import default_tools
    from toolformer.chat import Chat, Turn
    from toolformer.decode.events import Answered, Called, Ended, Event, Opened, Text, Undone
    from toolformer.decode.options import Options
    from toolformer.expert import Expert
    from toolformer.generation import Generation, MadeCall
    from toolformer.hf import load
    from toolformer.model import Toolformer
    from toolformer.other_tools import from_langchain, from_smolagents
    from toolformer.reflection import Draft, Reflection, Review
    from toolformer.research import Note, Research

__all__ = [
    "Answered",
    "Call",
    "CallFormatError",
    "CallSyntax",
    "Called",
    "Chat",
    "ConfigError",
    "DataError",
    "DocumentFacts",
    "Draft",
    "Ended",
    "Event",
    "Expert",
    "Found",
    "FunctionTool",
    "Generation",
    "MadeCall",
    "Note",
    "Opened",
    "Options",
    "Reflection",
    "Research",
    "ResultMemory",
    "Review",
    "ServerError",
    "Text",
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
    "Turn",
    "Undone",
    "default_tools",
    "from_langchain",
    "from_smolagents",
    "load",
    "tool",
]


_AT_FIRST_USE = {
    **dict.fromkeys(("Answered", "Called", "Ended", "Event", "Opened", "Text", "Undone"), "toolformer.decode.events"),
    **dict.fromkeys(("Chat", "Turn"), "toolformer.chat"),
    **dict.fromkeys(("Generation", "MadeCall"), "toolformer.generation"),
    **dict.fromkeys(("from_langchain", "from_smolagents"), "toolformer.other_tools"),
    **dict.fromkeys(("Note", "Research"), "toolformer.research"),
    **dict.fromkeys(("Draft", "Reflection", "Review"), "toolformer.reflection"),
    "Expert": "toolformer.expert",
    "Options": "toolformer.decode.options",
    "Toolformer": "toolformer.model",
    "default_tools": "toolformer.catalog",
    "load": "toolformer.hf",
}
"""Names whose modules need torch, or are of use only with those that do."""


def __getattr__(name: str) -> object:
    """Import what needs torch at its first use."""
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_AT_FIRST_USE[name]), name)
