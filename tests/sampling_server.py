"""What a server for language models answers, well and badly, for tests: behaviours of `misbehaving_server`."""

import json
from collections.abc import Callable
from typing import Any

from tests.misbehaving_server import Behaviour, Client, answer, head, repeat, reset, send


def asked(request: str) -> dict[str, Any]:
    """The JSON that a request brought."""
    body: dict[str, Any] = json.loads(request.partition("\r\n\r\n")[2].encode("latin-1"))
    return body


def said(text: object, finish: str = "stop", **more: object) -> Behaviour:
    """A completion and a chat in one, so that it fits whoever asked."""
    choice = {"text": text, "message": {"role": "assistant", "content": text}, "finish_reason": finish, **more}
    return answer(json.dumps({"choices": [choice]}).encode(), Connection="close")


def speaking(says: Callable[[dict[str, Any]], str]) -> Behaviour:
    """Says what the function makes of what it is asked."""

    def behave(client: Client) -> None:
        said(says(asked(client.request)))(client)

    return behave


def failing(status: str, message: str = "", **headers: str) -> Behaviour:
    """A failure that says why, as OpenAI's do."""
    return answer(json.dumps({"error": {"message": message}}).encode(), status, Connection="close", **headers)


BAD: dict[str, tuple[Behaviour, str]] = {
    "fails": (failing("500 Oops", "out of memory"), "answers 500 Internal Server Error: out of memory"),
    "is overloaded": (failing("429 Slow down", "slow", Retry_After="0"), "answers 429 Too Many Requests: slow"),
    "is overloaded and mute": (answer(b"", "503 No", Connection="close"), "answers 503 Service Unavailable"),
    "says nothing": (repeat(b"", b"", 0.05), "gives no answer within 0.4 s"),
    "drips its headers": (repeat(b"HTTP/1.1 200 OK\r\nX-Long: ", b"y", 0.02), "gives no answer within 0.4 s"),
    "drips its body": (repeat(head("200 OK", Content_Length="99999"), b" ", 0.02), "gives no answer within 0.4 s"),
    "breaks off": (send(head("200 OK", Content_Length="100") + b'{"choices": [{'), "broke off its answer"),
    "hangs up": (reset(head("200 OK", Content_Length="100") + b"{"), "broke off its answer"),
    "is no HTTP": (send(b"220 mail ESMTP\r\n"), "broke off its answer"),
    "sends garbage": (answer(b"\x00<html>", Connection="close"), "sends no completions but something that begins"),
    "sends deep JSON": (answer(b"[" * 100_000, Connection="close"), "sends no completions"),
    "sends other JSON": (answer(b'{"choices": []}', Connection="close"), "sends no completions"),
    "sends a number": (said(7), "sends no completions"),
    "sends without end": (repeat(head("200 OK"), b"x" * 65536), "sends more than 4,194,304 bytes for one request"),
}
"""Servers that do everything wrong, and what is said of them after the last try."""
