"""Losses from a server of each dialect: those of the model here, and what every kind of bad reply does."""

import json
import random
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_models
from tests.language_server import Json, speaking
from tests.plain_lm import port
from toolformer import ConfigError, DataError, ServerError
from toolformer.data_gen import AnnotatedFolder, Document, annotate, annotating, read_corpus
from toolformer.hf import load
from toolformer.hf.encode import Codec
from toolformer.hf.transformers_model import CausalModel
from toolformer.lm import Window
from toolformer.loading import Loading
from toolformer.remote import asking as module
from toolformer.remote.asking import Asker
from toolformer.remote.remote_judge import TOLERANCE, WINDOWS, RemoteJudge
from toolformer.tools.calculator import Calculator

NAMES = {"vllm": "vLLM", "sglang": "SGLang"}
CORPUS = Path(__file__).parents[2] / "toolformer" / "builtin" / "corpus.jsonl"
TEXTS = [*read_corpus(CORPUS, limit=10)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.delenv(module.KEY, raising=False)


@pytest.fixture(params=NAMES)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def behind() -> CausalModel:
    """The model of the servers."""
    loaded = load("builtin")
    assert isinstance(loaded, CausalModel)
    return loaded


def annotated(out: Path, judge: str | None = None, **more: Any) -> None:
    settings: dict[str, Any] = {"model": "builtin", "sampler": "rules", "shard_size": 4, **more}
    annotate(TEXTS, [Calculator()], out, judge=judge, **settings)


def calls(out: Path) -> list[tuple[object, ...]]:
    return [(text.id, call.call, call.start) for text in AnnotatedFolder(out).kept() for call in text.calls]


def losses(out: Path) -> list[float | None]:
    numbers = [call.numbers for text in AnnotatedFolder(out).kept() for call in text.calls]
    return [value for one in numbers for value in (one.loss_plain, one.loss_call, one.loss_result, one.gain)]


def test_a_server_with_the_same_weights_keeps_the_same_calls(tmp_path: Path, dialect: str) -> None:
    annotated(tmp_path / "here")
    with speaking(behind(), dialect) as server:
        annotated(tmp_path / "there", server.url)
        asked = len(server.asked)
        annotated(tmp_path / "there", server.url)
        assert asked < len(server.asked) < 2 * asked  # only the check is made again
    assert calls(tmp_path / "there") == calls(tmp_path / "here") != []
    assert losses(tmp_path / "there") == pytest.approx(losses(tmp_path / "here"), abs=1e-4)
    said = json.loads((tmp_path / "there" / "config.json").read_text())
    assert said["precision"]["model"] == f"{NAMES[dialect]}, within {TOLERANCE} nats of float32"
    with pytest.raises(DataError, match="made with other settings: .*precision"):
        annotated(tmp_path / "there")


def judge_of(url: str, model: CausalModel, run: Callable[[RemoteJudge], None]) -> None:
    with Asker(url, parallel=8, seconds=10) as asker:
        run(RemoteJudge(asker, model, Codec(tiny_models.tokenizer(), "llama")))


def windows(model: CausalModel) -> list[Window]:
    chance = random.Random(0)
    texts = [tuple(chance.randrange(20, 60) for _ in range(chance.randrange(3, 30))) for _ in range(8)]
    return [Window(chance.choice([(), (5, 6, 7)]), text, at) for text in texts for at in range(0, len(text), 2)]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_answers_are_those_of_the_model_here(dialect: str, kind: str) -> None:
    model = port(kind)
    assert isinstance(model, CausalModel)
    texts = [one.text for one in windows(model)]

    def run(judge: RemoteJudge) -> None:
        for mine, its in zip(judge.log_probabilities(texts), model.log_probabilities(texts), strict=True):
            assert mine == pytest.approx(its, abs=1e-4)
        assert judge.window_losses(windows(model)) == pytest.approx(model.window_losses(windows(model)), abs=1e-4)
        asked = len(server.asked)
        assert judge.window_losses(windows(model), exact=True) == model.window_losses(windows(model), exact=True)
        assert judge.log_probabilities([()]) == [[]]
        assert judge.window_losses([]) == []
        assert len(server.asked) == asked  # what has to be exact is computed here

    with speaking(model, dialect) as server, Asker(server.url, parallel=8, seconds=10) as asker:
        run(RemoteJudge(asker, model, Codec(tiny_models.tokenizer(), kind)))


def test_windows_over_one_text_are_one_request_that_ends_with_the_last_of_them(dialect: str) -> None:
    model = port("llama")
    assert isinstance(model, CausalModel)
    text = tuple(range(20, 50))

    def run(judge: RemoteJudge) -> None:
        judge.window_losses([Window((), text, 3), Window((), text, 10), Window((7,), text, 3)])

    with speaking(model, dialect) as server:
        judge_of(server.url, model, run)
        assert sorted(len(one["ids"]) for one in server.asked) == [1 + 1 + 8, 1 + 15]


def test_requests_are_bounded_and_their_order_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotating, "AT_ONCE", 3)
    annotated(tmp_path / "here")
    chance, most, now, lock = random.Random(0), 0, 0, threading.Lock()
    patience = time.monotonic() + 30

    def slow(reply: Json) -> Json:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        while most < 3 and time.monotonic() < patience:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.02))
        with lock:
            now -= 1
        return reply

    with speaking(behind(), "vllm", changed=slow) as server:
        annotated(tmp_path / "there", server.url)
    assert most == 3
    assert calls(tmp_path / "there") == calls(tmp_path / "here")


@pytest.mark.parametrize("off", [0.5, 20.0, float("inf")])
def test_other_weights_are_refused_before_anything_is_written(tmp_path: Path, off: float) -> None:
    def changed(reply: Json) -> Json:
        for one in reply["choices"][0]["prompt_logprobs"][1:]:
            for said in one.values():
                said["logprob"] -= off
        return reply

    said = f"judges otherwise than builtin: of {WINDOWS} windows, .* is off by"
    with speaking(behind(), "vllm", changed=changed) as server, pytest.raises(ConfigError, match=said):
        annotated(tmp_path / "out", server.url)
    assert not (tmp_path / "out").exists()


def saying(value: object) -> Callable[[Json], Json]:
    """A server that says this of every token."""

    def changed(reply: Json) -> Json:
        told = reply["choices"][0]["prompt_logprobs"]
        return {"choices": [{"prompt_logprobs": [{key: {"logprob": value} for key in one or ()} for one in told]}]}

    return changed


BAD: list[Callable[[Json], Json]] = [
    lambda reply: {},
    lambda reply: {"choices": []},
    lambda reply: {"choices": [{"prompt_logprobs": None}]},
    lambda reply: {"choices": [{"prompt_logprobs": reply["choices"][0]["prompt_logprobs"][1:]}]},
    lambda reply: {"choices": [{"prompt_logprobs": [None] * len(reply["choices"][0]["prompt_logprobs"])}]},
    *map(saying, ("low", None, True, 0.5, float("nan"))),
]


@pytest.mark.parametrize("changed", BAD)
def test_a_reply_that_is_none_is_asked_for_again_and_then_ends_the_run(
    tmp_path: Path, changed: Callable[[Json], Json]
) -> None:
    said = "sends no completion with the prompt's log-probabilities.*5 times"
    with speaking(behind(), "vllm", changed=changed) as server, pytest.raises(ServerError, match=said):
        annotated(tmp_path / "out", server.url)


def test_a_reply_about_other_tokens_is_none(tmp_path: Path) -> None:
    def changed(reply: Json) -> Json:
        for one in reply["meta_info"]["input_token_logprobs"]:
            one[1] += 1
        return reply

    said = "sends no reply with the input's log-probabilities"
    with speaking(behind(), "sglang", changed=changed) as server, pytest.raises(ServerError, match=said):
        annotated(tmp_path / "out", server.url)


def test_a_failure_now_and_then_costs_nothing(tmp_path: Path, dialect: str) -> None:
    count = 0

    def changed(reply: Json) -> Json:
        nonlocal count
        count += 1
        return {} if count % 3 == 0 else reply

    annotated(tmp_path / "here")
    with speaking(behind(), dialect, changed=changed) as server:
        annotated(tmp_path / "there", server.url)
    assert calls(tmp_path / "there") == calls(tmp_path / "here")


def test_texts_are_cut_to_the_context_of_the_server(tmp_path: Path, dialect: str) -> None:
    long = [Document("long", " ".join(one.text for one in TEXTS))]
    with speaking(behind(), dialect, context=180) as server:
        annotate(long, [Calculator()], tmp_path, model="builtin", sampler="rules", judge=server.url)
        assert max(len(one["ids"]) + one["count"] for one in server.asked) <= 180
    assert calls(tmp_path)


def test_what_cannot_judge(tmp_path: Path) -> None:
    with speaking(behind(), "llama.cpp") as server, pytest.raises(ConfigError, match="neither vLLM's nor SGLang's"):
        annotated(tmp_path / "out", server.url)
    with pytest.raises(ConfigError, match="is no server"):
        annotated(tmp_path / "out", "localhost")
    with pytest.raises(ServerError, match="cannot be reached"):
        annotated(tmp_path / "out", "http://127.0.0.1:9")
    with speaking(behind(), "vllm") as server, pytest.raises(ConfigError, match="for a model by name"):
        annotated(tmp_path / "out", server.url, model=behind())
    with Asker("http://127.0.0.1:9", parallel=1, seconds=1) as asker, pytest.raises(ConfigError, match="an encoder"):
        RemoteJudge(asker, port("t5"), Codec(tiny_models.tokenizer(), "t5"))
    assert not (tmp_path / "out").exists()


def test_an_adapter_that_the_server_lacks_is_noticed(tmp_path: Path) -> None:
    with speaking(behind(), "vllm") as server, pytest.raises(ConfigError, match="judges otherwise than builtin"):
        annotated(tmp_path / "out", server.url, loading=Loading(adapter="builtin-tools"))
