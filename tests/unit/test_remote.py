"""The decoder on a server of each dialect: what it writes, what that costs, and what every kind of bad reply does."""

import copy
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.language_server import Json, speaking
from tests.misbehaving_server import answer, serving
from toolformer import ConfigError, DataError, Generation, Options, ServerError, Toolformer, Undone, tool
from toolformer.decode.trigger import FILE, Bar, Thresholds, write_thresholds
from toolformer.hf.source import folder_of
from toolformer.hf.transformers_model import CausalModel
from toolformer.loading import Loading
from toolformer.remote import asking as module

DIALECTS = ["vllm", "llama.cpp"]
WORDS = "builtin-tools"
SUM = "There are 8 boxes with 76 oranges in each, so there are"
PROMPTS = [SUM, "Once upon a time"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.delenv(module.KEY, raising=False)


@cache
def near() -> Toolformer:
    """The same model in this process."""
    return Toolformer.from_pretrained(WORDS)


def model() -> CausalModel:
    loaded = near().model
    assert isinstance(loaded, CausalModel)
    return loaded


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def told(made: Generation) -> list[object]:
    """What was written, but for the calls' probabilities."""
    calls = [(one.tool, one.input, one.result, one.start, one.rank) for one in made.calls]
    return [made.ids, made.text, made.end, calls]


def probabilities(made: Sequence[Generation]) -> list[float]:
    return [call.probability for one in made for call in one.calls]


OPTIONS: list[dict[str, Any]] = [
    {"k": 0},
    {"k": 20, "calls": 2},
    {"threshold": 0.9},
    {"do_sample": True, "top_k": 5, "temperature": 1.3},
    {"branches": 2},
    {"stop": (".",)},
]


@pytest.mark.parametrize(("dialect", "options"), [("llama.cpp", {}), ("vllm", {}), *(("vllm", one) for one in OPTIONS)])
def test_it_writes_what_the_model_writes_here(dialect: str, options: dict[str, Any]) -> None:
    here = near().generate(PROMPTS, max_new_tokens=8, **options)
    with speaking(model(), dialect) as server, Toolformer.remote(server.url, WORDS) as far:
        there = far.generate(PROMPTS, max_new_tokens=8, **options)
    assert [told(one) for one in there] == [told(one) for one in here]
    assert probabilities(there) == pytest.approx(probabilities(here), rel=1e-3)
    assert options.get("k") == 0 or probabilities(here)


def test_it_calls_by_the_thresholds_in_the_folder_of_its_tokenizer(dialect: str, tmp_path: Path) -> None:
    folder = folder_of(WORDS, Loading())
    assert folder is not None
    run = shutil.copytree(folder, tmp_path / "run")
    high = Thresholds(Bar(0.999999))
    write_thresholds(run, "of weights that are elsewhere", high)
    with speaking(model(), dialect) as server, Toolformer.remote(server.url, str(run)) as far:
        assert far.decoder.calibrated == high
        assert far.generate(SUM, max_new_tokens=8).calls == ()
        assert far.generate(SUM, max_new_tokens=8, k=10).calls != ()
    (run / FILE).write_text("{}")
    with speaking(model(), dialect) as server, pytest.raises(DataError, match=r"calling.json is damaged"):
        Toolformer.remote(server.url, str(run))


def test_a_call_that_the_model_writes_by_itself_costs_one_request_and_its_result_another(dialect: str) -> None:
    with speaking(model(), dialect) as server, Toolformer.remote(server.url, WORDS) as far:
        made = far.generate(SUM, max_new_tokens=1)
        assert made.raw == "<API> Calculator(76 * 8) → 608 </API> 608"
    first, second = server.asked
    assert first["count"] == 16
    assert second["ids"][: len(first["ids"])] == first["ids"]


def test_a_text_is_read_ahead_in_growing_steps() -> None:
    endless = copy.copy(model())
    endless.ends = frozenset()
    with speaking(endless, "vllm") as server, Toolformer.remote(server.url, WORDS) as far:
        rows = far.model.rows([far.model.encode("Once upon a time").ids])
        for _ in range(17):
            rows.extend([[int(rows.logits[0].argmax())]])
        assert [one["count"] for one in server.asked] == [16, 32]
        for _ in range(2):
            rows.extend([[int(rows.logits[0].argmin())]])
        assert [one["count"] for one in server.asked[2:]] == [4, 4]


def test_a_call_that_fails_leaves_the_text_as_it_was(dialect: str) -> None:
    @tool(name="Calculator")
    def fails(text: str) -> str:
        """It fails."""
        raise ValueError(text)

    prompt = "Once upon a time"
    with speaking(model(), dialect) as server, Toolformer.remote(server.url, "builtin-tools", [fails]) as far:
        events = list(far.stream(SUM, k=1, max_new_tokens=8))
        assert any(isinstance(event, Undone) for event in events)
        assert far.generate(prompt, k=0, max_new_tokens=8).ids == near().generate(prompt, k=0, max_new_tokens=8).ids


def test_a_name_that_the_server_does_not_tell_undoes_the_call() -> None:
    @tool(name="Zymurgy")
    def never(text: str) -> str:
        """Nobody has taught it."""
        return text

    @tool(name="Xenon")
    def nor(text: str) -> str:
        """Nor this."""
        return text

    with speaking(model(), "vllm") as server, Toolformer.remote(server.url, "builtin-tools", [never, nor]) as far:
        undone = [event for event in far.stream(SUM, k=1, max_new_tokens=4) if isinstance(event, Undone)]
    assert undone[0].reason == "no tool's name goes on with one of the 20 likeliest tokens"


def test_rows_fill_the_context_and_no_more(dialect: str) -> None:
    with speaking(model(), dialect, context=24) as server, Toolformer.remote(server.url, WORDS) as far:
        made = far.generate("Once upon a time", k=0, max_new_tokens=100)
        assert made.end in ("context", "end")
        assert all(len(one["ids"]) + one["count"] <= 24 for one in server.asked)
        with pytest.raises(ConfigError, match="has .* tokens, and the context of http.* 22: shorten it"):
            far.generate(SUM * 4)


REFUSED = [
    (Options(k=21), "tells the 20 likeliest tokens only: k=21 is too much"),
    (Options(repetition_penalty=1.1), "repetition_penalty needs the probabilities of all tokens"),
    (Options(min_new_tokens=3), "min_new_tokens needs"),
    (Options(do_sample=True), "sample with do_sample=True and a top_k of at most 20"),
    (Options(do_sample=True, top_k=50), "a top_k of at most 20"),
    (Options(calls_sampled=3), "a top_k of at most 20"),
]


def test_what_needs_other_tokens_than_the_likeliest_is_refused_at_once() -> None:
    with speaking(model(), "vllm") as server, Toolformer.remote(server.url, WORDS) as far:
        for options, reason in REFUSED:
            with pytest.raises(ConfigError, match=reason):
                far.generate(SUM, options)
        assert not server.asked


def _each_place(change: Callable[[dict[int, float]], dict[Any, Any]]) -> Callable[[Json], Json]:
    """A change of what vLLM tells of each place."""

    def changed(reply: Json) -> Json:
        told = reply["choices"][0]["logprobs"]
        told["top_logprobs"] = [change(top) for top in told["top_logprobs"]]
        return reply

    return changed


def _written(token: str) -> Callable[[Json], Json]:
    def changed(reply: Json) -> Json:
        told = reply["choices"][0]["logprobs"]
        told["tokens"] = [token for _ in told["tokens"]]
        return reply

    return changed


def _all_of(name: str, places: int) -> Callable[[Json], Json]:
    def changed(reply: Json) -> Json:
        told = reply["choices"][0]["logprobs"]
        told.update({key: told[key][:1] * places for key in told})
        return reply

    return changed


BAD: dict[str, Callable[[Json], Json]] = {
    "tells no log-probabilities": lambda reply: {"choices": [{"text": "so", "logprobs": None}]},
    "tells no place": _all_of("places", 0),
    "tells more places than were asked for": _all_of("places", 17),
    "tells fewer tokens": _each_place(lambda top: dict(list(top.items())[:5])),
    "tells tokens as text": _each_place(lambda top: {f"word {key}": value for key, value in top.items()}),
    "tells tokens that there are not": _each_place(lambda top: {f"token_id:{9**9 + n}": -5.0 for n in range(20)}),
    "writes a token that there is not": _written("token_id:-3"),
    "tells probabilities above 1": _each_place(lambda top: dict.fromkeys(top, 0.5)),
    "tells no numbers": _each_place(lambda top: dict.fromkeys(top, float("nan"))),
    "tells numbers beyond all bounds": _each_place(lambda top: dict.fromkeys(top, 10**400)),
    "tells nothing": lambda reply: {},
}


@pytest.mark.parametrize("changed", BAD.values(), ids=BAD)
def test_a_server_that(changed: Callable[[Json], Json]) -> None:
    refused = pytest.raises(ServerError, match=r"sends no completion with log-probabilities but .*5 times in a row$")
    with speaking(model(), "vllm", changed=changed) as server, Toolformer.remote(server.url, WORDS) as far, refused:
        far.generate(SUM)


def test_a_server_that_speaks_neither() -> None:
    with speaking(model(), "someone") as server, pytest.raises(ConfigError, match="neither vLLM's nor llama.cpp's"):
        Toolformer.remote(server.url, WORDS)
    with serving(answer(b"{}")) as page, pytest.raises(ServerError, match="sends no list of models"):
        Toolformer.remote(page.url, WORDS)


def test_another_tokenizer_than_the_servers(dialect: str) -> None:
    odd = copy.copy(model())
    odd.decode = lambda ids: "gibberish"  # type: ignore[method-assign]
    with speaking(odd, dialect) as server, pytest.raises(ConfigError, match="the tokenizer is not that of .*gibberish"):
        Toolformer.remote(server.url, WORDS)


def test_the_key_is_sent_and_said_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(module.KEY, "sk-very-secret")
    said_back = answer(b'{"error": "no sk-very-secret"}', "401 No")
    with serving(said_back) as server, pytest.raises(ServerError, match="wants another key") as caught:
        Toolformer.remote(server.url, WORDS)
    assert "Bearer sk-very-secret" in server.requests[0]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("context", [None, True, "many", 1, -4, 0.5])
def test_a_context_that_is_none(context: object) -> None:
    with (
        speaking(model(), "vllm", context=context) as server,
        pytest.raises(ConfigError, match="start it with a longer"),
    ):
        Toolformer.remote(server.url, WORDS)
