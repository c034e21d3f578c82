"""The tools of an MCP server as tools here: `mcp_tools("weather-server --units metric")`, or a URL.

Only text goes in and comes out. Nothing of the SDK is imported before a server is named.
"""

import hashlib
import json
import logging
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolformer.arguments import Argument, read_arguments
from toolformer.calls import NAME
from toolformer.errors import ConfigError, ToolError, ToolNothing
from toolformer.mcp.pins import check_pinned
from toolformer.mcp.schema import arguments_of
from toolformer.text_file import storable
from toolformer.tool import Traits
from toolformer.toolbox import one_line
from toolformer.version import DISTRIBUTION

if TYPE_CHECKING:
    from mcp.types import Tool as Offered

    from toolformer.mcp.connection import Connection

log = logging.getLogger("toolformer")
_DESCRIPTION, _REASON = 200, 300
"""Characters of what a server says about a tool, and about a failure."""


@dataclass(frozen=True)
class McpTool:
    """A tool of an MCP server."""

    name: str
    description: str
    traits: Traits
    arguments: tuple[Argument, ...]
    """What a call has to say: the whole text is one argument, and several are written as name=value."""
    called: str
    """Its name on the server."""
    connection: "Connection"

    @property
    def example(self) -> str:
        """What an input looks like."""
        return ", ".join(f"{one.name}=…" if len(self.arguments) > 1 else "…" for one in self.arguments)

    def __call__(self, text: str, /) -> str:
        """The text of the server's answer."""
        from mcp.types import TextContent

        values = read_arguments(self.arguments, storable(text))
        for name, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ToolError(f"{name} must be a finite number")
        result = self.connection.call(self.called, values)
        blocks = [block.text for block in result.content if isinstance(block, TextContent)]
        said = self.connection.public("\n".join(blocks))
        if result.is_error:
            raise ToolError(one_line(said, _REASON) or "it failed, and does not say why")
        if not said.strip():
            raise ToolNothing("the answer holds no text")
        return said


def mcp_tools(server: str, *, seconds: float = 30.0) -> list[McpTool]:
    """The tools of an MCP server, whose calls take so many `seconds` at most.

    `server` is the URL of one that runs, or a command, which is started without a shell and ends with its tools. What a
    tool's schema says decides how one text becomes its arguments; a tool that needs something else is left out, with a
    warning. The descriptions and schemas must be those of the first use.
    """
    try:
        from toolformer.mcp.connection import Connection
    except ImportError as error:
        raise ConfigError(f"mcp is not installed: pip install '{DISTRIBUTION}[mcp]'") from error
    connection = Connection(server, seconds)
    try:
        offered = connection.tools()
        pinned = {one_line(tool.name, 100): digest(tool) for tool in offered}
        if len(pinned) < len(offered):
            raise ConfigError("two of its tools have one name")
        check_pinned(server.strip(), pinned)
        return _usable(connection, offered, seconds)
    except ToolError as error:
        raise ConfigError(f"the MCP server {error}") from error
    except ConfigError as error:
        connection.close()
        raise ConfigError(connection.public(f"the MCP server {connection.shown}: {error}")) from error


def digest(tool: "Offered") -> str:
    """What a model, or its user, reads of a tool, as a hash."""
    said = [tool.name, tool.title, tool.description, tool.input_schema]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _usable(connection: "Connection", offered: "Iterable[Offered]", seconds: float) -> list[McpTool]:
    """The tools that can be called from text. Of the others is said why they cannot."""
    tools: list[McpTool] = []
    refused = []
    for one in offered:
        try:
            tools.append(_tool(connection, one, seconds))
        except ValueError as error:
            refused.append(f"{one_line(one.name, 60)}: {error}")
    if not tools:
        raise ConfigError(f"it has no tool that can be called from text ({'; '.join(refused[:5]) or 'none at all'})")
    if refused:
        told = "; ".join([*refused[:5], *([f"and {len(refused) - 5} more"] if len(refused) > 5 else [])])
        log.warning("%s: left out, since they cannot be called from text: %s", connection.shown, told)
    return tools


def _tool(connection: "Connection", offered: "Offered", seconds: float) -> McpTool:
    name = re.sub(r"[-./ ]", "_", offered.name)
    if not NAME.fullmatch(name):
        raise ValueError("its name must be a letter, then up to 63 letters, digits or underscores")
    description = one_line((offered.description or offered.title or "").strip().partition("\n")[0], _DESCRIPTION)
    return McpTool(
        name,
        description or name,
        Traits(version=digest(offered)[:12], seconds=seconds, in_process=True),
        arguments_of(offered.input_schema),
        offered.name,
        connection,
    )
