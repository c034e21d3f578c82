"""Figures are read out of what commands say, and written into the rows that name them."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from recipes import figures
from recipes.figures import MEASUREMENTS, Measurement, Ran, main, rows

COMPARED = """\
right (with a call)             base         k = 0         k = 1        k = 10
130 sums                 0.0% (  0%)   0.0% (  0%)  95.4% (100%)  96.9% (100%)   at most 15%, k = 10 at least 90%  ok
130 unseen facts         0.0% (  0%)   0.0% (  0%)  85.4% ( 91%)  86.2% ( 92%)   at most 20%, k = 10 at least 85%   ok
60 dates                 3.3% (  0%)   3.3% (  0%)  75.0% ( 83%)  90.0% ( 98%) at most 100%, k = 10 at least 97%  MISSED
70 plain texts: a call at k = 1                     1.4%   at most 10%   ok
their perplexity without calls, against the base   -0.9%   at most +2%   ok
"""
DECODED = """\
no calls, batch 1                       170           190     0.96     0.95     100%
no calls, batch 8                     1,023           973     1.05     0.95     100%
128 texts of 4 to 335                 1,090           338     3.02     1.30     100%
"""
ANNOTATED = """\
pipeline      6.10 texts/s      1,234 tokens forwarded a text
21.7 times as fast; 1.02 times the least tokens
93 calls kept; %d kept by only one of the two
"""
ROUNDS = {"rounds": [{"calls": {"Calculator": 330, "Dates": 5}, "share_right": 0.7701}, {"calls": {}}]}


@pytest.mark.parametrize(
    ("name", "said", "read"),
    [
        (
            "compare",
            COMPARED,
            (
                "0 / 0 / 3%",
                "97 / 86 / 90%; aimed at 90 / 85 / 97",
                "1% of plain texts; -0.9%; aimed at 10, +2",
            ),
        ),
        ("bench-decode", DECODED, ("1.05 and 3.0 times as fast",)),
        ("bench-annotate", ANNOTATED % 0, ("21.7 times the texts a second, the same calls",)),
        ("bench-annotate", ANNOTATED % 2, ("21.7 times the texts a second, 2 calls differ",)),
        ("passages-all-tools", "", ("2 min 31 s of one core",)),
        ("smollm2", "", ("335 calls kept, 77% of them the call that the authors wrote down",)),
    ],
)
def test_what_a_command_says_is_read(name: str, said: str, read: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "rounds.json").write_text(json.dumps(ROUNDS), "utf-8")
    assert MEASUREMENTS[name].read(Ran(said, 151.2, tmp_path)) == read


def test_another_output_is_not_taken_for_a_figure(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nothing there is like"):
        MEASUREMENTS["bench-decode"].read(Ran("no calls, batch 8: failed", 1.0, tmp_path))


def test_every_row_has_its_measurement_and_every_measurement_its_row() -> None:
    there = {row for page in figures.PAGES for row in rows(page.read_text("utf-8"))}
    assert there == {(label, one.command) for one in MEASUREMENTS.values() for label in one.labels}


PAGE = """\
| what | figure | again with |
|---|---|---|
| eggs | 3 | `python -c 'print(42)' OUT` |
| eggs | 3 | `another command` |
| milk | 1 | `python -c 'print(42)' OUT` |

| eggs | none |
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    page = tmp_path / "page.md"
    page.write_text(PAGE, "utf-8")
    eggs = Measurement("python -c 'print(42)' OUT", ("eggs",), lambda ran: (f"{int(ran.said)} eggs",))
    needy = Measurement("python -c 'raise SystemExit(1)' EGGS", ("milk",), lambda ran: ("",))
    monkeypatch.setattr(figures, "PAGES", [page])
    monkeypatch.setattr(figures, "MEASUREMENTS", {"eggs": eggs, "needy": needy})
    monkeypatch.delenv("EGGS", raising=False)
    return page


def test_a_figure_is_written_into_its_row_alone(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(rows(PAGE))[:2] == [("eggs", "python -c 'print(42)' OUT"), ("eggs", "another command")]
    main([])
    assert page.read_text("utf-8") == PAGE.replace("| eggs | 3 | `python", "| eggs | 42 eggs | `python")
    assert "(give EGGS=FILE)" in capsys.readouterr().out  # and it was not run


def test_a_list_runs_nothing(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list", "--only", "eggs"])
    assert page.read_text("utf-8") == PAGE
    assert capsys.readouterr().out == f"{'eggs':<20}python -c 'print(42)' OUT\n"


def test_names_in_capitals_are_given_by_the_environment(
    page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[str]] = []

    def run(words: list[str], **_: object) -> SimpleNamespace:
        asked.append(words)
        return SimpleNamespace(stdout="7")

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setenv("EGGS", "eggs.jsonl")
    main([])
    assert [words[-1] for words in asked] == [asked[0][-1], "eggs.jsonl"]
    assert asked[0][-1].endswith("out")
