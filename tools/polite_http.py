"""Asking a server politely: `fetch` gives one document, or raises ToolError, within a deadline.

Requests of all threads to one host keep a distance. What the server cannot do now is asked for again, later each time;
if it says when (`Retry-After`), that holds for every thread, and no call waits longer than its deadline. What keeps one
request safe is in safe_http.py.
"""

import datetime
import email.utils
import threading
import time
from collections.abc import Mapping
from http.client import responses
from urllib.parse import urlsplit

from toolformer.errors import ToolError
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
            raise ToolError(f"{problem}; it may be asked again {_when(pause)}")
    raise ToolError(f"{problem}, {TRIES} times in a row")


class _Pace:
    """Keeps the requests of all threads to one host apart."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._free = 0.0  # on the monotonic clock

    def wait(self, interval: float, deadline: Deadline) -> None:
        """Return when it is this thread's turn; ToolError if that is after the deadline."""
        while True:
            with self._lock:
                now = time.monotonic()
                pause = self._free - now
                if pause <= 0:
                    self._free = now + interval
                    return
            if pause >= deadline.left():
                raise ToolError(f"{self._host} may be asked again {_when(pause)}, which is too late for this call")
            time.sleep(pause)

    def hold(self, seconds: float) -> None:
        """Nobody's turn comes before this many seconds have passed."""
        with self._lock:
            self._free = max(self._free, time.monotonic() + seconds)


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
