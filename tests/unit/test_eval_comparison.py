"""What finetuning cost: two runs that were asked the same, and what changed from one to the other."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_cli import status
from toolformer.errors import DataError
from toolformer.eval.comparison import Change, compare, grid, write_comparison
from toolformer.eval.outcomes import Outcome, write_outcomes

HEADER: dict[str, Any] = {
    "fingerprint": "f",
    "precision": "float32",
    "tools": {},
    "vote": 1,
    "calls": {},
    "seed": 0,
    "versions": {},
    "data": "d",
    "size": {},
    "settings": {},
}


def answered(*right: bool) -> list[Outcome]:
    return [Outcome(f"q{n}", "g", 0.0, "?", ("5",), "5", "5", "5", float(one)) for n, one in enumerate(right)]


def read(*texts: tuple[float, int, int]) -> list[Outcome]:
    """Of texts with such losses, tokens and words."""
    return [
        Outcome(f"t{n}", "g", 0.0, "", (), "", "", "", -nats, tokens=tokens, words=words, size=9)
        for n, (nats, tokens, words) in enumerate(texts)
    ]


def run(folder: Path, name: str, **tasks: list[Outcome]) -> Path:
    """The folder of a run at k = 0."""
    (folder / "examples").mkdir(parents=True)
    for task, outcomes in tasks.items():
        own = {"model": name, "about": {"label": ""}, "task": task, "k": 0, "examples": len(outcomes)}
        write_outcomes(folder / "examples" / f"{task}-k0-000.jsonl", HEADER | own, outcomes)
    return folder


def test_accuracy_before_and_after_with_what_was_lost_and_won(tmp_path: Path) -> None:
    before = run(tmp_path / "b", "base", bbh_direct=answered(True, True, True, False, False, True))
    after = run(tmp_path / "a", "tuned", bbh_direct=answered(False, False, True, True, False, True)[::-1])  # any order
    (change,) = compare(before, after)
    assert (change.task, change.measure, change.lost, change.won) == ("bbh_direct", "accuracy", 2, 1)
    assert [change.before.value, change.after.value] == pytest.approx([4 / 6, 3 / 6])
    assert change.change.value == pytest.approx(-1 / 6)
    assert change.change.low < -1 / 6 < change.change.high


def test_the_same_examples_are_resampled_on_both_sides(tmp_path: Path) -> None:
    right = [n % 2 == 0 for n in range(40)]
    (change,) = compare(
        run(tmp_path / "b", "base", svamp=answered(*right)), run(tmp_path / "a", "tuned", svamp=answered(*right))
    )
    assert change.before.high - change.before.low > 0.2
    assert (change.change.low, change.change.value, change.change.high) == (0.0, 0.0, 0.0)


def test_perplexity_is_a_ratio_by_token_or_by_word(tmp_path: Path) -> None:
    base = run(tmp_path / "b", "base", wikitext=read((10.0, 10, 5), (20.0, 10, 5)))
    (change,) = compare(base, run(tmp_path / "a", "tuned", wikitext=read((12.0, 10, 5), (22.0, 10, 5))))
    assert change.measure == "perplexity by token"
    assert change.before.value == pytest.approx(4.4817, rel=1e-4)
    # Each text loses 0.2 more a token, so every resample says the same.
    assert [change.change.low, change.change.value, change.change.high] == pytest.approx([0.2214] * 3, rel=1e-3)
    (other,) = compare(base, run(tmp_path / "o", "other", wikitext=read((10.0, 5, 5), (20.0, 8, 5))))
    assert (other.measure, other.change.value) == ("perplexity by word", 0.0)


def test_the_table_and_its_numbers_are_written(tmp_path: Path) -> None:
    before = run(tmp_path / "b", "base", svamp=answered(True, True), text=read((10.0, 10, 5)))
    after = run(tmp_path / "a", "tuned", svamp=answered(True, False), text=read((11.0, 10, 5)))
    table, rows = write_comparison(before, after, tmp_path)
    lines = table.read_text("utf-8").splitlines()
    assert "| Task | Examples | base | tuned | Change | Lost | Won |" in lines
    assert any(
        line.startswith("| svamp | 2 | 100.0 (100.0–100.0) | 50.0 ") and line.endswith("| 1 | 0 |") for line in lines
    )
    assert (
        "| text, perplexity by token | 1 | 2.718 (2.718–2.718) | 3.004 (3.004–3.004) | +10.5 (+10.5 to +10.5) % |  |  |"
        in lines
    )
    told = json.loads(rows.read_text("utf-8"))
    assert (told["before"], told["after"], told["changes"][0]["lost"]) == ("base", "tuned", 1)


def test_a_k_of_its_own_has_its_row(tmp_path: Path) -> None:
    (change,) = compare(
        run(tmp_path / "b", "base", svamp=answered(True)), run(tmp_path / "a", "tuned", svamp=answered(True))
    )
    assert [row.cells[0] for row in grid([change, replace(change, k=10)], "a", "b").rows] == ["svamp", "svamp, k = 10"]
    assert isinstance(change, Change)


def test_runs_that_were_asked_different_things_are_refused(tmp_path: Path) -> None:
    before = run(tmp_path / "b", "base", svamp=answered(True, True))
    with pytest.raises(DataError, match="of svamp, examples is 2 and 1"):
        compare(before, run(tmp_path / "fewer", "tuned", svamp=answered(True)))
    with pytest.raises(DataError, match="no task in common"):
        compare(before, run(tmp_path / "other", "tuned", asdiv=answered(True, True)))
    others = [replace(one, id="x") for one in answered(True, True)]
    with pytest.raises(DataError, match="other examples of svamp"):
        compare(before, run(tmp_path / "ids", "tuned", svamp=others))


def test_the_command_measures_both_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "posts.txt").write_text("One day Ann had 4 eggs and found 3 more.", "utf-8")
    out = tmp_path / "out"
    asked = ("eval", "--tasks", "text", "--text", str(tmp_path / "posts.txt"), "--out", str(out))
    assert status(*asked, "--before", "builtin", "--after", "builtin-tools") == 0
    assert "| text, perplexity by token | 1 |" in capsys.readouterr().out
    assert (out / "after" / "report.html").exists()
    tables = (out / "after" / "tables.md").read_text("utf-8")
    assert "| builtin |" in tables  # side by side
    assert "| builtin-tools |" in tables
    assert status(*asked, "--before", "builtin", "--after", "builtin-tools", "--json") == 0
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert change["before"]["value"] > 1
    assert status(*asked, "--before", "builtin") == 2
    assert "name both: --before BASE and --after RUN; --after is missing" in capsys.readouterr().err
