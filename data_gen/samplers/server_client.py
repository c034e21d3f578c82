"""A server asked patiently: some requests at a time, each with a deadline and several tries.

One request asks for one sample, since servers ignore or refuse everything beyond that. What comes back is checked and
bounded; what does not get better by waiting is one ServerError. The key, where the server wants one, is read from
$OPENAI_API_KEY and is in no setting, message or file. A seed is sent with every request; whether the same seed gives
the same sample is up to the server.
"""

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import responses
from types import TracebackType
from typing import TYPE_CHECKING, Self

from toolformer.data_gen.samplers.server import KEY, By, Server
from toolformer.errors import ConfigError, ServerError

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("toolformer")

TRIES = 5
"""How often one thing is asked at most."""
PAUSE = 1.0
"""Seconds before the second try; twice as many before each further one, or what the server says (`Retry-After`)."""
_LONGEST_TOKEN = 64
"""Characters for each token that was asked for: more, and the server does not heed how many those are."""
MAX_BYTES = 4 << 20
"""A longer reply is refused."""

_HELLO: Mapping[By, Mapping[str, object]] = {
    "completions": {"prompt": "Hello"},
    "chat": {"messages": [{"role": "user", "content": "Hello"}]},
}
_LATER = {408, 425, 429, 500, 502, 503, 504, 529}
"""The statuses that say "ask again"."""
_THIS_ONE = {400, 413, 422}
"""The statuses that may be about one request only: a prompt that is too long, say."""


@dataclass(frozen=True)
class Reply:
    """What the model behind the server wrote."""

    text: str
    cut: bool = False
    """Whether it ran into its limit."""
    refusal: str | None = None
    """Why the server would not answer this one request, if so; then there is no text."""


class Client:
    """A connection to a server. Use it in a `with` statement. Whatever waits in it ends with Ctrl-C at once."""

    def __init__(self, server: Server) -> None:
        import httpx

        self.server = server
        self._key = _key()
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self._key}"} if self._key else {}
        )
        limits = httpx.Limits(max_connections=server.parallel, max_keepalive_connections=server.parallel)
        # Not its own timeouts: they are for each read, which a slow drip of bytes always keeps.
        self._http = httpx.AsyncClient(headers=headers, limits=limits, timeout=None)  # noqa: S113 - see _ask
        self._slots = asyncio.Semaphore(server.parallel)
        self._free_at = 0.0
        self._met = False
        # A loop in a thread of its own: the caller may have one already, as notebooks do.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="server")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        """Give up what still waits, and hang up."""
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await self._http.aclose()

    def check(self) -> None:
        """Ask for one word before hours are spent: ServerError if even that cannot be answered."""
        (reply,) = self.ask([{**_HELLO[self.server.by], "max_tokens": 1, "temperature": 1.0, "top_p": 1.0, "seed": 0}])
        if reply.refusal is not None:
            raise ServerError(f"{self.server.url} refuses to be asked: {reply.refusal}")

    def ask(self, questions: Sequence[Mapping[str, object]]) -> list[Reply]:
        """A reply to each question, which is the body of a request without the model; ServerError ends them all."""
        answers = asyncio.run_coroutine_threadsafe(self._ask_all(questions), self._loop)
        try:
            return answers.result()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            answers.cancel()

    async def _ask_all(self, questions: Sequence[Mapping[str, object]]) -> list[Reply]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask({"model": self.server.model, **one})) for one in questions]
        return [task.result() for task in tasks]

    async def _ask(self, body: Mapping[str, object]) -> Reply:
        async with self._slots:
            for attempt in range(1, TRIES + 1):
                while (wait := self._free_at - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                try:
                    async with asyncio.timeout(self.server.seconds):
                        reply = await self._post(body)
                    self._met = True
                    return reply
                except TimeoutError:
                    later = _Later(f"gives no answer within {self.server.seconds:g} s")
                except _Later as said:
                    later = said
                if attempt < TRIES:
                    await self._rest(later, PAUSE * 2 ** (attempt - 1))
        raise ServerError(
            f"{self.server.url} {self._public(str(later))}, {TRIES} times in a row. What was written is kept: when it "
            "answers again, run the same to go on"
        )

    async def _rest(self, later: "_Later", pause: float) -> None:
        """Wait before the next try; what the server asks for holds for every request."""
        if later.pause is not None:
            pause = max(0.0, later.pause)
            self._free_at = max(self._free_at, time.monotonic() + pause)
        if pause >= 10:
            log.warning("%s %s; it is asked again in %.0f s", self.server.url, self._public(str(later)), pause)
        await asyncio.sleep(pause)

    async def _post(self, body: Mapping[str, object]) -> Reply:
        """One request. Raises _Later for what may get better."""
        import httpx

        content = bytearray()
        try:
            # As ASCII: half a surrogate pair in a text could not be sent otherwise.
            sent = json.dumps(body)
            async with self._http.stream("POST", self.server.endpoint, content=sent) as response:
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > MAX_BYTES:
                        raise _Later(f"sends more than {MAX_BYTES:,} bytes for one sample")
        except httpx.ConnectError as error:
            if not self._met:
                raise ServerError(
                    f"{self.server.url} cannot be reached ({error}): is it running, and is the address right?"
                ) from error
            raise _Later(f"cannot be reached any more ({error})") from error
        except httpx.TransportError as error:
            raise _Later(f"broke off its answer ({type(error).__name__}: {error})") from error
        if response.status_code == 200:
            return _read(bytes(content), self.server.by, _most_characters(body))
        return self._failure(response, _message(bytes(content)))

    def _failure(self, response: "httpx.Response", message: str) -> Reply:
        """What an answer that is none means: raises, unless it may be about this request only."""
        status = response.status_code
        said = self._public(f"{status} {responses.get(status, '')}".strip() + (f": {message}" if message else ""))
        if status in _LATER:
            from toolformer.tools.polite_http import seconds_to_wait

            raise _Later(f"answers {said}", seconds_to_wait(response.headers.get("retry-after", "")))
        if status in _THIS_ONE:
            return Reply("", refusal=said)
        if status in (401, 403):
            raise ServerError(f"{self.server.url} wants another key ({said}): put the right one into ${KEY}")
        if status in (404, 405):
            other = "chat" if self.server.by == "completions" else "completions"
            raise ServerError(
                f"{self.server.endpoint} is not there, or not with {self.server.model} ({said}): look at the model's "
                f"name and the URL, or ask it by {other}"
            )
        raise ServerError(f"{self.server.endpoint} answers {said}")

    def _public(self, text: str) -> str:
        """A message without the key, which some servers say back."""
        return text.replace(self._key, "…") if self._key else text


class _Later(Exception):
    """What may get better by asking again, and after how many seconds, if the server says."""

    def __init__(self, problem: str, pause: float | None = None) -> None:
        super().__init__(problem)
        self.pause = pause


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"${KEY} holds characters that no key has: set it anew")
    return key


def _most_characters(body: Mapping[str, object]) -> int:
    """How many the tokens that were asked for can have."""
    tokens = body.get("max_tokens")
    return _LONGEST_TOKEN * tokens if isinstance(tokens, int) else MAX_BYTES


def _read(content: bytes, by: By, most: int) -> Reply:
    """The text of a reply, each part of it of the type it must have. What is behind `most` characters is cut off."""
    try:
        choice = json.loads(content)["choices"][0]
        text = choice["text"] if by == "completions" else choice["message"]["content"] or ""
        if isinstance(text, str):
            cut = choice.get("finish_reason") == "length" or len(text) > most
            return Reply(text[:most].encode("utf-8", "replace").decode(), cut=cut)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        pass
    raise _Later(f"sends no {by} but something that begins {_shown(content[:60])!r}")


def _message(content: bytes) -> str:
    """What a failure says of itself, in one line."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return _shown(content)
    while isinstance(body, dict):
        body = next((body[name] for name in ("error", "message", "detail") if name in body), str(body))
    return _shown(str(body).encode("utf-8", "replace"))


def _shown(content: bytes) -> str:
    line = " ".join(content[:800].decode("utf-8", "replace").split())
    return "".join(character for character in line if character.isprintable())[:200]
