"""What every request passes before anything reads it: the name that it asks for, the key, the size of its body, the
time in which it comes."""

import asyncio
import hmac
import json
import re
from collections.abc import Callable, Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolformer.serve.completions import failure
from toolformer.serve.limits import Limits
from toolformer.serve.pages import PAGES

_OPEN = {*PAGES, "/health"}
"""What needs no key."""
_KIND = "invalid_request_error"


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        key: str | None,
        hosts: Collection[str],
        answered: Callable[[str, int], None],
    ) -> None:
        """`hosts` are the names that the server may be asked by, all if there are none. `answered` is told the path and
        the status of every answer."""
        self._app, self._limits, self._answered = app, limits, answered
        self._key = key.encode() if key else None
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered(scope["path"], message["status"])
                message["headers"] = [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]
            await send(message)

        if not self._named(scope):
            await refuse(noted, 421, f"this server is asked by the name {' or '.join(self._hosts)} alone")
            return
        if not self._allowed(scope):
            head = {"www-authenticate": "Bearer"}
            await refuse(noted, 401, "this server needs its key: Authorization: Bearer KEY", "invalid_api_key", head)
            return
        try:
            body = await asyncio.wait_for(self._body(receive), self._limits.seconds)
        except TimeoutError:
            await refuse(noted, 408, f"the body did not come within {self._limits.seconds:g} seconds")
            return
        if body is None:
            await refuse(noted, 413, f"a body may have {self._limits.body_bytes:,} bytes: send less")
            return
        read = False

        async def replay() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, noted)

    def _named(self, scope: Scope) -> bool:
        """A page of another site may give this machine a name of its own; the browser then takes us for that site."""
        name = _header(scope, b"host").decode("latin-1").rpartition("@")[2]
        return not self._hosts or re.sub(r":[0-9]*$", "", name) in self._hosts

    def _allowed(self, scope: Scope) -> bool:
        if self._key is None or scope["path"] in _OPEN:
            return True
        given = _header(scope, b"authorization")
        return hmac.compare_digest(given, b"Bearer " + self._key)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, or None if it is too large. Nothing beyond the limit is kept."""
        body: bytes = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._limits.body_bytes:
                return None
            if not message.get("more_body"):
                return body


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((bytes(value) for name, value in scope["headers"] if name == wanted), b"")


async def refuse(
    send: Send, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
) -> None:
    """Send an error object."""
    body = json.dumps({"error": failure(message, _KIND, code=code)}).encode()
    head = {"content-type": "application/json", "content-length": str(len(body))} | (headers or {})
    raw = [(name.encode(), value.encode()) for name, value in head.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
