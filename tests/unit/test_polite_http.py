"""When and how often a server is asked: distances, retries, and what `Retry-After` says."""

import datetime
import email.utils
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.bounds import bounded
from tests.misbehaving_server import Client, MisbehavingServer, answer, head, reset, serving
from toolformer import ToolError, ToolUnavailable
from toolformer.tools.polite_http import TRIES, fetch
from toolformer.tools.safe_http import Deadline

FINE = answer(b"fine")
TOO_MANY = "429 Too Many Requests"


def get(server: MisbehavingServer, *, seconds: float = 5.0, interval: float = 0.01) -> bytes:
    return fetch(server.url, {}, deadline=Deadline(seconds), interval=interval, private=True)


def timed(function: Callable[[], object]) -> float:
    start = time.monotonic()
    function()
    return time.monotonic() - start


@pytest.mark.parametrize("status", [TOO_MANY, "500 Internal Server Error", "502 Bad Gateway", "503 X", "504 X"])
def test_what_says_later_is_asked_again(status: str) -> None:
    with serving(answer(b"", status), answer(b"", status), FINE) as server:
        assert get(server) == b"fine"
    assert server.connections == 3


def test_a_reset_in_mid_body_is_asked_again() -> None:
    with serving(reset(head("200 OK", Content_Length="9") + b"123"), FINE) as server:
        assert get(server) == b"fine"
    assert server.connections == 2


def test_after_some_tries_it_gives_up() -> None:
    with serving(answer(b"", "503 Service Unavailable")) as server:
        with pytest.raises(ToolUnavailable, match=r"answers 503 Service Unavailable, 4 times in a row"):
            get(server)
        assert server.connections == TRIES == 4


def test_an_answer_that_is_broken_off_every_time_is_no_answer() -> None:
    with serving(reset(head("200 OK", Content_Length="9") + b"123")) as server:
        with pytest.raises(ToolUnavailable, match="broke off its answer .*, 4 times in a row"):
            get(server)
        assert server.connections == TRIES


def test_each_pause_is_twice_the_last() -> None:
    with serving(answer(b"", "503 X"), answer(b"", "503 X"), FINE) as server:
        assert 0.6 <= timed(lambda: get(server, interval=0.1)) < 3  # 0.2 + 0.4


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found", "204 No Content", "799 Odd"])
def test_what_says_no_is_asked_once(status: str) -> None:
    with serving(answer(b"", status)) as server:
        with pytest.raises(ToolError, match=status[:3]) as caught:
            get(server)
        assert type(caught.value) is ToolError  # the same would be said later
        assert server.connections == 1


def test_a_redirect_is_refused_and_its_target_named() -> None:
    with serving(FINE) as inner, serving(answer(b"", "301 Moved Permanently", Location=inner.url)) as outer:
        with pytest.raises(ToolError, match=f"redirect to '{re.escape(inner.url)}' is not followed"):
            get(outer)
        assert (outer.connections, inner.connections) == (1, 0)


def http_date(seconds: float) -> str:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return email.utils.format_datetime(then, usegmt=True)


def test_retry_after_in_seconds_is_waited_for() -> None:
    with serving(answer(b"", TOO_MANY, Retry_After="1"), FINE) as server:
        assert 1.0 <= timed(lambda: get(server)) < 3


def test_retry_after_as_a_date_is_waited_for() -> None:
    with serving(answer(b"", TOO_MANY, Retry_After=http_date(2)), FINE) as server:
        assert 0.9 <= timed(lambda: get(server)) < 3


@pytest.mark.parametrize("date", ["Sun, 06 Nov 1994 08:49:37 GMT", "0", "soon", "-5", "1e9", "Sun, 99 Nov", "\xb2", ""])
def test_a_retry_after_that_is_past_or_no_time_at_all_is_not(date: str) -> None:
    with serving(answer(b"", TOO_MANY, Retry_After=date), FINE) as server:
        assert timed(lambda: get(server)) < 3


@pytest.mark.parametrize("late", [lambda: "120", lambda: http_date(120), lambda: "9" * 9000])
def test_a_retry_after_beyond_the_deadline_fails_at_once_and_says_when(late: Callable[[], str]) -> None:
    with serving(answer(b"", TOO_MANY, Retry_After=late()), FINE) as server:
        with (
            bounded(4, 2),
            pytest.raises(ToolUnavailable, match=r"429 Too Many Requests; .* in \d+ s, at \d\d:\d\d:\d\d UTC"),
        ):
            get(server)
        # It holds for whoever asks next, too: the server is left in peace.
        with bounded(4, 2), pytest.raises(ToolUnavailable, match=r"may be asked again in \d+ s"):
            get(server)
        assert server.connections == 1


def test_requests_of_all_threads_keep_their_distance() -> None:
    arrivals = []

    def note(client: Client) -> None:
        arrivals.append(time.monotonic())
        FINE(client)

    with serving(note) as server:
        threads = [threading.Thread(target=get, args=(server,), kwargs={"interval": 0.15}) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # Less than five times 0.15: on a busy machine the first may take longer than the others to arrive.
    assert len(arrivals) == 6
    assert max(arrivals) - min(arrivals) > 0.4


def test_waiting_for_ones_turn_is_not_the_calls_time() -> None:
    """Eight threads, a second each, and turns that come 0.25 s apart: the last waits for 1.75 s."""
    with serving(FINE) as server, ThreadPoolExecutor(8) as pool:
        took = timed(lambda: [*pool.map(lambda _: get(server, seconds=1, interval=0.25), range(8))])
        assert server.connections == 8
    assert took > 1.5


def test_a_rest_that_the_server_asks_for_meanwhile_is_the_calls_time() -> None:
    with serving(FINE, answer(b"", TOO_MANY, Retry_After="60")) as server, ThreadPoolExecutor(3) as pool:
        get(server, interval=0.3)
        calls = [pool.submit(get, server, seconds=3, interval=0.3) for _ in range(3)]
        for call in calls:
            with bounded(4, 2), pytest.raises(ToolUnavailable, match=r"again in \d+ s, at .* UTC"):
                call.result()
        assert server.connections == 2


def test_turns_are_kept_apart_behind_a_rest_as_well() -> None:
    arrivals = []

    def note(client: Client) -> None:
        arrivals.append(time.monotonic())
        (answer(b"", TOO_MANY, Retry_After="1") if len(arrivals) == 1 else FINE)(client)

    with serving(note) as server, ThreadPoolExecutor(4) as pool:
        [*pool.map(lambda _: get(server, interval=0.2), range(4))]
    assert len(arrivals) == 5
    assert arrivals[1] - arrivals[0] > 0.9
    assert arrivals[4] - arrivals[1] > 0.45


def test_hosts_do_not_wait_for_each_other() -> None:
    with serving(FINE) as one, serving(FINE) as other:
        get(one, interval=5)
        assert timed(lambda: get(other, interval=5)) < 2
