"""One MCP server: connected to when it is first asked, and again after it has failed.

Whatever the server does, a question ends within its time, with an answer or an error of ours.
"""

import asyncio
import contextlib
import shlex
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from itertools import takewhile
from typing import Any, TypeAlias, TypeVar

from mcp.client import Client
from mcp.client._transport import TransportStreams
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ListToolsRequest,
    ListToolsResult,
    PaginatedRequestParams,
    Request,
    Tool,
)
from pydantic import BaseModel

from toolformer.errors import ConfigError, ToolBroken, ToolError, ToolTimeout, ToolUnavailable
from toolformer.mcp.transports import LastWords, over_http, over_stdio, token_of
from toolformer.toolbox import one_line
from toolformer.tools.safe_http import address

STARTUP_SECONDS = 60.0
"""How long a server may take to start and to say what it offers: it may have to be installed first."""
_LEAVING = 2.0
"""Seconds that the end of this process waits for that of a server."""
_MOST_TOOLS = 500
_REASON = 300
"""Characters of what a server says about a failure."""

Result = TypeVar("Result", bound=BaseModel)
_Transport: TypeAlias = Callable[[LastWords], AbstractAsyncContextManager[TransportStreams]]


class Connection:
    """A server by its command or URL. Safe to use from several threads."""

    def __init__(self, server: str, seconds: float) -> None:
        """A call may take so many `seconds`."""
        self.shown, self._transport, self._token = _read(server)
        self._seconds = seconds
        self._lock = threading.Lock()
        self._session: _Session | None = None
        self._unused: weakref.finalize[..., Connection] | None = None
        self._offered: list[Tool] | None = None

    def tools(self) -> list[Tool]:
        """What the server offers."""
        self._connected()
        return self._offered or []

    def call(self, name: str, arguments: dict[str, object]) -> CallToolResult:
        """What a tool of the server answers, or a ToolError."""
        session = self._connected()
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments))
        try:
            return session.ask(request, CallToolResult, self._seconds)
        except TimeoutError:
            self._drop(session)
            raise ToolTimeout(f"no answer within {self._seconds:g} s") from None
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                self._drop(session)
                raise ToolUnavailable(f"the connection to {self.shown} ended{session.last_words()}") from error
            # Of HTTP's statuses, the SDK makes this error.
            kind = ToolUnavailable if error.code == INTERNAL_ERROR else ToolError
            raise kind(self.public(_reason(error))) from error
        except Exception as error:  # it is anyone's server, and the SDK has no one error for what is no answer
            self._drop(session)
            raise ToolBroken(f"{self.shown} sent what is no answer ({self.public(_reason(error))})") from error

    def public(self, text: str) -> str:
        """What the server said, without the token, which some say back."""
        return text.replace(self._token, "…") if self._token else text

    def close(self) -> None:
        """End the connection, and with it a server that was started. The next call connects again."""
        with self._lock:
            if self._session is not None:
                self._end(self._session)

    def _connected(self) -> "_Session":
        with self._lock:
            if self._session is None:
                session = _Session(self._transport)
                try:
                    offered = session.offered(STARTUP_SECONDS)
                except BaseException as error:
                    session.close()
                    if not isinstance(error, Exception):
                        raise
                    raise ToolUnavailable(
                        f"{self.shown} cannot be used: {self.public(_reason(error))}{session.last_words()}"
                    ) from error
                if self._offered not in (None, offered):
                    session.close()
                    raise ToolBroken(f"{self.shown} has started again with other tools than before")
                self._session, self._offered = session, offered
                self._unused = weakref.finalize(self, session.close, _LEAVING)
            return self._session

    def _drop(self, session: "_Session") -> None:
        with self._lock:
            if self._session is session:  # and no other thread has done so
                self._end(session)

    def _end(self, session: "_Session") -> None:
        session.close()
        self._session = None
        if self._unused is not None:
            self._unused.detach()


class _Session:
    """The SDK's client, in a thread of its own with an event loop, from the handshake to the end."""

    def __init__(self, transport: _Transport) -> None:
        self._words = LastWords()
        self._transport = transport
        self._loop = asyncio.new_event_loop()
        self._began: Future[tuple[Client, list[Tool]]] = Future()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="mcp", daemon=True)
        self._thread.start()

    def offered(self, seconds: float) -> list[Tool]:
        """What the server offers, when it has said so."""
        return self._began.result(seconds)[1]

    def ask(self, request: Request[Any, Any], kind: type[Result], seconds: float) -> Result:
        """The answer to a request. There are many errors that this may raise."""
        client, _ = self._began.result(0)
        answer = asyncio.run_coroutine_threadsafe(client.session.send_request(request, kind), self._loop)
        try:
            return answer.result(seconds)
        finally:
            answer.cancel()

    def last_words(self) -> str:
        """What the server said last on standard error, to be put behind a message."""
        said = one_line(self._words.text.strip().rpartition("\n")[2], _REASON)
        return f": {said}" if said else ""

    def close(self, wait: float = 0.0) -> None:
        """End it, and wait so long for its end."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended by itself
            self._loop.call_soon_threadsafe(self._cancel)
        if wait and threading.current_thread() is not self._thread:
            self._thread.join(wait)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, contextlib.suppress(asyncio.CancelledError):
            runner.run(self._live())

    async def _live(self) -> None:
        self._task = asyncio.current_task()
        try:
            # Without a cache: a list that it answers twice would not be the server's.
            async with Client(self._transport(self._words), cache=None) as client:
                self._began.set_result((client, await _offered(client)))
                await asyncio.Event().wait()
        except Exception as error:  # noqa: BLE001 - who waits for the server is told, whatever the SDK raises about it
            if not self._began.done():
                self._began.set_exception(error)


async def _offered(client: Client) -> list[Tool]:
    """All tools of a server. It may tell them page by page."""
    tools: list[Tool] = []
    cursor = None
    while True:  # for as long as a server may take to start
        page = await client.session.send_request(
            ListToolsRequest(params=PaginatedRequestParams(cursor=cursor)), ListToolsResult
        )
        tools += page.tools
        if len(tools) > _MOST_TOOLS:
            raise ValueError(f"it has more than {_MOST_TOOLS} tools")
        cursor = page.next_cursor
        if cursor is None:
            return tools


def _read(server: str) -> tuple[str, _Transport, str]:
    """A command or a URL, as it may be shown, how to connect to it, and with which token, if any.

    What is shown goes into messages and logs, and so ends where a password may stand: before the first flag.
    """
    if server.startswith(("http://", "https://")):
        try:
            url = address(server)
        except ValueError as error:
            raise ConfigError(f"{server[:100]!r} is no address of a server: {error}") from None
        token = token_of(server)
        return f"{url.scheme}://{url.netloc.decode()}{url.path}", lambda _: over_http(server, token), token
    try:
        words = shlex.split(server)
    except ValueError as error:
        raise ConfigError(f"{server[:100]!r} is no command: {error}") from None
    if not words or "\0" in server:
        raise ConfigError(f"{server[:100]!r} is neither a command nor a URL of an MCP server")
    program = takewhile(lambda word: not word.startswith("-"), (word for word in words if "=" not in word))
    shown = one_line(" ".join(program), 100)
    return shown, lambda last_words: over_stdio(words, last_words), ""


def _reason(error: BaseException) -> str:
    """What went wrong, out of the groups that tasks wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it did not start in time"
    return one_line(f"{error}", _REASON) or type(error).__name__
