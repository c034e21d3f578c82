"""Calibrating: where a call is needed, what the model would do there, and what is fitted to both."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recipes.calibrated import halves
from tests.fakes import ScriptedLM
from toolformer import CallSyntax, ConfigError, DataError
from toolformer.commands.calibrate import Calibrate
from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.records import Document
from toolformer.data_gen.shard_records import FUNNEL
from toolformer.decode.trigger import FILE, Bar, Thresholds, log_odds, read_thresholds
from toolformer.when import calibrating
from toolformer.when.calibrating import calibrate, measure
from toolformer.when.fit import calibrated, calls_by, fit, temperature
from toolformer.when.needed import Judged, judged
from toolformer.when.places import Place, read_places

OPEN = CallSyntax.TOKENS.control_tokens[0]
TEXT, DROPPED, PLAIN = "2+2 is 4, so 4", "1+1 makes 2", "no sum here"


def kept(text: str, *starts: int) -> dict[str, Any]:
    calls = [{"tool": "Sum", "input": "2+2", "result": "4", "start": start} for start in starts]
    return {"id": text, "text": text, "annotated": text, "calls": calls}


def rejected(text: str, start: int, stage: str, result: str) -> dict[str, Any]:
    where = {"id": text, "tool": "Sum", "start": start, "stage": stage, "reason": "", "near": text, "at": start}
    return where | {"input": "1", "result": result}


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    folder = tmp_path / "annotated"
    lines: Mapping[str, list[dict[str, Any]]] = {
        "kept": [kept(TEXT, 7)],
        "rejected": [
            rejected(TEXT, 3, "filter", "9"),
            rejected(TEXT, 12, "filter", "4"),
            rejected(TEXT, 6, "merge", "4"),
            rejected(DROPPED, 9, "filter", "2"),
        ],
    }
    for kind, rows in lines.items():
        (folder / kind).mkdir(parents=True)
        (folder / kind / "00000.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "funnel.json").write_text(json.dumps({"Sum": dict.fromkeys(FUNNEL, 1), "Ask": dict.fromkeys(FUNNEL, 0)}))
    return folder


def test_a_kept_call_is_needed_and_a_dropped_one_that_says_what_follows_is_undecided(annotated: Path) -> None:
    found = list(
        judged(AnnotatedFolder(annotated), [Document(DROPPED, DROPPED), Document("2", PLAIN), Document(TEXT, TEXT)])
    )
    assert found == [
        Judged(TEXT, {7: "Sum"}, frozenset({6, 12})),
        Judged(DROPPED, {}, frozenset({9})),
        Judged(PLAIN, {}, frozenset()),
    ]


def model(where: str = "is ") -> ScriptedLM:
    """It would call Sum behind these words."""

    def follows(said: str) -> Mapping[str, float]:
        return {OPEN: 0.4, "4": 0.5} if said.endswith(where) else {"z": 0.9}

    return ScriptedLM(
        opens=lambda prompt, text, i: 0.4 if text[:i].endswith(where) else 0.0,
        follows=follows,
        writes=lambda behind, call: -1.0 if "Sum" in call else -2.0,
    )


def test_places_say_what_the_model_would_do_and_what_is_needed(annotated: Path) -> None:
    texts = list(judged(AnnotatedFolder(annotated), [Document(DROPPED, DROPPED), Document("2", PLAIN)]))
    places = read_places(model(), ["Ask", "Sum"], texts)
    # Neither the first place of a text nor an undecided one.
    assert [sum(one.text == n for one in places) for n in range(3)] == [len(TEXT) - 3, len(DROPPED) - 2, len(PLAIN) - 1]
    (call,) = (one for one in places if one.tool)
    assert (call.text, call.rank, call.tool, call.needed, call.right) == (0, 1, "Sum", "Sum", True)
    assert call.probability == pytest.approx(0.4, abs=0.01)
    assert all(not one.needed for one in places if one is not call)


def place(probability: float, needed: str = "", tool: str = "Sum", text: int = 0, rank: int = 0) -> Place:
    return Place(text, probability, rank, tool, needed)


def test_the_temperature_brings_probabilities_to_shares() -> None:
    """At 0.9, six of ten are needed; at 0.1, four of ten: the model is too certain."""
    places = [place(0.9, "Sum" if n < 6 else "") for n in range(10)]
    places += [place(0.1, "Sum" if n < 4 else "") for n in range(10)]
    found = temperature(places)
    assert calibrated(log_odds(0.9) / found) == pytest.approx(0.6, abs=0.01)
    assert temperature([place(0.6, "Sum" if n < 9 else "") for n in range(10)]) < 1


def test_each_tool_gets_the_threshold_with_the_best_f1() -> None:
    places = [place(0.9 - n / 100, "Sum") for n in range(6)]
    places += [place(0.5), place(0.4, "Sum"), *(place(0.3) for _ in range(9))]
    places += [place(0.2 + n / 100, "Ask", "Ask") for n in range(6)] + [place(0.1, "", "Ask")]
    found = fit(places)
    assert set(found.tools) == {"Sum", "Ask"}
    made = calls_by(places, found)
    assert sorted({one.tool for one in made}) == ["Ask", "Sum"]
    # Of Sum, one needless call at 0.5 pays for the needed one behind it; those at 0.3 do not.
    assert sum(one.tool == "Sum" for one in made) == 8
    assert sum(one.tool == "Ask" for one in made) == 6


def test_a_tool_that_is_hardly_ever_needed_gets_the_threshold_of_all() -> None:
    places = [*(place(0.8, "Sum") for _ in range(5)), place(0.2), place(0.7, "Ask", "Ask")]
    found = fit(places)
    assert set(found.tools) == {"Sum"}
    assert [one.tool for one in calls_by(places, found)].count("Ask") == 1


def test_a_call_of_another_tool_than_the_needed_one_is_not_right() -> None:
    assert not place(0.9, "Ask", "Sum").right
    assert not place(0.9, "", "").right


@pytest.mark.parametrize(("share", "texts"), [(0.0, 0), (0.3, 3), (0.5, 5), (1.0, 9)])
def test_at_most_this_share_of_the_texts_has_a_call(share: float, texts: int) -> None:
    places = [place(n / 10 + 0.05, text=n) for n in range(10)] + [place(0.01, text=n) for n in range(10)]
    places = [replace(one, tool="") if one.text == 0 else one for one in places]
    found = fit(places, calls_at_most=share)
    assert len({one.text for one in calls_by(places, found)}) == texts
    assert not found.tools


def test_texts_that_cannot_be_told_apart_are_left_without_a_call() -> None:
    places = [place(0.5, text=n) for n in range(3)] + [place(0.9, text=3)]
    assert [one.text for one in calls_by(places, fit(places, calls_at_most=0.5))] == [3]


def test_a_half_of_the_texts_is_measured_by_what_the_other_says() -> None:
    """In the even texts calls from 0.3 on are needed, in the odd ones only those at 0.9."""
    even = [place(chance, "Sum", text=0) for chance in (0.9, 0.9, 0.9, 0.3, 0.3)]
    odd = [place(0.9, "Sum", text=1) for _ in range(5)] + [place(0.3, text=1) for _ in range(5)]
    first, second = (line.split() for line in halves([*even, *odd], ["Sum"]) if line.startswith("thresholds"))
    assert first[1:4] == ["10", "50%", "100%"]
    assert second[1:4] == ["3", "100%", "60%"]


def test_no_call_where_the_opening_is_not_among_the_likeliest_tokens() -> None:
    assert calls_by([place(0.9, rank=10)], Thresholds(Bar(0.1))) == []


def test_the_measures_count_calls_texts_and_the_error() -> None:
    places = [place(0.9, "Sum", text=0), place(0.9, "", text=1, rank=2), place(0.1, "Sum", text=1, rank=5)]
    found = measure(places, Thresholds(Bar(0.5)), ["Sum"])
    one, ten, by = found.by_rank[1], found.by_rank[10], found.by_threshold
    assert (one.made, one.right, one.needed, one.texts) == (1, 1, 2, 1)
    assert (ten.made, ten.precision, ten.recall, ten.texts) == (3, 2 / 3, 1.0, 2)
    assert (by.made, by.precision, by.recall, by.f1) == (2, 0.5, 0.5, 0.5)
    assert found.error_before == pytest.approx((2 * 0.4 + 0.9) / 3)
    assert any(line.startswith("k = 10") and "67%" in line and "100%" in line for line in found.table())


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "README.md").write_text("# A model\n")
    monkeypatch.setattr(calibrating, "load", lambda name, **loading: model())
    return folder


def test_calibrating_writes_the_thresholds_and_the_card(tuned: Path, annotated: Path) -> None:
    found = calibrate(tuned, annotated, [Document("2", PLAIN)], costs={"Sum": 0.5})
    assert read_thresholds(tuned, "scripted") == found.thresholds
    assert found.thresholds.tools["Sum"].cost == 0.5
    assert (found.texts, found.by_rank[10].right) == (2, 1)
    calibrate(tuned, annotated, calls_at_most=0.5)
    card = (tuned / "README.md").read_text()
    assert card.startswith("# A model\n\n## When it calls\n")
    assert card.count("## When it calls") == 1
    assert "found on 1 held-out texts" in card


def test_what_cannot_be_calibrated_is_refused_before_a_model_is_loaded(tuned: Path, annotated: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder of a model"):
        calibrate(tuned / "none", annotated)
    with pytest.raises(ConfigError, match="between 0 and 1, not 30"):
        calibrate(tuned, annotated, calls_at_most=30)
    with pytest.raises(ConfigError, match="did you mean Sum"):
        calibrate(tuned, annotated, costs={"Sun": 1.0})
    (annotated / "kept" / "00000.jsonl").write_text("")
    with pytest.raises(DataError, match="kept no call"):
        calibrate(tuned, annotated)
    assert not (tuned / FILE).exists()


def test_the_command_prints_the_table(tuned: Path, annotated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Calibrate(tuned, annotated, calls_at_most="100%", cost=("Sum=0.1",)).run()
    assert "thresholds" in capsys.readouterr().out
    Calibrate(tuned, annotated, json=True).run()
    assert math.isfinite(json.loads(capsys.readouterr().out)["error_after"])
    with pytest.raises(ConfigError, match="a share, such as 30%"):
        Calibrate(tuned, annotated, calls_at_most="many").run()
    with pytest.raises(ConfigError, match="such as QA=0.5"):
        Calibrate(tuned, annotated, cost=("Sum",)).run()
