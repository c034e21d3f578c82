"""What is counted of calls, by hand on a few examples."""

import json
from pathlib import Path

import pytest

from toolformer.errors import DataError
from toolformer.eval.call_statistics import (
    Share,
    against_oracle,
    calibration,
    case,
    cases,
    mended,
    normalised,
    share,
    statistics,
    vote,
)
from toolformer.eval.outcomes import CallMade, Outcome, read_outcomes, write_outcomes


def call(tool: str = "Calculator", undone: str = "") -> CallMade:
    return CallMade(0, tool, "1 + 1", "" if undone else "2", undone, 0.4, 2)


def outcome(id_: str, right: bool, *calls: CallMade, rank: int = 50, p: float = 0.0, **more: object) -> Outcome:
    made = Outcome(id_, "g", 0.0, "asked", ("2",), "text", "raw", "2", float(right), calls, p, rank)
    return made.__class__(**vars(made) | more)


FOUR = [
    outcome("a", True, call()),
    outcome("b", False, call("QA"), call("QA")),
    outcome("c", True),
    outcome("d", False, call(undone="division by zero")),
]


def test_accuracy_over_all_with_call_and_without() -> None:
    counted = statistics(FOUR)
    assert [counted[name]["value"] for name in ("accuracy", "accuracy_with_call", "accuracy_without_call")] == [0.5] * 3
    assert counted["called"]["value"] == 0.5
    assert counted["called_by_tool"] == {"Calculator": 0.25, "QA": 0.25}
    assert counted["calls_per_example"] == 0.75
    assert (counted["undone_calls"], counted["undone_by_tool"]) == (1, {"Calculator": 1})


def test_no_examples_with_a_call_have_no_accuracy() -> None:
    counted = statistics([outcome("a", True)])
    assert counted["accuracy_with_call"] is None
    assert statistics([])["accuracy"] is None


def test_intervals_hold_the_mean_shrink_with_examples_and_come_again() -> None:
    few, many = share([1.0, 0.0] * 10), share([1.0, 0.0] * 1000)
    assert few
    assert many
    assert few.low < 0.5 < few.high
    assert many.high - many.low < (few.high - few.low) / 5
    assert (few.high - few.low) == pytest.approx(4 * (0.25 / 20) ** 0.5, rel=0.15)
    assert share([0.2, 0.9, 0.4]) == share([0.2, 0.9, 0.4])
    assert share([1.0, 1.0]) == share([1.0, 1.0], seed=5)


def test_intervals_worked_by_hand() -> None:
    # Of two, both draws hit the same one in a quarter of resamples each: 2.5% from either end lies there.
    assert share([1.0, 0.0]) == Share(0.5, 0.0, 1.0, 2)
    assert share([0.0, 0.5]) == Share(0.25, 0.0, 0.5, 2)
    assert share([0.7]) == Share(0.7, 0.7, 0.7, 1)
    # One of ten right: none is drawn in 0.9 ** 10 = 35% of resamples, four or more in 1.3%.
    assert share([1.0] + [0.0] * 9) == Share(0.1, 0.0, 0.3, 10)


def test_normalised_is_zero_at_chance_and_one_at_best() -> None:
    guess = [outcome(str(n), n == 0, chance=0.25) for n in range(4)]
    best = [outcome(str(n), True, chance=0.25, group="h") for n in range(4)]
    assert normalised(guess) == 0
    assert normalised([*guess, *best]) == 0.5
    assert normalised(FOUR) is None


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (outcome("a", True, call()), "called and right"),
        (outcome("a", False, call()), "called and wrong"),
        (outcome("a", False, call(undone="no")), "called and wrong"),
        (outcome("a", True, rank=1), "not called and right"),
        (outcome("a", False, rank=29), "undecided"),
        (outcome("a", False, rank=30), "not called and wrong"),
        (outcome("a", False, rank=-1), "not called and wrong"),
    ],
)
def test_cases(one: Outcome, expected: str) -> None:
    assert case(one) == expected
    assert cases([one])[expected] == 1


def test_the_oracle_calls_where_a_tool_mends_the_answer() -> None:
    without = [outcome("a", False), outcome("b", False), outcome("c", True), outcome("d", False)]
    most = [outcome("a", True, call()), outcome("b", True), outcome("c", True, call()), outcome("d", True, call())]
    mends = mended(without, most)
    assert mends == {"a", "d"}
    now = [outcome("a", True, call()), outcome("b", False, call()), outcome("c", True), outcome("d", False)]
    assert against_oracle(now, mends) == {"mendable": 2, "called": 2, "precision": 0.5, "recall": 0.5}
    assert against_oracle([outcome("a", True)], set()) == {
        "mendable": 0,
        "called": 0,
        "precision": None,
        "recall": None,
    }


def test_calibration_compares_the_openings_probability_with_what_it_mends() -> None:
    made = [outcome(str(n), False, p=0.75) for n in range(4)] + [outcome("x", False, p=1.0)]
    found = calibration(made, {"0", "1", "2", "x"})
    assert [(row["bin"], row["probability"], row["mended"]["value"]) for row in found["bins"]] == [
        (7, 0.75, 0.75),
        (9, 1, 1),
    ]
    assert found["error"] == 0
    off = [outcome("a", False, p=0.2), outcome("b", False, p=0.2), outcome("c", False, p=0.9)]
    # Two at 0.2 of which none is mended, one at 0.9 that is: (2 * 0.2 + 1 * 0.1) / 3.
    assert calibration(off, {"c"})["error"] == 0.166667
    assert calibration([outcome("a", True, rank=-1)], set()) == {"bins": [], "error": None}


def test_the_answer_given_most_often_wins_and_silence_does_not_count() -> None:
    assert vote(["", "", "5", "7", "7"]) == 3
    assert vote(["5", "7"]) == 0
    assert vote(["", ""]) == 0


HEADER = {"task": "t", "k": 1, "fingerprint": "f"}


def test_outcomes_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    odd = outcome("ü\ud800\n", True, call(), p=0.123456789, text="<script>\0")
    write_outcomes(path, HEADER, [odd, outcome("b", False)])
    header, (first, second) = read_outcomes(path, HEADER)
    assert header == HEADER
    assert first == outcome("ü\ud800\n", True, call(), p=0.123457, text="<script>\0")
    assert not second.right
    before = path.read_bytes()
    write_outcomes(path, HEADER, [odd, outcome("b", False)])
    assert path.read_bytes() == before


def test_what_another_model_answered_is_never_taken(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write_outcomes(path, HEADER, [])
    with pytest.raises(DataError, match='fingerprint was "f" and is "other"'):
        read_outcomes(path, HEADER | {"fingerprint": "other"})


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"unit": 3}'])
def test_a_file_without_its_header_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "t.jsonl").write_bytes(damage)
    with pytest.raises(DataError, match="does not say what it is of"):
        read_outcomes(tmp_path / "t.jsonl")


@pytest.mark.parametrize("line", ["{", "[]", '{"calls": []}', '{"calls": [{"x": 1}]}', "3"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"unit": HEADER}) + f"\n{line}\n")
    with pytest.raises(DataError, match="line 2 is damaged"):
        read_outcomes(tmp_path / "t.jsonl")
