"""Calls that open by their probability: thresholds, costs, the temperature, and the file that keeps them."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fakes import END, Next, ScriptedLM, script
from toolformer import CallSyntax, Options, Toolbox, Traits
from toolformer.decode.decoder import Decoder
from toolformer.decode.events import Answered, Ended, Event, Opened, Text, Undone
from toolformer.decode.trigger import FILE, Bar, Thresholds, log_odds, read_thresholds, write_thresholds
from toolformer.errors import ConfigError, DataError
from toolformer.eval.settings import Settings
from toolformer.loading import Loading
from toolformer.model import find_thresholds

OPEN, ARROW, CLOSE = CallSyntax.TOKENS.control_tokens
WELL = Thresholds(Bar(0.5), {"Sum": Bar(0.2, cost=0.5), "Ask": Bar(0.6)}, temperature=2.0)


class Fake:
    """A tool that answers by a function."""

    traits = Traits(in_process=True)
    description = "It answers."

    def __init__(self, name: str, answer: str) -> None:
        self.name, self._answer = name, answer

    def __call__(self, text: str, /) -> str:
        return self._answer


def opening(chance: float, call: str, text: str = "x is so.") -> Next:
    """A call opens behind "x is" with this probability, and is then written; or else the text goes on."""

    def following(said: str) -> Mapping[str, float]:
        if said == "x is":
            return {OPEN: chance, " ": 1 - chance}
        if OPEN in said:
            return script(f"x is{OPEN} {call}{ARROW}")(said) if ARROW not in said else {END: 0.9}
        return script(text)(said)

    return following


def events(follows: Next, calibrated: Thresholds | None = None, **options: Any) -> list[Event]:
    model = ScriptedLM(follows=follows)
    decoder = Decoder(model, Toolbox([Fake("Sum", "4"), Fake("Ask", "Lima")]), calibrated=calibrated)
    return list(decoder.run([model.encode("x").ids], Options().changed(**options)))


def called(found: Sequence[Event]) -> bool:
    return any(isinstance(event, Answered) for event in found)


SUM, ASK = "Sum(2+2)", "Ask(who?)"


@pytest.mark.parametrize(("chance", "threshold", "opens"), [(0.3, 0.25, True), (0.3, 0.35, False), (0.7, 0.65, True)])
def test_a_call_opens_where_its_probability_reaches_the_threshold(chance: float, threshold: float, opens: bool) -> None:
    assert called(events(opening(chance, SUM), threshold=threshold)) is opens


def test_a_probability_that_is_just_the_threshold_reaches_it() -> None:
    class Torn(ScriptedLM):
        """Behind "x is", the call and the space are equally likely, to the last bit."""

        def logits(self, said: str) -> torch.Tensor:
            likely = super().logits(said)
            return torch.where(likely < -1, -math.inf, 0.0) if said == "x is" else likely

    model = Torn(follows=opening(0.5, SUM))
    for threshold, opens in ((0.5, True), (0.5000001, False)):
        found = Decoder(model, Toolbox([Fake("Sum", "4")])).run([model.encode("x").ids], Options(threshold=threshold))
        assert called([*found]) is opens


def test_no_call_opens_where_it_would_be_below_the_threshold_of_every_tool() -> None:
    """It would be undone once the tool is named: for nothing, and whoever watches would see it come and go."""
    tools = Thresholds(Bar(0.5), {"Sum": Bar(0.4), "Ask": Bar(0.6)})
    assert [type(event) for event in events(opening(0.3, SUM), tools) if not isinstance(event, Text)] == [Ended]
    found = events(opening(0.45, ASK), tools)
    assert [type(event) for event in found if not isinstance(event, Text)] == [Opened, Undone, Ended]


def test_rank_decides_unless_the_model_has_been_calibrated_or_a_threshold_is_given() -> None:
    assert called(events(opening(0.01, SUM)))
    strict = Thresholds(Bar(0.9))
    assert not called(events(opening(0.4, SUM), strict))
    assert called(events(opening(0.4, SUM), strict, k=10))
    assert called(events(opening(0.4, SUM), strict, trigger="top_k"))
    assert called(events(opening(0.4, SUM), strict, threshold=0.3))
    assert not called(events(opening(0.4, SUM), strict, k=10, trigger="probability"))
    assert not called(events(opening(0.95, SUM), strict, k=0))


def test_a_tool_asks_for_its_own_threshold_once_it_is_named() -> None:
    tools = Thresholds(Bar(0.5), {"Sum": Bar(0.2), "Ask": Bar(0.6)})
    assert called(events(opening(0.4, SUM), tools))
    found = events(opening(0.4, ASK), tools)
    assert [type(event) for event in found if isinstance(event, Opened | Undone)] == [Opened, Undone]
    assert [event.reason for event in found if isinstance(event, Undone)] == ["p = 0.4 is below the threshold of Ask"]
    assert "".join(getattr(event, "text", "") for event in found) == " is so."


def test_calls_below_their_threshold_are_no_failures() -> None:
    def following(said: str) -> Mapping[str, float]:
        if said.endswith(OPEN) or OPEN in said.rpartition(CLOSE)[2]:
            name = "Sum(1+1)" if said.startswith("x" * 20) else "Ask(who?)"
            return script(f"{said.rpartition(OPEN)[0]}{OPEN} {name}{ARROW}")(said)
        if said.endswith("x"):
            return {OPEN: 0.4, "x" if len(said) < 25 else END: 0.6}
        return {END: 0.9}

    assert called(events(following, Thresholds(Bar(0.5), {"Sum": Bar(0.2), "Ask": Bar(0.6)})))


def test_a_cost_is_subtracted_from_the_log_odds_as_the_filter_subtracts_it_from_the_gain() -> None:
    cheap, dear = (Thresholds(Bar(0.5), {"Sum": Bar(0.5, cost)}) for cost in (0.4, 0.45))
    chance = 1 / (1 + math.exp(-0.42))
    assert called(events(opening(chance, SUM), cheap))
    assert not called(events(opening(chance, SUM), dear))


def test_a_calibrated_model_without_tools_writes_its_text() -> None:
    model = ScriptedLM(follows=script("xab"))
    found = Decoder(model, Toolbox(), calibrated=WELL).run([model.encode("x").ids], Options())
    assert [type(event) for event in found if not isinstance(event, Text)] == [Ended]


def test_a_temperature_makes_the_model_less_certain() -> None:
    assert called(events(opening(0.8, SUM), Thresholds(Bar(0.75))))
    assert not called(events(opening(0.8, SUM), Thresholds(Bar(0.75), temperature=2.0)))


def test_options_that_do_not_go_together_are_refused() -> None:
    refused: list[dict[str, Any]] = [{"threshold": 1.0}, {"threshold": 0.0}, {"threshold": 0.5, "trigger": "top_k"}]
    for wrong in refused:
        with pytest.raises(ConfigError, match="threshold"):
            Options().changed(**wrong)
    with pytest.raises(ConfigError, match=r"the model has none \(calling.json\): calibrate it"):
        events(opening(0.4, SUM), trigger="probability")
    assert Options(trigger="probability", threshold=0.5).changed(k=3) == Options(k=3)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_thresholds(tmp_path, "abc") is None
    write_thresholds(tmp_path, "abc", WELL)
    assert read_thresholds(tmp_path, "abc") == WELL
    with pytest.raises(DataError, match=r"was found for other weights \(abc, not def\): calibrate the model again"):
        read_thresholds(tmp_path, "def")


def test_a_model_has_the_thresholds_of_its_folder_or_of_its_adapters(tmp_path: Path) -> None:
    write_thresholds(tmp_path, "scripted", WELL)
    assert find_thresholds(str(tmp_path), Loading(), ScriptedLM()) == WELL
    assert find_thresholds("builtin", Loading(adapter=str(tmp_path)), ScriptedLM()) == WELL
    assert find_thresholds("builtin", Loading(), ScriptedLM()) is None


def test_a_benchmark_is_asked_by_the_same_trigger() -> None:
    by_rank, by_threshold = Settings(tasks=("svamp",)), Settings(tasks=("svamp",), trigger="probability")
    assert by_rank.options(10).thresholds(WELL) is None
    assert by_threshold.options(10).thresholds(WELL) == WELL
    assert by_threshold.options(0).ranks == 0


@pytest.mark.parametrize(
    "change",
    [
        {"model": 3},
        {"more": 1},
        {"thresholds": None},
        {"thresholds": {"temperature": 1.0}},
        {"thresholds": {"other": {"threshold": 0.5}, "temperature": 0.0}},
        {"thresholds": {"other": {"threshold": 0.0}}},
        {"thresholds": {"other": {"threshold": 1.0}}},
        {"thresholds": {"other": {"threshold": "0.5"}}},
        {"thresholds": {"other": {"threshold": 0.5, "cost": float("nan")}}},
        {"thresholds": {"other": {"threshold": 0.5}, "tools": {"Sum": 0.5}}},
        {"thresholds": {"other": {"threshold": 0.5}, "tools": {"Sum": {"threshold": 0.5, "price": 1}}}},
        {"thresholds": {"other": {"threshold": 0.5}, "tools": []}},
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    write_thresholds(tmp_path, "abc", WELL)
    file = tmp_path / FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(DataError, match="is damaged .*calibrate the model again, or remove the file") as told:
        read_thresholds(tmp_path, "abc")
    assert "\n" not in str(told.value)


def test_log_odds_of_what_is_certain_are_infinite() -> None:
    assert [log_odds(one) for one in (0.0, 0.5, 1.0, 1.0000001)] == [-math.inf, 0.0, math.inf, math.inf]
    assert math.isnan(log_odds(math.nan))
