"""Asking a server: what is sent, and what every kind of bad server costs."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from typing import Any

import pytest

from tests.bounds import bounded
from tests.misbehaving_server import Behaviour, answer, serving
from tests.sampling_server import BAD, asked, failing, said, speaking
from toolformer import ConfigError, ServerError
from toolformer.data_gen.samplers.server import By, Server
from toolformer.data_gen.samplers.server_client import Client, Reply
from toolformer.remote import asking as module
from toolformer.remote.asking import KEY

QUESTION = {"prompt": "Hello"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.delenv(KEY, raising=False)


def ask(url: str, *, by: By = "completions", count: int = 1, seconds: float = 8.0) -> list[Reply]:
    with Client(Server(url, "m", by=by, seconds=seconds)) as client:
        return client.ask([QUESTION] * count)


def test_what_is_asked_and_answered() -> None:
    with serving(said(" 4 </s>é")) as server:
        assert ask(server.url) == [Reply(" 4 </s>é")]
    (request,) = server.requests
    assert request.startswith("POST /api.php/completions HTTP/1.1\r\n")
    assert asked(request) == {"model": "m", "prompt": "Hello"}
    assert "uthorization" not in request


def test_a_chat() -> None:
    with serving(said(None), said("cut", "length")) as server:
        assert ask(server.url, by="chat") == [Reply("")]
        assert ask(server.url, by="chat") == [Reply("cut", cut=True)]
    assert server.requests[0].startswith("POST /api.php/chat/completions ")


def test_the_key_is_sent_and_said_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "sk-very-secret\n")
    said_back = failing("401 No", "wrong key: sk-very-secret")
    with serving(said_back) as server, pytest.raises(ServerError, match="wants another key .401 .*: …") as caught:
        ask(server.url)
    assert "Authorization: Bearer sk-very-secret\r\n" in server.requests[0]
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Server(server.url, "m"))
    monkeypatch.setenv(KEY, "sk\nsecret")
    with pytest.raises(ConfigError, match="characters that no key has"):
        Client(Server("http://localhost:1", "m"))


@pytest.mark.parametrize(("behaviour", "_"), BAD.values(), ids=BAD)
def test_it_asks_again_a_server_that_once(behaviour: Behaviour, _: str) -> None:
    with serving(behaviour, said("ok")) as server:
        assert ask(server.url, seconds=0.4) == [Reply("ok")]
    assert server.connections == 2


@pytest.mark.parametrize(("behaviour", "problem"), BAD.values(), ids=BAD)
def test_it_gives_up_in_bounded_time_on_a_server_that_always(behaviour: Behaviour, problem: str) -> None:
    with serving(behaviour) as server, bounded(5 * 0.4 + 4, 12), pytest.raises(ServerError) as caught:
        ask(server.url, seconds=0.4)
    assert str(caught.value).startswith(f"{server.url} {problem}")
    assert str(caught.value).endswith(
        "5 times in a row. What was written is kept: when it answers again, run the same to go on"
    )
    assert len(str(caught.value).splitlines()) == 1
    assert server.connections == 5


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (
            failing("403 No", "not you"),
            "wants another key .403 Forbidden: not you.: put the right one into .OPENAI_API",
        ),
        (failing("404 No", "no model m"), "is not there .404 Not Found: no model m.*name, m, or ask it by chat"),
        (answer(b"", "405 No"), "or ask it by chat"),
        (answer(b"", "302 Found", Location="http://10.0.0.1/"), "answers 302 Found"),
        (answer(b'{"detail": "\\u001b[31mRed\\n\\nlines"}', "410 Gone"), r"answers 410 Gone: \[31mRed lines$"),
    ],
)
def test_what_no_waiting_mends_is_said_at_once(behaviour: Behaviour, reason: str) -> None:
    with serving(behaviour) as server, pytest.raises(ServerError, match=reason):
        ask(server.url)
    assert server.connections == 1


def test_a_request_that_is_refused_is_one_reply_and_a_first_one_ends_it() -> None:
    with serving(failing("400 No", "the prompt is too long")) as server:
        assert ask(server.url) == [Reply("", refusal="400 Bad Request: the prompt is too long")]
        with Client(Server(server.url, "m")) as client, pytest.raises(ServerError, match="refuses to be asked: 400"):
            client.check()


@pytest.mark.parametrize(("by", "asks"), [("completions", "prompt"), ("chat", "messages")])
def test_the_first_question_is_like_all_others_but_short(by: By, asks: str) -> None:
    with serving(said("ok")) as server, Client(Server(server.url, "m", by=by)) as client:
        client.check()
    assert asked(server.requests[0]).keys() == {"model", asks, "max_tokens", "temperature", "top_p", "seed"}


def test_where_nobody_listens_it_does_not_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServerError, match="cannot be reached .*is it running"):
        ask(url)


def test_a_server_that_goes_away_is_waited_for_and_then_given_up() -> None:
    with serving(said("ok")) as server, Client(Server(server.url, "m")) as client:
        client.ask([QUESTION])
        server.close()
        with pytest.raises(ServerError, match="cannot be reached any more .*5 times in a row"):
            client.ask([QUESTION] * 20)


def test_what_the_server_asks_to_wait_holds_for_all() -> None:
    times: list[float] = []

    def note(body: dict[str, Any]) -> str:
        times.append(time.monotonic())
        return "ok"

    with serving(failing("429 Slow", Retry_After="1"), speaking(note)) as server:
        begun = time.monotonic()
        with Client(Server(server.url, "m", parallel=1)) as client:
            assert client.ask([QUESTION] * 3) == [Reply("ok")] * 3
    assert all(at - begun >= 0.9 for at in times)


def test_no_more_requests_at_a_time_than_were_allowed() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def count(body: dict[str, Any]) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return str(body["number"])

    with serving(speaking(count)) as server, Client(Server(server.url, "m", parallel=3)) as client:
        replies = client.ask([{"number": n} for n in range(20)])
    assert [reply.text for reply in replies] == [str(n) for n in range(20)]
    assert most == 3


def test_ctrl_c_does_not_wait_for_answers() -> None:
    with serving(BAD["says nothing"][0]) as server, Client(Server(server.url, "m")) as client, bounded(2, 2):
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            client.ask([QUESTION] * 50)


def test_it_works_where_a_loop_is_running_already() -> None:
    async def notebook(url: str) -> list[Reply]:
        return ask(url)

    with serving(said("ok")) as server:
        assert asyncio.run(notebook(server.url)) == [Reply("ok")]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/completions"),
        ("http://localhost:8000/", "http://localhost:8000/v1/completions"),
        ("https://example.org/v1/", "https://example.org/v1/completions"),
        ("https://example.org/llm/api", "https://example.org/llm/api/completions"),
    ],
)
def test_addresses(url: str, endpoint: str) -> None:
    assert Server(url, "m").endpoint == endpoint


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "localhost:8000"}, "'localhost:8000' is no server .it is neither http nor https.: give a URL such as"),
        ({"url": "http://host:port/v1"}, "is no server .*port"),
        ({"url": "http://host:99999/v1"}, "is no server .*Port out of range"),
        ({"url": "http://host:0/v1"}, "is no server .there is no port 0"),
        ({"url": "http://[::1/v1"}, "is no server"),
        ({"url": "http://[zz]/v1"}, "is no server"),
        ({"url": "http://xn--zzzzzzzz99999/v1"}, "is no server"),
        ({"url": "http://\u200b/v1"}, "is no server"),
        ({"url": "http://a..b/v1"}, "is no server"),
        ({"url": f"http://{'a' * 300}/v1"}, "is no server"),
        ({"url": "http://:80/v1"}, "is no server .it has no host"),
        ({"url": "http:///v1"}, "is no server .it has no host"),
        ({"url": "http://me:secret@host/v1"}, "put the server's key into .OPENAI_API_KEY"),
        ({"url": "http://host/v1?key=secret"}, "is no server"),
        ({"model": " "}, "Name one as its model"),
        ({"by": "mail"}, "completions or chat"),
        ({"parallel": 0}, "more than 0"),
        ({"seconds": float("nan")}, "more than 0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Server(**{"url": "http://host", "model": "m", **settings})


def test_half_a_surrogate_pair_in_a_text_is_no_matter() -> None:
    with serving(said("ok")) as server, Client(Server(server.url, "m")) as client:
        assert client.ask([{"prompt": "a\ud800é"}]) == [Reply("ok")]
    assert asked(server.requests[0])["prompt"] == "a\ud800é"


def test_half_a_surrogate_pair_in_a_reply_is_no_matter() -> None:
    with serving(answer(b'{"choices": [{"text": "a\\ud800"}]}')) as server:
        (reply,) = ask(server.url)
    json.dumps(reply.text).encode()
    assert reply.text == "a?"


def test_a_sample_of_megabytes_is_cut_where_no_answer_could_go_on() -> None:
    with serving(said("x" * 1_500_000)) as server, Client(Server(server.url, "m")) as client:
        (reply,) = client.ask([{"prompt": "Hello", "max_tokens": 48}])
    assert reply.cut
    assert len(reply.text) == 48 * 64
