"""What a report shows of its numbers, and that a model's words are words in it."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from toolformer.cli import main
from toolformer.eval import plots
from toolformer.eval.call_statistics import CASES
from toolformer.eval.eval_report import write_reports
from toolformer.eval.grid import label, markdown
from toolformer.eval.outcomes import CallMade, Outcome, write_outcomes
from toolformer.eval.results import results
from toolformer.eval.shown import example
from toolformer.eval.tables import grids

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(1)> |`\u202e\0\ud800"


def outcome(id_: str, right: bool, called: bool = False, p: float = 0.2, text: str = " 5") -> Outcome:
    calls = (CallMade(0, "Calculator", "2 + 3", "5", "", p, 1),) if called else ()
    return Outcome(id_, "g", 0.25, "asked: 2 + 3?", ("5",), text, text, "5", float(right), calls, p, 1)


def run(
    out: Path, name: str = "lama_trex", model: str = "m", tools: dict[str, str] | None = None, text: str = " 5"
) -> Path:
    """A folder of results at k = 0, 1 and 10, of four examples."""
    (out / "examples").mkdir(parents=True, exist_ok=True)
    header: dict[str, Any] = {
        "model": model,
        "fingerprint": "f",
        "precision": "float32",
        "about": {"adapter": "", "label": ""},
        "tools": {"Calculator": "1"} if tools is None else tools,
        "vote": 1,
        "calls": {"calls_sampled": 1, "choose": "votes", "call_temperature": None},
        "seed": 0,
        "versions": {"toolformer": "0"},
        "task": name,
        "data": "d",
        "examples": 4,
        "size": {"read": 6, "published": 34_039, "unit": "facts", "left_out": {"its mask is not at its end": 2}},
        "settings": {},
    }
    for k, called in ((0, 0), (1, 1), (10, 4)):
        made = [outcome(str(n), n == 3 or n < called, n < called, 0.1 + 0.2 * n, text) for n in range(4)]
        write_outcomes(out / "examples" / f"{name}-k{k}-000.jsonl", header | {"k": k}, made)
    return out


def test_the_papers_table_has_its_figures_marked_and_ours_below(tmp_path: Path) -> None:
    tables = {grid.title: grid for grid in grids([results(run(tmp_path))])}
    rows = tables["Table 3: LAMA"].rows
    assert rows[3].cells == ("Toolformer (quoted)", "33.8", "11.5", "53.5")
    assert [row.quoted for row in rows] == [True] * 6 + [False] * 2
    assert rows[6].cells == ("m, calls disabled", "", "", "25.0 (0.0–75.0)")
    assert rows[7].cells[0] == "m, k = 10"
    assert rows[7].cells[3].startswith("100.0")
    by_k = tables["Table 9: lama_trex by k"].rows
    assert by_k[1].cells == ("Toolformer (quoted)", "1", "47.8", "53.0", "44.3", "40.3", "")
    assert [row.cells[1] for row in by_k[4:]] == ["0", "1", "10"]
    assert by_k[6].cells[6] == "Calculator 100.0"


def test_decisions_and_the_normalised_average_have_tables(tmp_path: Path) -> None:
    tables = {grid.title: grid for grid in grids([results(run(tmp_path, "bbh_direct"))])}
    second = tables["Decisions"].rows[1]
    assert second.cells[:3] == ("m", "bbh_direct", "1")
    assert dict(zip(tables["Decisions"].head[3:], second.cells[3:], strict=True)) == {
        "called and right": "1",
        "called and wrong": "0",
        "not called and right": "1",
        "not called and wrong": "0",
        "undecided": "2",
        "mendable": "3",
        "precision": "1.00",
        "recall": "0.33",
    }
    assert tables["Normalised average"].rows[0].cells == ("m, k = 0", "0.0", "0.0")
    assert "Other tasks" in tables


def test_what_was_there_to_ask_has_a_table(tmp_path: Path) -> None:
    tables = {grid.title: grid for grid in grids([results(run(tmp_path))])}
    expected = ("lama_trex", "4", "6 of 34,039 published facts", "2: its mask is not at its end")
    assert [row.cells for row in tables["Data"].rows] == [expected]


def test_a_plain_model_has_one_line_and_runs_stand_side_by_side(tmp_path: Path) -> None:
    plain, with_tools = run(tmp_path / "a", model="base", tools={}), run(tmp_path / "b", model="tuned")
    page, tables = write_reports([plain, with_tools])
    assert page.parent == plain
    text = tables.read_text("utf-8")
    assert "| base | " in text
    assert "| tuned, calls disabled | " in text
    assert label(results(with_tools)) == "tuned"


def test_the_page_is_the_same_every_time(tmp_path: Path) -> None:
    page, tables = write_reports([run(tmp_path)])
    before = page.read_bytes(), tables.read_bytes()
    write_reports([tmp_path])
    assert (page.read_bytes(), tables.read_bytes()) == before


class Seen(HTMLParser):
    """Which elements and attributes a page has, and whether they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "p", "dt", "dd", "i"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("p", "dt", "dd", "i"):
            assert self.open.pop() == tag


def test_what_a_model_says_is_never_markup(tmp_path: Path) -> None:
    page, tables = write_reports([run(tmp_path, model=EVIL, text=EVIL)])
    html = page.read_text("ascii")
    seen = Seen()
    seen.feed(html)
    assert seen.open == []
    assert not seen.tags & {"script", "img", "iframe", "link", "object", "form"}
    assert not any(name.startswith("on") or name in ("src", "href") for name in seen.attributes)
    assert "default-src 'none'" in html
    assert "&lt;script&gt;" in html
    assert "<script" not in tables.read_text("utf-8")


def test_a_shown_call_says_which_earlier_calls_it_uses() -> None:
    made = [("2 + 3", "5"), ("5 * 2", "10"), ("3 * 2", "6")]
    calls = tuple(CallMade(0, "Calculator", asked, result, "", 0.5, 0) for asked, result in made)
    page = example(replace(outcome("1", right=True), calls=calls), "")
    assert re.findall(r"(\d+(?:, uses call \d)?)\]", page) == ["5", "10, uses call 1", "6"]


def test_the_page_is_bounded_however_long_the_texts(tmp_path: Path) -> None:
    page, _ = write_reports([run(tmp_path, text="x" * 1_000_000)])
    assert page.stat().st_size < 100_000


def test_plots_are_well_formed_and_stay_inside(tmp_path: Path) -> None:
    task = results(run(tmp_path))["tasks"]["lama_trex"]
    made = task["decisions"]
    for svg in (
        plots.over_k("<a & b>", task["k"]),
        plots.decisions('"quoted"', made),
        plots.reliability("r", made["calibration"]["bins"]),
    ):
        root = ElementTree.fromstring(svg)
        for element in root.iter():
            for name in ("x", "x1", "x2", "cx"):
                assert 0 <= float(element.get(name, "0")) <= plots.WIDTH
            for name in ("y", "y1", "y2", "cy"):
                assert 0 <= float(element.get(name, "0")) <= plots.HEIGHT
    assert len(re.findall("<span", plots.legend())) == len(CASES)


def test_markdown_has_as_many_cells_in_every_line(tmp_path: Path) -> None:
    text = markdown(grids([results(run(tmp_path, model="a|b"))]))
    for block in text.split("### ")[1:]:
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_the_command_asks_counts_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problems = [{"ID": "c", "Body": "Ann had 2 eggs and found 3.", "Question": "How many?", "Answer": 5.0}]
    (tmp_path / "svamp").mkdir()
    (tmp_path / "svamp" / "SVAMP.json").write_text(json.dumps(problems), "utf-8")
    out = tmp_path / "out"
    asked = ["eval", "--out", str(out), "--tasks", "svamp", "--k", "0,3", "--data", str(tmp_path)]
    main([*asked, "--tools", "calculator"])
    assert "| builtin, calls disabled |" in capsys.readouterr().out
    assert json.loads((out / "results.json").read_text())["tools"].keys() == {"Calculator"}
    assert (out / "report.html").exists()
    with pytest.raises(SystemExit) as ended:
        main([*asked, "--tools", "none"])
    assert ended.value.code == 2
    assert "was made with other settings: tools was" in capsys.readouterr().err


def test_ctrl_c_says_where_it_goes_on(tmp_path: Path) -> None:
    """It ends the process, so it happens in another."""
    (tmp_path / "svamp").mkdir()
    row = {"ID": "c", "Body": "Ann had 2 eggs.", "Question": "How many?", "Answer": 2.0}
    (tmp_path / "svamp" / "SVAMP.json").write_text(json.dumps([row]), "utf-8")
    asked = ["eval", "--out", str(tmp_path / "out"), "--tasks", "svamp", "--data", str(tmp_path), "--tools", "none"]
    script = (
        "import signal, toolformer\n"
        "from toolformer.cli import main\n"
        "toolformer.load = lambda *_, **__: signal.raise_signal(signal.SIGINT)\n"  # while the model is loaded
        f"main({asked})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines() == [
        "not the published sets: svamp 1 of 1,000 published problems",
        f"toolformer: stopped; the same command goes on with {tmp_path / 'out'} where it was",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tasks", "svmp"], "no task is called 'svmp': did you mean svamp or svamp_xl?"),
        (["--k", "x"], "k is a list of numbers"),
        (["--tools", "calc", "--tasks", "svamp"], "did you mean Calculator"),
        (["--tasks", "svamp", "--data", "/nowhere", "--tools", "none"], "SVAMP.json is not there"),
        (["--tasks", ","], "name at least one task or group"),
        (["--tasks", "svamp", "--tools", "none", "--beside", "/nowhere"], "/nowhere holds no outcomes"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", "--out", str(tmp_path), *arguments])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1
