"""Calls from a server: what it is asked, what of its replies is used, and a run that outlives it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ScriptedLM
from tests.misbehaving_server import Behaviour, serving
from tests.sampling_server import asked, failing, said, speaking
from tests.unit.test_annotator import PAPER, PLACE, TEXT, paper_model
from tests.unit.test_run import content, documents
from toolformer import Call, ServerError, Toolbox
from toolformer.data_gen import Document, Server, annotate
from toolformer.data_gen.method import PAPER as AS_PAPER
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.records import Annotated, Rejected
from toolformer.data_gen.samplers.align import ChangedTextError, new_calls
from toolformer.data_gen.samplers.by_server import ChatSampler, CompletionSampler
from toolformer.data_gen.samplers.server import By
from toolformer.data_gen.samplers.server_client import Client
from toolformer.remote import asking as module
from toolformer.remote.asking import KEY
from toolformer.tools.calculator import Calculator

CALL = " [Calculator(400 / 1400)]"
ANSWERED = TEXT[:PLACE] + CALL + TEXT[PLACE:]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.delenv(KEY, raising=False)


Records = tuple[list[Annotated], list[Rejected], list[dict[str, Any]]]


def by(
    way: By,
    *behaviours: Behaviour,
    text: str = TEXT,
    model: ScriptedLM | None = None,
    seed: int = 0,
    **lesson: Any,
) -> Records:
    """What comes of one text, and what the server was asked."""
    model, method = model or paper_model(), replace(AS_PAPER, seed=seed)
    with serving(*behaviours) as server, Client(Server(server.url, "m", by=way, parallel=1)) as client:
        sampler = (CompletionSampler if way == "completions" else ChatSampler)(model, method, client)
        with Toolbox([Calculator()]) as box:
            annotator = Annotator(model, box, [replace(PAPER, **lesson)], method, sampler=sampler)
            annotated, rejected = annotator.annotate(annotator.read([Document("d", text)]))
    return annotated, rejected, [asked(request) for request in server.requests]


def reasons(records: Records) -> list[str]:
    return [one.reason for one in records[1]]


@pytest.mark.parametrize(
    "reply",
    [
        "400 / 1400",  # the stop cut off, as most servers do
        "400 / 1400)] 29%) passed.",  # or left in, as others do
        "400 / 1400) -> 0.3] 29%",
    ],
)
def test_the_papers_example_by_completions(reply: str) -> None:
    says = speaking(lambda body: reply)
    (annotated,), rejected, questions = by("completions", says)
    (one,) = annotated.calls
    assert (one.call, one.place.start, one.place.p_open) == (Call("Calculator", "400 / 1400", "0.29"), PLACE, 0.5)
    assert [one.reason for one in rejected] == ["the same call was sampled before"] * 4
    prompt = (
        'You can call the API by writing " [Calculator(expression)]".\n\n'
        "Input: 18 + 12 * 3 is 54.\nOutput: 18 + 12 * 3 is [Calculator(18 + 12 * 3)] 54.\n\n"
        f"Input: {TEXT}\nOutput: {TEXT[:PLACE]} [Calculator("
    )
    assert [question["prompt"] for question in questions] == [prompt] * 5
    assert questions[0].items() >= {"model": "m", "stop": [") ->", ")]"], "max_tokens": 64, "temperature": 1.0}.items()
    seeds = [question["seed"] for question in questions]
    assert len(set(seeds)) == 5
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert [question["seed"] for question in by("completions", says)[2]] == seeds
    assert by("completions", says, seed=1)[2][0]["seed"] not in seeds


def test_the_papers_example_by_chat() -> None:
    (annotated,), rejected, questions = by("chat", speaking(lambda body: ANSWERED))
    (one,) = annotated.calls
    assert (one.call, one.place.start, one.place.p_open) == (Call("Calculator", "400 / 1400", "0.29"), PLACE, None)
    assert [one.reason for one in rejected] == ["the same call was sampled before"] * 4
    first = (
        'You can call the API by writing " [Calculator(expression)]".\n\n'
        "Write each text again, word for word, with the calls put in where they belong, and nothing else.\n\n"
        "18 + 12 * 3 is 54."
    )
    assert [(message["role"], message["content"]) for message in questions[0]["messages"]] == [
        ("user", first),
        ("assistant", "18 + 12 * 3 is [Calculator(18 + 12 * 3)] 54."),
        ("user", TEXT),
    ]


def test_what_completions_are_rejected_for() -> None:
    replies = iter(["[QA(x", "1 + [Calculator(1", "1 / 0", "1 + 1", "1 + 1"])
    _, rejected, _ = by("completions", speaking(lambda body: next(replies)))
    assert sorted(one.reason for one in rejected) == [
        "Calculator: division by zero",
        "malformed: 1 + [Calculator(1)]",
        "malformed: [QA(x)]",
        "the same call was sampled before",
    ]


@pytest.mark.parametrize(
    ("way", "reason"),
    [("completions", "not closed within 64 tokens: 1 +"), ("chat", "the reply is cut off at its limit")],
)
def test_a_reply_that_was_cut_or_refused_is_rejected(way: By, reason: str) -> None:
    replies = [said("1 +", "length"), failing("400 No", "too long")]
    assert reasons(by(way, *replies, samples=2)) == [reason, "the server refuses: 400 Bad Request: too long"]


@pytest.mark.parametrize(
    ("text", "reply", "calls"),
    [
        ("2 is 2.", " [A(1)]2 is [A(2)] 2. [A(3)]", [("1", 0), ("2", 4), ("3", 7)]),
        ("2 is 2.", "[A(1)] 2 is 2.\n", [("1", 0)]),
        ("\n 2  is\r\n2.", "2 is 2.", []),
        ("As [A(2)] said.", "As [A(2)] said [A(3)].", [("3", 14)]),
        ("As [A(2)] said.", "As [A(2)] [A(2)] said.", [("2", 9)]),
        ("As [A(2 + 2) -> 4] said.", "As [A(2 + 2) -> 4] said.", []),
        ("1400", "14 [A(7)]00", [("7", 2)]),
        ("héllo 世界", "héllo [A(世)]世界", [("世", 5)]),
        ("f(x) [g(x", "f(x) [A(1)] [g(x", [("1", 4)]),
        ("", "", []),
        ("a" * 10_000 + " [A(", "a" * 10_000 + " [A(", []),
    ],
)
def test_calls_are_found_in_the_repeated_text(text: str, reply: str, calls: list[tuple[str, int]]) -> None:
    assert [(call.input, offset) for call, offset in new_calls(reply, text)] == calls


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("2 is 3.", "the reply changes the text: '2.' became '3.'"),
        ("Sure! 2 is 2.", "the reply changes the text: '2 is 2.' became 'Sure! 2 is 2.'"),
        ("2 is", "the reply ends before '2.'"),
        ("", "the reply ends before '2 is 2.'"),
        ("2 is 2. Indeed.", "the reply goes on behind the text, with 'Indeed.'"),
        ("2 is [A(1)] two.", "the reply changes the text: '2.' became 'two.'"),
        ("2 is [A(1) 2.", "the reply changes the text: '2.' became '[A(1) 2.'"),
    ],
)
def test_a_reply_that_changes_the_text_is_rejected_with_the_reason(reply: str, reason: str) -> None:
    with pytest.raises(ChangedTextError) as caught:
        new_calls(reply, "2 is 2.")
    assert str(caught.value) == reason


def test_a_changed_text_costs_its_reply_and_no_other() -> None:
    replies = iter([TEXT.replace("29", "30"), ANSWERED, TEXT, ANSWERED + CALL, ANSWERED.replace("Calc", "Dogc")])
    (annotated,), rejected, _ = by("chat", speaking(lambda body: next(replies)))
    assert annotated.calls[0].call.result == "0.29"
    assert [one.reason for one in rejected] == [
        "the reply changes the text: '29%) passed.' became '30%) passed.'",
        "the same call was sampled before",
        "it stands behind the text, where there is nothing to help with",
        "another tool's name: Dogculator",
    ]


def test_a_reply_without_measure_is_not_even_read() -> None:
    annotated, (rejected,), _ = by("chat", speaking(lambda body: ANSWERED + CALL * 1_000), samples=1)
    assert not annotated
    assert rejected.reason == f"the reply has {len(ANSWERED) + 1_000 * len(CALL):,} characters, far more than the text"


def test_of_too_many_places_those_stay_that_most_replies_chose() -> None:
    model = replace(paper_model(), loss=lambda prefix, text, position: 0.0 if "-> " in prefix else 2.0)
    replies = iter(["1 [Calculator(1 + 1)] 2 3", "1 2 [Calculator(2 + 1)] 3", "1 2 [Calculator(1 + 2)] 3"])
    (annotated,), rejected, _ = by(
        "chat", speaking(lambda body: next(replies)), text="1 2 3", model=model, positions=1, samples=3
    )
    assert [one.place.start for one in annotated.calls] == [3]
    assert "more than 1 places in this text" in [one.reason for one in rejected]


def test_a_hopeless_place_goes_no_further() -> None:
    annotated, rejected, _ = by("chat", speaking(lambda body: ANSWERED), model=paper_model(plain=0.49), samples=1)
    assert not annotated
    assert [(one.stage, one.reason) for one in rejected] == [
        ("propose", "what follows is too likely already: no result could help")
    ]


def paper_says(body: dict[str, Any]) -> str:
    return "400 / 1400"


def run(out: Path, url: str, way: By = "completions") -> None:
    annotate(
        documents(),
        [Calculator()],
        out,
        model=paper_model(),
        sampler=Server(url, "m", by=way, parallel=2),
        lessons=[PAPER],
        method=AS_PAPER,
        shard_size=4,
    )


def test_a_run_that_outlives_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed stays; the same command goes on when the server is back, and ends with the same bytes."""
    monkeypatch.setenv(KEY, "sk-secret")
    whole, again = tmp_path / "whole", tmp_path / "again"
    with serving(speaking(paper_says)) as server:
        run(whole, server.url)
        # It fails from the second shard on.
        server.behaviours[:] = [speaking(paper_says)] * (server.connections + 1 + 2 * 5 + 3) + [failing("500 Oops")]
        with pytest.raises(ServerError, match="500 .*5 times in a row. What was written is kept"):
            run(again, server.url)
        assert [file.name for file in sorted((again / "shards").iterdir())] == ["00000.json"]
        server.behaviours[:] = [speaking(paper_says)]
        run(again, server.url)
    assert content(again) == content(whole)
    config = json.loads((whole / "config.json").read_text())
    assert config["sampler"] == {"server": server.url, "model": "m", "by": "completions"}
    assert all(b"sk-secret" not in written for written in content(whole).values())
    assert json.loads((whole / "funnel.json").read_text())["Calculator"]["kept"] == 6


def test_a_server_that_cannot_be_used_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with serving(failing("404 No", "no model m")) as server, pytest.raises(ServerError, match="or ask it by chat"):
        run(tmp_path / "out", server.url)
    assert not (tmp_path / "out").exists()
