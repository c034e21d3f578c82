"""Asking a server politely: `fetch` gives one document, or raises ToolError, within a deadline.

Requests of all threads to one host keep a distance, and each waits for its turn, which is nobody's fault and is not the
call's time. What the server cannot do now is asked for again, later each time; if it says when (`Retry-After`), that
holds for every thread, and no call waits for it longer than its deadline. A server that goes on saying "later" is
ToolUnavailable. What keeps one request safe is in safe_http.py.
"""

import datetime
import email.utils
import threading
import time
from collections.abc import Mapping
from http.client import responses
from urllib.parse import urlsplit

from toolformer.errors import ToolError, ToolUnavailable
from toolformer.tools.safe_http import BrokenOffError, Deadline, request

TRIES = 4
"""How often one document is asked for at most."""

LONGEST_HOLD = 3600.0
"""A longer `Retry-After` counts as this many seconds: one wrong header does not silence a host for good."""

LATER = {429, 500, 502, 503, 504}
"""The statuses that say "ask again", not "no"."""


def fetch(url: str, headers: Mapping[str, str], *, deadline: Deadline, interval: float, private: bool = False) -> bytes:
    """The document at a URL, with `interval` seconds at least between any two requests to its host.

    `private` is for a host that the operator has named: only that may be at a private or a loopback address.
    """
    host = urlsplit(url).netloc
    pace = _PACES.setdefault(host, _Pace(host))
    problem = ""
    for attempt in range(TRIES):
        pace.wait(interval, deadline)
        pause: float | None = None
        try:
            reply = request(url, headers, deadline, private=private)
        except BrokenOffError as error:
            problem = f"{host} broke off its answer ({error})"
        else:
            if reply.status == 200:
                return reply.body
            problem = f"{host} answers {reply.status} {responses.get(reply.status, '')}".strip()
            if "location" in reply.headers:
                problem += f"; its redirect to {reply.headers['location'][:100]!r} is not followed"
            if reply.status not in LATER:
                raise ToolError(problem)
            pause = seconds_to_wait(reply.headers.get("retry-after", ""))
        if pause is None:
            pause = interval * 2 ** (attempt + 1)
        pace.hold(pause)
        if pause >= deadline.left():
            raise ToolUnavailable(f"{problem}; it may be asked again {_when(pause)}")
    raise ToolUnavailable(f"{problem}, {TRIES} times in a row")


class _Pace:
    """Keeps the requests of all threads to one host apart: turns are given in the order in which they are asked for."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._free = 0.0  # on the monotonic clock, as the next
        self._held = 0.0

    def wait(self, interval: float, deadline: Deadline) -> None:
        """Return when it is this thread's turn; ToolUnavailable if the server wants a longer rest than the call has."""
        while True:
            self._rest(deadline)
            with self._lock:
                turn = max(self._free, time.monotonic())
                self._free = turn + interval
            with deadline.stopped():
                time.sleep(max(0.0, turn - time.monotonic()))
            if self._held <= time.monotonic():
                return
            # Meanwhile the server has asked for a rest: this turn is lost, the next one comes behind it.

    def _rest(self, deadline: Deadline) -> None:
        """Wait as long as the server has asked for."""
        while (rest := self._held - time.monotonic()) > 0:
            if rest >= deadline.left():
                problem = f"{self._host} may be asked again {_when(rest)}, which is too late for this call"
                raise ToolUnavailable(problem)
            time.sleep(rest)

    def hold(self, seconds: float) -> None:
        """Nobody's turn comes before this many seconds have passed."""
        with self._lock:
            self._held = max(self._held, time.monotonic() + seconds)


_PACES: dict[str, _Pace] = {}


def seconds_to_wait(retry_after: str) -> float | None:
    """What `Retry-After` asks for, seconds or a date (one in the past gives less than 0); None if it is neither."""
    value = retry_after.strip()[:40]
    if value.isascii() and value.isdigit():
        return min(float(value), LONGEST_HOLD)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    left = date.replace(tzinfo=date.tzinfo or datetime.UTC) - datetime.datetime.now(datetime.UTC)
    return min(left.total_seconds(), LONGEST_HOLD)


def _when(seconds: float) -> str:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return f"in {seconds:.0f} s, at {then:%H:%M:%S} UTC"
