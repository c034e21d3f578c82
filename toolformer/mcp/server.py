"""Our tools as an MCP server, over standard input and output or over HTTP, for clients of both eras of the protocol.

A call that fails is a result that says so. Nothing is kept between requests.
"""

import socket
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, BinaryIO, cast

import anyio
import anyio.to_thread
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from mcp.types import Tool as Offered

from toolformer.arguments import Argument, write_arguments
from toolformer.errors import ToolError
from toolformer.mcp.schema import schema_of
from toolformer.tool import FunctionTool, Tool
from toolformer.toolbox import Toolbox
from toolformer.version import __version__

MAX_BYTES = 262_144
"""Bytes of a request at most."""
_AT_ONCE = 8
"""Calls that run at a time; others wait."""
_TEXT = (Argument("input", str, needed=False),)
"""What a tool takes that says nothing else: one text."""


def mcp_server(toolbox: Toolbox) -> Server[Any]:
    """The tools as a server of the SDK, which may be run in any of its ways."""
    running = anyio.CapacityLimiter(_AT_ONCE)

    async def listed(_: object, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_offered(tool) for tool in toolbox])

    async def called(_: object, asked: CallToolRequestParams) -> CallToolResult:
        if asked.name not in toolbox:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {asked.name[:100]!r}")
        try:
            text = write_arguments(_arguments(toolbox[asked.name]), asked.arguments or {})
            run = partial(toolbox.run, asked.name, text)
            said = await anyio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=running)
        except ToolError as error:
            why = str(error).removeprefix(f"{asked.name}: ")
            return CallToolResult(content=[TextContent(text=why)], is_error=True)
        return CallToolResult(content=[TextContent(text=said)])

    return Server("toolformer", version=__version__, on_list_tools=listed, on_call_tool=called)


def _offered(tool: Tool) -> Offered:
    return Offered(name=tool.name, description=tool.description, input_schema=schema_of(_arguments(tool)))


def _arguments(tool: Tool) -> tuple[Argument, ...]:
    return tool.arguments if isinstance(tool, FunctionTool) else _TEXT


async def serve_stdio(server: Server[Any]) -> None:
    """Serve the client that has started this process, until it closes our standard input."""
    lines = cast("anyio.AsyncFile[str]", _Lines(sys.stdin.buffer))
    async with stdio_server(lines) as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def serve_http(server: Server[Any], listening: socket.socket) -> None:
    """Serve at /mcp, until SIGTERM or Ctrl-C. Only requests for this machine's own names are answered."""
    app = server.streamable_http_app(json_response=True, stateless_http=True, max_request_body_size=MAX_BYTES)
    # h11 refuses a head of more than 64 KB; httptools keeps one of any size.
    config = uvicorn.Config(app, http="h11", log_level="error", lifespan="on", timeout_graceful_shutdown=5)
    await uvicorn.Server(config).serve(sockets=[listening])


class _Lines:
    """Lines of a stream, none of which takes more than MAX_BYTES of memory. A longer one is read as an empty one."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[str]:
        while line := await anyio.to_thread.run_sync(self._line, abandon_on_cancel=True):
            yield line

    def _line(self) -> str:
        line = self._stream.readline(MAX_BYTES)
        if len(line) < MAX_BYTES or line.endswith(b"\n"):
            return line.decode("utf-8", "replace")
        while line and not line.endswith(b"\n"):
            line = self._stream.readline(MAX_BYTES)
        return "\n"
