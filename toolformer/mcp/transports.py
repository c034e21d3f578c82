"""Bytes to and from a server that nobody has checked: a process that we start, or an address.

The SDK's own transports would hold a line or an answer of any length. These end the connection instead.
"""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import anyio
import httpx2
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.client.stdio import get_default_environment
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from toolformer.errors import ConfigError

MAX_BYTES = 4 << 20
"""Bytes from a server between two requests, or in one answer over HTTP, at most."""
_VARIABLE = "TOOLFORMER_MCP_TOKEN_"
"""Before a host's name in capitals, with `_` for what is neither letter nor digit: the variable with its token."""
_PATIENCE = 1.0
"""Seconds in which a process may end by itself when its input is closed."""

Received: TypeAlias = SessionMessage | Exception


class LastWords:
    """The end of what a process wrote to standard error, for the message about its failure."""

    def __init__(self) -> None:
        self.text = ""

    async def keep(self, stream: ByteReceiveStream) -> None:
        """Read to the end of the stream."""
        async for chunk in stream:
            self.text = (self.text + chunk.decode("utf-8", "replace"))[-1000:]


@asynccontextmanager
async def over_stdio(command: Sequence[str], last_words: LastWords) -> AsyncIterator[TransportStreams]:
    """Start a process, in a group of its own, and talk to it through its standard input and output.

    It gets a few variables of the environment, such as PATH and HOME, and so none of our keys. In the end it is killed
    with what it has started, except what has deliberately left the group.
    """
    process = await anyio.open_process(
        command, stderr=subprocess.PIPE, env=get_default_environment(), start_new_session=True
    )
    incoming, read = anyio.create_memory_object_stream[Received](0)
    write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    pipe = _Pipe(process)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(pipe.receive, incoming)
            group.start_soon(pipe.send, outgoing, incoming)
            assert process.stderr is not None
            group.start_soon(last_words.keep, process.stderr)
            try:
                yield read, write
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(process)
                group.cancel_scope.cancel()
    finally:
        for stream in (incoming, read, write, outgoing):
            stream.close()


class _Pipe:
    """JSON, one message a line, through a process's standard input and output."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self._unasked = 0

    async def receive(self, incoming: MemoryObjectSendStream[Received]) -> None:
        """Read messages until the process closes its output, or floods it."""
        line = b""
        async with incoming:
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                async for chunk in self._output:
                    self._unasked += len(chunk)
                    if self._unasked > MAX_BYTES:
                        return
                    *lines, line = (line + chunk).split(b"\n")
                    for one in lines:
                        await incoming.send(_message(one))

    async def send(
        self, outgoing: MemoryObjectReceiveStream[SessionMessage], incoming: MemoryObjectSendStream[Received]
    ) -> None:
        """Write messages until the process closes its input."""
        try:
            async for message in outgoing:
                self._unasked = 0
                line = message.message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
                await self._input.send(line.encode())
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            incoming.close()  # so that nobody waits for an answer


def _message(line: bytes) -> Received:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _end(process: Process) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await process.stdin.aclose()
    with anyio.move_on_after(_PATIENCE):
        while process.returncode is None:  # its children may hold its pipes, for which process.wait() would wait
            await anyio.sleep(0.01)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left of it; macOS says the latter
        os.killpg(process.pid, signal.SIGKILL)
    await process.aclose()


def token_of(url: str) -> str:
    """The token for a server, from the variable that has its host's name; empty if there is none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    variable = _VARIABLE + re.sub("[^A-Z0-9]", "_", host.upper())
    token = os.environ.get(variable, "").strip()
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(f"${variable} holds characters that no token has: set it anew")
    if token and parts.scheme != "https" and host not in ("localhost", "127.0.0.1", "::1"):
        raise ConfigError(f"the token in ${variable} could be read on its way to {host}: ask for it by https")
    return token


@asynccontextmanager
async def over_http(url: str, token: str = "") -> AsyncIterator[TransportStreams]:
    """Talk to an address that the user has named. Redirects to other servers are not followed, proxies not used."""
    asked = httpx2.AsyncClient(
        transport=_Bounded(trust_env=False),
        trust_env=False,
        timeout=httpx2.Timeout(30.0, read=300.0),  # an answer may be a stream that is open for long
        headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {}),
    )
    async with asked as client, streamable_http_client(url, http_client=client) as streams:
        yield streams


class _Bounded(httpx2.AsyncHTTPTransport):
    """Takes no answer that is too long, or compressed, which could be any length."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the answer is compressed, which was not asked for")
        return response


class _Counted(httpx2.AsyncByteStream):
    """An answer of which no more than MAX_BYTES are read."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._stream:
            received += len(chunk)
            if received > MAX_BYTES:
                raise httpx2.RemoteProtocolError(f"the answer has more than {MAX_BYTES:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
