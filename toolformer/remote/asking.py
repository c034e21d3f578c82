"""A server asked patiently: some requests at a time, each with a deadline and several tries.

What comes back is bounded and must be JSON that its question can read; what does not get better by waiting is one
ServerError. The key, where the server wants one, is read from $OPENAI_API_KEY and is in no setting, message or file.
"""

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import responses
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

from toolformer.errors import ConfigError, ServerError
from toolformer.tools.safe_http import address

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("toolformer")

Answer = TypeVar("Answer", covariant=True)

KEY = "OPENAI_API_KEY"
"""The variable that holds the key of a server that wants one."""
TRIES = 5
"""How often one thing is asked at most."""
PAUSE = 1.0
"""Seconds before the second try; twice as many before each further one, or what the server says (`Retry-After`)."""
MAX_BYTES = 4 << 20
"""A longer reply is refused."""

_LATER = {408, 425, 429, 500, 502, 503, 504, 529}
"""The statuses that say "ask again"."""
_THIS_ONE = {400, 413, 422}
"""The statuses that may be about one request only: a prompt that is too long, say."""


@dataclass(frozen=True)
class Question(Generic[Answer]):
    """One request, and how its reply is read."""

    url: str
    body: Mapping[str, object] | None
    """What is posted as JSON; without it, the URL is only fetched."""
    read: Callable[[Any], Answer]
    """The answer in a reply's JSON. It raises ValueError, LookupError, TypeError or AttributeError for any other."""
    what: str
    """What a reply should be."""
    missing: str = "look at the URL"
    """What to do if there is no such address."""


@dataclass(frozen=True)
class Refused:
    """The server would not answer this one request."""

    why: str


def base_of(url: str) -> str:
    """The address of a server as the `openai` client takes it, with /v1; where there is no path, /v1 is meant."""
    try:
        parts = urlsplit(url)
        address(url)
        if parts.query or parts.fragment:
            raise ValueError("a query or a fragment has no place there")
    except ValueError as error:
        raise ConfigError(
            f"{url[:100]!r} is no server ({error}): give a URL such as http://localhost:8000/v1"
        ) from None
    if parts.username is not None:
        raise ConfigError(f"the URL of {parts.hostname} holds a password: put the server's key into ${KEY} instead")
    base = url.rstrip("/")
    return base if urlsplit(base).path else f"{base}/v1"


class Asker:
    """A connection to a server. Use it in a `with` statement. Whatever waits in it ends with Ctrl-C at once."""

    def __init__(self, url: str, *, parallel: int, seconds: float, then: str = "") -> None:
        """At most `parallel` requests at a time, and `seconds` for each; `then` is what to do when it is given up."""
        import httpx

        self.url = url
        self._seconds, self._then = seconds, then
        self._key = _key()
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self._key}"} if self._key else {}
        )
        limits = httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel)
        # Not its own timeouts: they are for each read, which a slow drip of bytes always keeps.
        self._http = httpx.AsyncClient(headers=headers, limits=limits, timeout=None)  # noqa: S113 - see _ask
        self._slots = asyncio.Semaphore(parallel)
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

    def ask(self, questions: Sequence[Question[Answer]]) -> list[Answer | Refused]:
        """An answer to each question; ServerError ends them all."""
        answers = asyncio.run_coroutine_threadsafe(self._ask_all(questions), self._loop)
        try:
            return answers.result()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            answers.cancel()

    def need(self, question: Question[Answer]) -> Answer:
        """The answer to one question without which nothing goes on."""
        (answer,) = self.ask([question])
        if isinstance(answer, Refused):
            raise ServerError(f"{self.url} refuses to be asked: {answer.why}")
        return answer

    async def _ask_all(self, questions: Sequence[Question[Answer]]) -> list[Answer | Refused]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(one)) for one in questions]
        return [task.result() for task in tasks]

    async def _ask(self, question: Question[Answer]) -> Answer | Refused:
        async with self._slots:
            for attempt in range(1, TRIES + 1):
                while (wait := self._free_at - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                try:
                    async with asyncio.timeout(self._seconds):
                        reply = await self._send(question)
                    self._met = True
                    return reply
                except TimeoutError:
                    later = _Later(f"gives no answer within {self._seconds:g} s")
                except _Later as said:
                    later = said
                if attempt < TRIES:
                    await self._rest(later, PAUSE * 2 ** (attempt - 1))
        then = f". {self._then}" if self._then else ""
        raise ServerError(f"{self.url} {self._public(str(later))}, {TRIES} times in a row{then}")

    async def _rest(self, later: "_Later", pause: float) -> None:
        """Wait before the next try; what the server asks for holds for every request."""
        if later.pause is not None:
            pause = max(0.0, later.pause)
            self._free_at = max(self._free_at, time.monotonic() + pause)
        if pause >= 10:
            log.warning("%s %s; it is asked again in %.0f s", self.url, self._public(str(later)), pause)
        await asyncio.sleep(pause)

    async def _send(self, question: Question[Answer]) -> Answer | Refused:
        """One request. Raises _Later for what may get better."""
        import httpx

        content = bytearray()
        # As ASCII: half a surrogate pair in a text could not be sent otherwise.
        how, sent = ("GET", None) if question.body is None else ("POST", json.dumps(question.body))
        try:
            async with self._http.stream(how, question.url, content=sent) as response:
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > MAX_BYTES:
                        raise _Later(f"sends more than {MAX_BYTES:,} bytes for one request")
        except httpx.ConnectError as error:
            if not self._met:
                raise ServerError(
                    f"{self.url} cannot be reached ({error}): is it running, and is the address right?"
                ) from error
            raise _Later(f"cannot be reached any more ({error})") from error
        except httpx.TransportError as error:
            raise _Later(f"broke off its answer ({type(error).__name__}: {error})") from error
        if response.status_code == 200:
            return _read(bytes(content), question)
        return self._failure(response, _message(bytes(content)), question)

    def _failure(self, response: "httpx.Response", message: str, question: Question[Answer]) -> Refused:
        """What an answer that is none means: raises, unless it may be about this request only."""
        status = response.status_code
        said = self._public(f"{status} {responses.get(status, '')}".strip() + (f": {message}" if message else ""))
        if status in _LATER:
            from toolformer.tools.polite_http import seconds_to_wait

            raise _Later(f"answers {said}", seconds_to_wait(response.headers.get("retry-after", "")))
        if status in _THIS_ONE:
            return Refused(said)
        if status in (401, 403):
            raise ServerError(f"{self.url} wants another key ({said}): put the right one into ${KEY}")
        if status in (404, 405):
            raise ServerError(f"{question.url} is not there ({said}): {question.missing}")
        raise ServerError(f"{question.url} answers {said}")

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


def _read(content: bytes, question: Question[Answer]) -> Answer:
    try:
        return question.read(json.loads(content))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise _Later(f"sends no {question.what} but something that begins {_shown(content[:60])!r}") from None


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
