"""The server, asked by OpenAI's own client and by hand."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.fakes import ScriptedLM, script
from tests.serving import ARROW, CLOSE, OPEN, SUM, Told, adds, client, inside, post, says, served, until
from toolformer.commands.listening import listen
from toolformer.decode.options import Options
from toolformer.errors import ConfigError, ToolError
from toolformer.model import Toolformer
from toolformer.serve.app import application
from toolformer.serve.limits import Limits

PROMPT = "2 + 2 is "
CALL = {"tool": "Sum", "input": "2 + 2", "result": "4", "rank": 0, "start": 0, "uses": []}
BEFORE = CALL | {"probability": 0.9, "seconds": 0.2}
CHAT = [{"role": "user", "content": PROMPT}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(says(SUM)) as url:
        yield url


def told(calls: Any) -> list[dict[str, Any]]:
    """The calls, less their probability and time."""
    return [{name: one[name] for name in CALL} for one in calls["calls"]]


def test_the_models(url: str) -> None:
    (model,) = client(url).models.list().data
    assert (model.id, model.owned_by) == ("m", "toolformer")
    assert client(url).models.retrieve("m") == model
    with pytest.raises(openai.NotFoundError, match="this server has 'm'") as error:
        client(url).completions.create(model="gpt", prompt="x")
    assert error.value.code == "model_not_found"


def test_a_completion(url: str) -> None:
    made = client(url).completions.create(model="m", prompt=PROMPT)
    assert (made.object, made.choices[0].text, made.choices[0].finish_reason) == (
        "text_completion",
        "4, so it is.",
        "stop",
    )
    assert "toolformer" not in made.choices[0].model_extra
    assert made.usage
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (9, 12)


def test_calls_are_told_when_asked_for(url: str) -> None:
    made = client(url).completions.create(model="m", prompt=PROMPT, extra_body={"toolformer": True})
    assert told(made.choices[0].toolformer) == [CALL]
    chat = client(url).chat.completions.create(model="m", messages=CHAT, extra_body={"toolformer": True})
    assert chat.choices[0].message.content == "4, so it is."
    assert told(chat.choices[0].message.toolformer) == [CALL]


def test_a_call_says_how_long_its_tool_took() -> None:
    def slow(text: str) -> str:
        time.sleep(0.3)
        return adds(text)

    with served(says(SUM, tools=[Told(slow)])) as url:
        made = client(url).completions.create(model="m", prompt=PROMPT, extra_body={"toolformer": True})
        chunks = client(url).chat.completions.create(
            model="m", messages=CHAT, stream=True, extra_body={"toolformer": True}
        )
        (told,) = [one.choices[0].delta for one in chunks if "toolformer" in one.choices[0].delta.model_extra]
    for calls in (made.choices[0].toolformer, told.toolformer):
        assert 0.2 <= calls["calls"][0]["seconds"] < 5


def test_a_streamed_completion_says_the_same(url: str) -> None:
    chunks = list(client(url).completions.create(model="m", prompt=[PROMPT, "x"], n=2, stream=True))
    by_choice: dict[int, str] = dict.fromkeys(range(4), "")
    for chunk in chunks:
        by_choice[chunk.choices[0].index] += chunk.choices[0].text
    assert list(by_choice.values()) == ["4, so it is."] * 2 + [""] * 2
    assert [chunk.choices[0].finish_reason for chunk in chunks].count("stop") == 4


def test_a_streamed_chat(url: str) -> None:
    stream = client(url).chat.completions.create(
        model="m",
        messages=CHAT,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"toolformer": True},
    )
    *chunks, last = stream
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "4, so it is."
    (calls,) = [delta.toolformer for delta in deltas if "toolformer" in delta.model_extra]
    assert told(calls) == [CALL]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.usage.total_tokens == 21
    assert last.choices == []


def test_what_a_call_that_was_undone_held_is_never_seen() -> None:
    def fails(text: str) -> str:
        raise ToolError("no")

    def follows(said: str) -> Mapping[str, float]:
        return {OPEN: 0.5, "b": 0.4} if said == "a" else script(f"a{OPEN} Sum(1){ARROW}", "ab.")(said)

    model = ScriptedLM(follows=follows)
    with served(Toolformer(model, [Told(fails)])) as url:
        chunks = client(url).chat.completions.create(
            model="m", messages=[{"role": "user", "content": "a"}], stream=True, extra_body={"toolformer": True}
        )
        deltas = [chunk.choices[0].delta for chunk in chunks]
        assert "".join(delta.content or "" for delta in deltas) == "b."
        assert not [delta for delta in deltas if "toolformer" in delta.model_extra]
        assert 'outcome="undone"' in httpx.get(f"{url}/metrics").text


@pytest.mark.parametrize(
    ("given", "text", "finish"),
    [
        ({"max_tokens": 2}, "4,", "length"),
        ({"stop": "so"}, "4, ", "stop"),
        ({"stop": ["is", ", so"]}, "4", "stop"),
    ],
)
def test_parameters_reach_the_decoder(url: str, given: dict[str, Any], text: str, finish: str) -> None:
    choice = client(url).completions.create(model="m", prompt=PROMPT, **given).choices[0]
    assert (choice.text, choice.finish_reason) == (text, finish)


@pytest.mark.parametrize("given", [{"k": 0}, {"calls": 0}])
def test_calls_are_disabled_for_one_request(url: str, given: dict[str, Any]) -> None:
    made = client(url).completions.create(
        model="m", prompt=PROMPT, max_tokens=3, extra_body=given | {"toolformer": True}
    )
    assert made.choices[0].toolformer == {"calls": []}


def test_a_seed_repeats_a_sample_and_choices_differ() -> None:
    app = application(Toolformer.from_pretrained("builtin-tools"), "m", Options(max_new_tokens=12))
    body = {"model": "m", "prompt": "The", "temperature": 2, "n": 4, "seed": 7}
    one, two, other = post(app, "/v1/completions", body, body, body | {"seed": 8})
    texts = [[choice["text"] for choice in answer.json()["choices"]] for answer in (one, two, other)]
    assert texts[0] == texts[1] != texts[2]
    assert len(set(texts[0])) > 1


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"frobnicate": 1}, "frobnicate"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    ],
)
def test_what_would_change_the_answer_is_refused(url: str, given: dict[str, Any], param: str) -> None:
    answer = httpx.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": CHAT} | given)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert param.split(".")[0] in error["message"]


def test_what_changes_nothing_is_accepted(url: str) -> None:
    answer = client(url).chat.completions.create(
        model="m",
        messages=CHAT,
        user="u",
        store=True,
        logit_bias={},
        frequency_penalty=0,
        tools=[],
        response_format={"type": "text"},
        metadata={"a": "b"},
    )
    assert answer.choices[0].message.content == "4, so it is."


@pytest.mark.parametrize("roles", ["assistant", "user user", "user system user", "user assistant", "system"])
def test_a_conversation_goes_by_turns(url: str, roles: str) -> None:
    messages: Any = [{"role": role, "content": "x"} for role in roles.split()]
    with pytest.raises(openai.BadRequestError, match="speak by turns"):
        client(url).chat.completions.create(model="m", messages=messages)


def test_later_turns_read_the_calls_of_earlier_ones() -> None:
    whole = f"be brief\n{PROMPT}{OPEN} Sum(2 + 2){ARROW} 4{CLOSE}4.\nand?yes"
    messages: list[Any] = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
        {"role": "assistant", "content": "4.", "refusal": None, "toolformer": {"calls": [BEFORE]}},
        {"role": "user", "content": "and?"},
    ]
    forged = [*messages[:2], messages[2] | {"toolformer": {"calls": [CALL | {"tool": "No"}]}}, messages[3]]
    right, wrong = post(
        application(says(whole), "m"),
        "/v1/chat/completions",
        {"model": "m", "messages": messages},
        {"model": "m", "messages": forged},
    )
    assert right.json()["choices"][0]["message"]["content"] == "yes"
    assert wrong.status_code == 400
    assert "no tool 'No'" in wrong.json()["error"]["message"]


def test_a_slow_tool_holds_nobody_up_and_requests_join_between_two_tokens() -> None:
    asked, go = threading.Event(), threading.Event()

    def slow(text: str) -> str:
        asked.set()
        assert go.wait(20)
        return adds(text)

    with served(says(SUM, "fast is fast.", tools=[Told(slow)])) as url:
        answers: list[str] = []
        thread = threading.Thread(
            target=lambda: answers.append(client(url).completions.create(model="m", prompt=PROMPT).choices[0].text)
        )
        thread.start()
        assert asked.wait(20)
        assert client(url).completions.create(model="m", prompt="fast is ").choices[0].text == "fast."
        assert not answers
        go.set()
        thread.join()
        assert answers == ["4, so it is."]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_its_text(stream: bool) -> None:
    asked, go = threading.Event(), threading.Event()

    def slow(text: str) -> str:
        asked.set()
        assert go.wait(20)
        return "4"

    with served(says(SUM, tools=[Told(slow)])) as url:

        def running() -> bool:
            return "toolformer_texts_running 1" in httpx.get(f"{url}/metrics").text

        body = {"model": "m", "prompt": PROMPT, "stream": stream}
        with httpx.Client(timeout=0.5) as one, pytest.raises(httpx.ReadTimeout):
            one.post(f"{url}/v1/completions", json=body)
        assert asked.is_set()
        until(lambda: not running())
        go.set()
        assert client(url).completions.create(model="m", prompt="x").choices[0].finish_reason == "stop"


def test_too_many_are_told_to_come_again() -> None:
    go = threading.Event()

    def slow(text: str) -> str:
        assert go.wait(20)
        return "4"

    async def ask() -> list[httpx.Response]:
        app = application(says(SUM, tools=[Told(slow)]), "m", Options(batch=1), Limits(queue=1))
        async with inside(app) as one:
            body = {"model": "m", "prompt": PROMPT}
            first = [asyncio.create_task(one.post("/v1/completions", json=body)) for _ in range(2)]
            await asyncio.sleep(0.2)
            refused = await one.post("/v1/completions", json=body)
            go.set()
            return [*(await asyncio.gather(*first)), refused]

    one, two, refused = asyncio.run(ask())
    assert (one.status_code, two.status_code, refused.status_code) == (200, 200, 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_when_the_time_is_up_a_text_ends_where_it_is() -> None:
    def slow(text: str) -> str:
        time.sleep(1)
        return "4"

    started = time.monotonic()
    app = application(says(f"a b{OPEN} Sum(1){ARROW} 4{CLOSE}4", tools=[Told(slow)]), "m", limits=Limits(seconds=0.3))
    (answer,) = post(app, "/v1/completions", {"model": "m", "prompt": "a "})
    assert time.monotonic() - started < 0.9
    choice = answer.json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("b", "length")


@pytest.mark.parametrize(
    ("body", "status", "what"),
    [
        ({"prompt": "x" * 3000}, 413, "2,000 bytes"),
        ({"prompt": "x" * 60}, 400, "50 tokens"),
        ({"prompt": "x", "max_tokens": 41}, 400, "40 tokens"),
        ({"prompt": ["x"] * 33}, 400, "32 texts"),
        ({"prompt": []}, 400, "32 texts"),
        ({"prompt": "x", "n": 17}, 400, "n: "),
        ({"prompt": [1, 2, 3]}, 400, "prompt"),
        ({"prompt": "x", "stop": ["y"] * 5}, 400, "at most 4"),
        ({"prompt": "x", "stop": ""}, 400, "empty stop"),
    ],
)
def test_limits(body: dict[str, Any], status: int, what: str) -> None:
    limits = Limits(body_bytes=2_000, prompt_tokens=50, answer_tokens=40)
    app = application(says(), "m", Options(max_new_tokens=8), limits)
    (answer,) = post(app, "/v1/completions", {"model": "m"} | body)
    assert answer.status_code == status
    assert what in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b'{"model":', None, "a JSON object"),
        (b"[]", None, "a JSON object"),
        (b"", None, "a JSON object"),
        (b'{"model": "m", "prompt": ["x", 1]}', "prompt.1", "a valid string"),
        (b'{"model": "m", "prompt": {}}', "prompt", "a valid string"),
        (b'{"model": "m", "prompt": "x", "a[b]": 1}', None, "a parameter is not supported"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_in_the_senders_words(body: bytes, param: str | None, said: str) -> None:
    async def ask() -> httpx.Response:
        async with inside(application(says(SUM), "m")) as one:
            return await one.post("/v1/completions", content=body, headers={"content-type": "application/json"})

    error = asyncio.run(ask()).json()["error"]
    assert error["param"] == param
    assert said in error["message"]


def test_a_key() -> None:
    app = application(says(SUM), "m", key="secret-key")

    async def ask() -> list[int]:
        async with inside(app) as one:
            heads = [{}, {"authorization": "Bearer secret-kez"}, {"authorization": "Bearer secret-key"}]
            tried = [(await one.get("/v1/models", headers=head)).status_code for head in heads]
            return [*tried, *[(await one.get(path)).status_code for path in ("/health", "/", "/metrics")]]

    assert asyncio.run(ask()) == [401, 401, 200, 200, 200, 401]


def test_a_site_that_gives_this_machine_a_name_of_its_own_learns_nothing() -> None:
    app = application(says(SUM), "m", hosts=("localhost", "[::1]"))

    async def ask() -> list[int]:
        async with inside(app) as one:
            names = ["localhost", "localhost:8000", "[::1]:8000", "a.example", "localhost.a.example", "a.example:80"]
            return [(await one.get("/v1/models", headers={"host": name})).status_code for name in names]

    assert asyncio.run(ask()) == [200, 200, 200, 421, 421, 421]


@pytest.mark.parametrize(("origins", "allowed"), [((), None), (("https://a.example",), "https://a.example")])
def test_pages_of_others_may_ask_only_if_they_are_named(origins: tuple[str, ...], allowed: str | None) -> None:
    (answer,) = post(
        application(says(SUM), "m", origins=origins),
        "/v1/completions",
        {"model": "m", "prompt": PROMPT},
        headers={"origin": "https://a.example"},
    )
    assert answer.headers.get("access-control-allow-origin") == allowed


def test_metrics_and_health(url: str) -> None:
    client(url).completions.create(model="m", prompt=PROMPT)
    httpx.get(f"{url}/nothing/here")
    text = httpx.get(f"{url}/metrics").text
    assert 'toolformer_requests_total{path="other",status="404"}' in text
    assert 'toolformer_calls_total{tool="Sum",outcome="answered"}' in text
    assert "toolformer_texts_running 0" in text
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}


def test_when_decoding_breaks_everybody_is_told() -> None:
    toolformer = says(SUM)

    def broken(said: str) -> dict[str, float]:
        raise MemoryError

    async def ask() -> tuple[int, int, int]:
        async with inside(application(toolformer, "m")) as one:
            body = {"model": "m", "prompt": PROMPT}
            toolformer.model.follows = broken  # type: ignore[attr-defined]
            first = await one.post("/v1/completions", json=body)
            second = await one.post("/v1/completions", json=body)
            return first.status_code, second.status_code, (await one.get("/health")).status_code

    hook, threading.excepthook = threading.excepthook, lambda _: time.sleep(1)
    try:
        assert asyncio.run(ask()) == (503, 503, 503)
    finally:
        threading.excepthook = hook


VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.5, 1e308, 10**400, 2**63, "", "x", "\ud800", "\0", "<API>", [], {}, [[]]),
    *([None], ["x", 1], {"a": {}}, [{"role": "user", "content": "x"}], [{"role": "user"}], {"include_usage": 1}),
    *([{"role": "assistant", "content": "a", "toolformer": {"calls": [{"tool": "Sum", "start": -1}]}}], float("nan")),
]
NAMES = [
    *("model", "prompt", "messages", "input", "temperature", "top_p", "n", "stop", "seed", "stream", "max_tokens"),
    *("max_completion_tokens", "max_output_tokens", "k", "calls", "toolformer", "stream_options", "logprobs", "tools"),
    *("instructions", "__class__", "", "\ud800", "model_config"),
]


def malformed(rng: random.Random) -> bytes:
    """A body that is wrong in one of many ways, or by luck in none."""
    good: dict[str, Any] = {"model": "m", "prompt": "x", "messages": CHAT, "input": "x", "max_tokens": 2}
    for name in rng.sample(sorted(good), rng.randrange(4)):
        del good[name]
    body = good | {rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.randint(1, 3))}
    raw = json.dumps(body).encode()
    match rng.randrange(6):
        case 0:
            return raw[: rng.randrange(len(raw))]
        case 1:
            place = rng.randrange(len(raw))
            return raw[:place] + bytes([rng.randrange(256)]) + raw[place + 1 :]
        case 2:
            return rng.choice([b"[" * 5000, b'{"a":' * 3000, b"\xff\xfe", b"", b"null", b"1e999", b"9" * 5000, raw * 2])
        case _:
            return raw


def test_two_thousand_malformed_bodies_and_none_breaks_anything() -> None:
    rng = random.Random(20)
    app = application(says(SUM), "m", Options(max_new_tokens=3))

    async def ask() -> list[int]:
        paths = ["/v1/completions", "/v1/chat/completions", "/v1/responses"]
        async with inside(app) as one:
            head = {"content-type": "application/json"}
            statuses = []
            for _ in range(2000):
                body = malformed(rng)
                answer = await one.post(rng.choice(paths), content=body, headers=head)
                if answer.status_code >= 400:
                    assert answer.json()["error"]["message"], body
                statuses.append(answer.status_code)
            assert (await one.get("/health")).status_code == 200
            return statuses

    statuses = asyncio.run(ask())
    assert set(statuses) <= {200, 400, 404}
    assert statuses.count(400) > 1000


def test_sigterm_lets_answers_end(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a-long-key\n")
    command = [sys.executable, "-m", "toolformer.cli", "serve", "--port", "0", "--api-key-file", str(key)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    ) as server:
        assert server.stdout
        url = server.stdout.readline().split()[-1]
        until(lambda: _up(url), 60)
        stream = client(url, "a-long-key").completions.create(
            model="builtin-tools", prompt="The", max_tokens=300, stream=True, extra_body={"k": 0}
        )
        next(iter(stream))
        server.send_signal(signal.SIGTERM)
        assert [chunk.choices[0].finish_reason for chunk in stream][-1] in ("stop", "length")
        assert server.wait(20) == 0


def _up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.ConnectError:
        return False


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """A socket made otherwise holds back the body of an answer until its head was acknowledged."""
    with listen("127.0.0.1", 0, "--port") as listening:
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        port = listening.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port} .*: give another --http"):
            listen("127.0.0.1", port, "--http")
