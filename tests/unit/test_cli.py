"""The command line: what it prints, and how it fails."""

import ast
import contextlib
import dataclasses
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import toolformer
from tests.annotated_sample import call, kept, write_folder
from tests.bounds import cpu_seconds
from toolformer.catalog import CATALOG, ToolSettings, _own_knowledge, make_tools
from toolformer.cli import COMMANDS, main
from toolformer.commands.bench import BenchAnnotate, BenchDecode
from toolformer.commands.flags import Often
from toolformer.commands.index import BuildIndex, VerifyIndex
from toolformer.errors import ConfigError
from toolformer.tool import traits_of

KINDS: dict[str, type] = {name: kind for group in COMMANDS.values() for name, kind in group.items()}
NAMES = [*KINDS]
UNDER = {
    "bench annotate": BenchAnnotate,
    "bench decode": BenchDecode,
    "index build": BuildIndex,
    "index verify": VerifyIndex,
}
ROOT = Path(__file__).parents[2]


def status(*arguments: str) -> int:
    """Run a command in this process and return its exit status."""
    try:
        main(arguments)
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def test_help_answers_at_once() -> None:
    assert cpu_seconds(sys.executable, "-m", "toolformer.cli", "--help") < 0.5


def test_the_overview_names_every_command_and_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--help") == 0
    out, _ = capsys.readouterr()
    assert [word for word in re.findall(r"^  ([\w-]+) +[A-Z]", out, re.MULTILINE) if word.islower()] == NAMES
    assert len(out.splitlines()) <= 50
    assert max(map(len, out.splitlines())) <= 80
    assert status() == 2  # a newcomer gets it, too, but not as an answer
    assert capsys.readouterr() == ("", out)
    assert status("--version") == 0
    assert capsys.readouterr().out == f"toolformer {toolformer.__version__}\n"


@pytest.fixture(scope="module")
def completed() -> dict[str, set[str]]:
    """Every command, also those under another, and the flags that it takes, as tyro tells shells."""
    with contextlib.redirect_stdout(io.StringIO()) as script:
        main(["completion", "bash"])
    (line,) = re.findall(r"^COMPLETION_SPEC = (.+)$", script.getvalue(), re.MULTILINE)
    found = {}

    def walk(name: str, spec: dict[str, Any]) -> None:
        found[name] = {option["flags"][-1] for option in spec["options"] if option["flags"][-1].startswith("--")}
        for inner, its in spec["subcommands"].items():
            walk(f"{name} {inner}".strip(), its)

    walk("", ast.literal_eval(line))
    return found


@pytest.mark.parametrize("name", [*NAMES, *UNDER])
@pytest.mark.parametrize(("columns", "lines"), [(80, 60), (100, 50)])
def test_each_commands_help_fits_a_screen_and_names_every_flag(
    name: str,
    columns: int,
    lines: int,
    completed: dict[str, set[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert status(*name.split(), "--help") == 0
    brief = capsys.readouterr().out
    assert status(*name.split(), "--help-all") == 0
    everything = capsys.readouterr().out
    flags = completed[name] - {"--help", "--help-all"}
    for said in (brief, everything):
        assert said.startswith(f"usage: toolformer {name}")
        assert max(map(len, said.splitlines())) <= columns
        assert not re.search(r"None|\(default: (False)?\)|NoneType|\xa0", said)
        assert all((ROOT / page).exists() for page in re.findall(r"docs/[\w-]+\.md", said))
        assert set(re.findall(r"--[a-z][a-z-]*", re.sub(r"`[^`]*`", "", said))) - {"--help", "--help-all"} == flags
    assert len(brief.splitlines()) <= lines
    explained = re.findall(r"^  (--[a-z-]+)(?: .*?)?(?:  \S|\n {6,}\S)", everything, re.MULTILINE)
    assert sorted(explained) == sorted(flags)
    hidden = re.search(r"^  also --", brief, re.MULTILINE)
    assert bool(hidden) == (everything != brief) == brief.endswith("--help-all explains every flag.\n")


@pytest.mark.parametrize("name", [*NAMES, *UNDER])
def test_the_flags_that_are_set_often_are_flags(name: str) -> None:
    kind: Any = {**KINDS, **UNDER}[name]
    for field in get_type_hints(kind, include_extras=True).values():
        for mark in getattr(field, "__metadata__", ()):
            if isinstance(mark, Often):
                assert set(mark.names) < {one.name for one in dataclasses.fields(field.__origin__)}


def test_flags_stand_in_groups_under_what_they_decide(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("annotate", "--help") == 0
    brief = capsys.readouterr().out
    assert brief.startswith("usage: toolformer annotate CORPUS --out PATH [FLAGS]\n\nFind the calls that help a model")
    assert re.findall(r"^[A-Z].*[^.\n]$", brief, re.MULTILINE) == [
        "How the corpus is divided",
        "Columns of the corpus",
        "How the model is loaded",
        "What proposes the calls, if not the model that judges them, and where it judges",
        "How calls are found and judged, for all lessons",
        "Settings of the package's tools",
    ]
    assert "\n  also --id-column --date-column --url-column --split\n" in brief
    assert "\n  --split STR " not in brief
    assert status("annotate", "--help-all") == 0
    assert re.search(r"^  --split STR +The split of a dataset\. \(default: train\)$", capsys.readouterr().out, re.M)


def test_help_is_asked_for_in_more_ways_than_one(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("report", "--help"), ("report", "-h"), ("help", "report"), ("report", "x", "--limit", "two", "-h")):
        assert status(*words) == 0
        assert capsys.readouterr().out.startswith("usage: toolformer report FOLDER [FLAGS]\n")
    assert status("help", "bench", "decode") == 0
    assert capsys.readouterr().out.startswith("usage: toolformer bench decode [FLAGS]\n")
    assert status("help") == status("--help-all") == 0
    assert capsys.readouterr().out.count("usage: toolformer COMMAND") == 2
    assert status("call", "calculator", "--", "--help") == 2  # behind --, nothing is a flag
    assert capsys.readouterr().out == ""


def test_the_help_of_a_preset_says_what_it_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("train", "--preset", "paper", "--help") == 0
    assert "(default: 1e-05)" in capsys.readouterr().out


def test_a_screen_of_one_column_breaks_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1")
    assert status("train", "--help-all") == 0
    assert "--learning-rate FLOAT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("anotate", "c.jsonl"), "no command is called 'anotate': did you mean annotate? There is: annotate, bench"),
        (("--hepl",), "no command is called '--hepl'"),
        (("anotate", "--help"), "no command is called 'anotate': did you mean annotate? There is: annotate, bench"),
        (("help", "anotate"), "no command is called 'anotate': did you mean annotate? There is: annotate, bench"),
        (("bench", "anotate", "--help"), "no command of toolformer bench is called 'anotate': did you mean annotate?"),
        (("index", "search"), "Available subcommands: build, verify"),
        (("call", "calc", "1", "--decimals", "two"), "'two' is not a whole number"),
        (("generate", "x", "--temperature", "hot"), "'hot' is not a number"),
        (("generate", "x", "--seed", "1" + "0" * 400), "is too large a number: 18 digits are enough"),
        (("call", "calc", "1", "--date", "tomorrow"), "Invalid isoformat string: 'tomorrow'"),
        (("call", "calc", "1", "--decimal", "2"), "Perhaps you meant: --decimals INT"),
        (("report",), "Missing from toolformer report: FOLDER"),
        (
            ("export", "x", "--out", "o", "--format", "xml"),
            "one of ('text', 'messages', 'sharegpt', 'parquet', 'preference', 'kto')",
        ),
        (("train", "x", "--out", "o", "--quantize", "None"), "Expected one of ('int8', 'nf4')"),
        (("completion", "ksh"), "Expected one of ('bash', 'zsh', 'fish')"),
    ],
)
def test_a_wrong_word_is_named_with_what_would_be_right(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(*arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert said in " ".join(error.split())
    assert "NoneType" not in error


@pytest.mark.parametrize(("set_to", "coloured"), [("", True), ("1", False)])
@pytest.mark.parametrize("words", [("tools", "--help"), ("call",), ("doctor",)])
def test_colours_are_for_terminals_that_want_them(words: tuple[str, ...], set_to: str, coloured: bool) -> None:
    code = (
        "import sys; from toolformer.commands import checks, doctor; doctor.CHECKS = {'python': checks.python};"
        "from toolformer.cli import main; main(sys.argv[1:])"
    )
    terminal, ours = pty.openpty()
    environment = {**os.environ, "NO_COLOR": set_to, "TERM": "xterm-256color"}
    with subprocess.Popen([sys.executable, "-c", code, *words], stdout=ours, stderr=ours, env=environment) as process:
        os.close(ours)
        said = b""
        with contextlib.suppress(OSError):  # how a terminal ends whose other side is closed
            while some := os.read(terminal, 65536):
                said += some
        os.close(terminal)
    assert process.returncode == (2 if words == ("call",) else 0)
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]", said)) == coloured
    piped = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, env=environment, check=False)
    assert b"\x1b" not in piped.stdout + piped.stderr


def test_bash_completes_commands_flags_choices_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("completion", "bash") == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "corpus.jsonl").touch()
    ask = """source ./script
        ask() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _tyro_toolformer; echo "${COMPREPLY[@]}"; }
        ask toolformer ann; ask toolformer annotate --sampler-; ask toolformer annotate --help
        ask toolformer train x --preset ''
        ask toolformer index build x --out cor; ask toolformer annotate cor; complete -p toolformer"""
    done = subprocess.run(["bash", "--norc", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    commands, flags, helps, choices, files, nothing, registered = done.stdout.splitlines()
    assert commands == "annotate"
    assert set(flags.split()) == {"--sampler-model", "--sampler-by", "--sampler-parallel"}
    assert set(helps.split()) == {"--help", "--help-all"}
    assert (choices, files, nothing) == ("small paper", "corpus.jsonl", "")
    assert registered.startswith("complete -o default -F ")  # so that bash offers files where there is nothing


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_their_script_and_files(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("completion", shell) == 0
    script, error = capsys.readouterr()
    assert error == ""
    assert "annotate" in script
    assert ("_files || _describe" in script) if shell == "zsh" else ("--no-files" not in script)


def test_call_prints_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("call", "Calculator", "400 / 1400") == 0
    assert capsys.readouterr() == ("0.29\n", "")


def test_settings_reach_the_tools(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("call", "calculator", "2 / 3", "--decimals", "4") == 0
    assert status("call", "calendar", "--date", "2026-11-20") == 0
    assert status("call", "qa", "What is the capital of France?") == 0
    assert capsys.readouterr().out.splitlines() == ["0.6667", "Today is Friday, November 20, 2026.", "Paris"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("call", "Calculator", "1 / 0"), "toolformer: Calculator: division by zero"),
        (("call", "calc", "1"), "toolformer: no tool is called 'calc': did you mean Calculator? There is: "),
        (("call", "wiki", "Paris", "--language", "fr"), "toolformer: Wikipedia wants to know who is asking"),
        (("index", "verify", "/nowhere"), "toolformer: /nowhere"),
        (("bench", "annotate", "--plain-texts", "0"), "toolformer: --plain-texts 0: it must be 1 at least"),
        (("bench", "decode", "--rounds", "0"), "toolformer: --rounds 0: it must be 1 at least"),
        (("annotate", "/nowhere.jsonl", "--out", "OUT", "--tools", "calculator"), "toolformer: "),
    ],
)
def test_a_failure_is_one_line_and_status_2(
    arguments: tuple[str, ...],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOOLFORMER_CONTACT", raising=False)
    assert status(*arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(reason)
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (OSError(28, "No space left on device", "out/kept"), "toolformer: out/kept: No space left on device\n"),
        (OSError("tiny holds\n  no weights"), "toolformer: tiny holds no weights\n"),
    ],
)
def test_what_the_system_refuses_is_no_traceback(
    raised: OSError, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise raised

    monkeypatch.setattr(COMMANDS["Tools"]["tools"], "run", refuse)
    assert status("tools") == 2
    assert capsys.readouterr() == ("", said)


def test_annotate_reads_the_columns_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, out = tmp_path / "corpus.jsonl", tmp_path / "out"
    rows = [
        {"body": f"On March {n}, 2020, 3 days before March {n + 3}.", "nr": f"p{n}", "text": "wrong"} for n in (1, 2, 3)
    ]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = ("--text-column", "body", "--id-column", "nr", "--limit", "2")
    assert status("annotate", str(corpus), "--out", str(out), "--tools", "dates", *columns) == 0
    assert "2 texts" in capsys.readouterr().err
    written = "".join(file.read_text() for file in (*(out / "kept").iterdir(), *(out / "rejected").iterdir()))
    assert {json.loads(line)["id"] for line in written.splitlines()} == {"p1", "p2"}
    assert "wrong" not in written
    config = json.loads((out / "config.json").read_text())
    assert (config["limit"], config["sampler"]["model"]) == (2, "builtin")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--text-column", "nothing"), "corpus.jsonl:1 has no column 'nothing'; it has: 'text'. Name the right one"),
        (("--sampler", "http://localhost:1"), "which of the models of http://localhost:1? Name one as its model"),
        (("--sampler-model", "m"), "--sampler-model is one of a server's models: give the server's URL with --sampler"),
        (("--limit", "0"), "limit=0: it must be 1 at least"),
    ],
)
def test_what_annotate_cannot_do_is_said_before_a_model_is_loaded(
    flags: tuple[str, ...],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corpus.jsonl").write_text('{"text": "1 + 1 = 2"}\n')
    assert status("annotate", "corpus.jsonl", "--out", "out", "--model", "/no/model", "--tools", "dates", *flags) == 2
    assert capsys.readouterr().err.startswith(f"toolformer: {reason}")
    assert not Path("out").exists()


def test_lines_of_standard_input_are_asked_one_by_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("1 + 1\n1 / 0\n2 + 2\n"))
    assert status("call", "Calculator", "-") == 2
    out, error = capsys.readouterr()
    assert out == "2\n\n4\n"
    assert "line 2: Calculator: division by zero" in error
    assert "1 of the inputs had no answer" in error


def test_json_is_a_line_for_each_answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[dict[str, str]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    monkeypatch.setattr("sys.stdin", io.StringIO("1 + 1\n1 / 0\n"))
    assert status("call", "calculator", "-", "--json") == 2
    assert told() == [
        {"tool": "Calculator", "input": "1 + 1", "result": "2"},
        {"tool": "Calculator", "input": "1 / 0", "error": "Calculator: division by zero"},
    ]
    assert status("call", "calculator", "2 / 3", "--json") == 0
    assert told() == [{"tool": "Calculator", "input": "2 / 3", "result": "0.67"}]
    assert status("tools", "--json") == 0
    listed = told()
    assert [one["name"] for one in listed] == list(CATALOG)
    assert {frozenset(one) for one in listed} == {frozenset({"name", "short", "description", "example"})}


def test_a_report_says_for_machines_where_it_is_and_what_it_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Of 1,400 people, 400 passed: 0.29 of them."
    folder = write_folder(
        tmp_path / "out", [kept("a", text, call(text, " of them", "Calculator", "400 / 1400", "0.29"))]
    )
    assert status("report", str(folder), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["page"], told["documents"]) == (str(folder / "report.html"), 1)
    assert told["funnel"]["Calculator"]["kept"] == 1
    assert status("report", str(folder)) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"


def test_tools_lists_every_tool_with_a_call_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("tools") == 0
    listed = capsys.readouterr().out
    for entry in CATALOG.values():
        assert entry.name in listed
        assert entry.description in listed
        assert repr(entry.example) in listed


def test_an_index_is_built_verified_and_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passages = tmp_path / "passages.jsonl"
    passages.write_text(
        '{"title": "Ada", "text": "Ada Lovelace wrote about an engine."}\n{"title": "Bo", "text": "Bo is a dog."}\n'
    )
    assert status("index", "build", str(passages), "--out", str(tmp_path / "index")) == 0
    assert status("index", "verify", str(tmp_path / "index")) == 0
    capsys.readouterr()
    assert status("call", "wiki", "who wrote about the engine", "--index", str(tmp_path / "index")) == 0
    assert capsys.readouterr().out == "Ada: Ada Lovelace wrote about an engine.\n"


def test_wiki_knows_what_the_package_knows_unless_told_whom_to_ask(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOOLFORMER_CONTACT", raising=False)
    _own_knowledge.cache_clear()
    assert status("call", "wiki", "the capital of Albania") == 0
    assert capsys.readouterr().out.startswith("Albania: ")
    (said,) = [one.message for one in caplog.records if one.name == "toolformer"]
    assert re.match(r"searching the [0-9,]+ facts of this package, since no index is given; .* a contact$", said)
    (own,) = make_tools(ToolSettings(), ["wiki"])
    assert traits_of(own).version.startswith("1 builtin-")
    monkeypatch.setenv("TOOLFORMER_CONTACT", "you@example.org")
    (live,) = make_tools(ToolSettings(), ["wiki"])
    assert "wikipedia.org" in traits_of(live).version


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m toolformer.cli tools | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Calculator")
    assert done.stderr == ""


def test_names_are_taken_in_any_case_and_short() -> None:
    names = [made.name for made in make_tools(ToolSettings(), ["calculator", "DATES", "Qa"])]
    assert names == ["Calculator", "Dates", "QA"]
    with pytest.raises(ConfigError, match="did you mean Calendar"):
        make_tools(ToolSettings(), ["calendr"])
