"""What the README and the guides show is what happens.

The blocks of a page are tried in their order, in one folder and one Python, so that a later block may use what an
earlier one made. What a block is says how:

    python     is run, and prints what the comments behind its prints say; or, if its first line names a file, is
               written to it
    console    is run, command by command, and prints what stands below each ("..." is any text)
    toml       is written to the file that its first line names
    json       the same, without that line
    sh         is run, command by command; one that ends in `&` stays until the page ends, and what needs more than a
               test has says so, `# needs a GPU` (or the network, or hours), and is only read: commands.py
    text, math, mermaid    are nothing that could be run
"""

import ast
import doctest
import io
import os
import re
import shlex
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.readme.commands import commands, read, run
from toolformer import cli

ROOT = Path(__file__).parents[2]
README, METHOD, ARCHITECTURE = ROOT / "README.md", ROOT / "docs" / "method.md", ROOT / "docs" / "architecture.md"
LOG = ROOT / "docs" / "log"
RECIPES = sorted((ROOT / "recipes").glob("*/README.md"))
PAGES = [README, ROOT / "CONTRIBUTING.md", LOG / "README.md", *RECIPES, *sorted((ROOT / "docs").glob("*.md"))]
"""Of the log only its index: a day says what was, not what is."""
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PRINTS = re.compile(r"^\s*print\(.*\)  # (.*)$", re.MULTILINE)
FOLDERS = ("toolformer", "tools", "data_gen", "eval", "recipes")
CODE = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.timeout(900)  # a page is many commands
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("toolformer", "docs", "tests"):  # a reader is in the repository
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # of an environment
    monkeypatch.setenv("TOOLFORMER_CACHE", str(tmp_path / "cache"))
    with ExitStack() as servers:
        _try_blocks(page, tmp_path, servers)


def _try_blocks(page: Path, folder: Path, servers: ExitStack) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}  # so that a worker process gets the functions made here
    for block in FENCED.finditer(page.read_text("utf-8")):
        kind, text = block.groups()
        name, _, rest = text.partition("\n")
        if kind in ("toml", "json") or re.fullmatch(r"# \w+\.py", name):
            Path(name.removeprefix("# ")).write_text(rest if kind == "json" else text, "utf-8")
        elif kind == "python":
            # An error names the page and the line on it.
            lines = "\n" * block.string.count("\n", 0, block.start(2))
            assert _said(compile(lines + text, page, "exec"), names) == PRINTS.findall(text)
        elif kind == "console":
            _run_console(text)
        elif kind == "sh":
            for command in commands(text):
                run(command, folder, servers)
        else:
            assert kind in ("text", "math", "mermaid"), f"what is a block of the kind {kind!r}?"
            assert not re.search(r"^(?:\$ |toolformer |python |make |pip )", text, re.MULTILINE), text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_sentences_are_right(page: Path) -> None:
    known = {name for group in cli.COMMANDS.values() for name in group}
    for code in re.findall(r"`([^`]+)`", _prose(page)):
        words = code.split()
        if words[0] == "toolformer" and len(words) == 2:
            assert words[1] in known or words[1].startswith("-"), code
        elif (words[0] in ("toolformer", "make", "pytest") and len(words) > 1) or words[:2] == ["python", "-m"]:
            for command in commands(code):
                read(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_leads_to_is_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", _prose(page)):
        assert "://" in link or (page.parent / link).exists(), link


def _prose(page: Path) -> str:
    text = FENCED.sub("", page.read_text("utf-8"))
    assert "```" not in text, "a fence without its partner"
    assert not re.search(r"^    ", text, re.MULTILINE), "an indented block is not tried: fence it, and say what it is"
    return text


def _said(code: CodeType, names: dict[str, Any]) -> list[str]:
    with redirect_stdout(io.StringIO()) as said, redirect_stderr(io.StringIO()):
        exec(code, names)
    return said.getvalue().splitlines()


def _run_console(block: str) -> None:
    for session in re.findall(r"^\$ .*\n(?:(?!\$ ).*\n)*", block, re.MULTILINE):
        command, _, expected = session.partition("\n")
        words = shlex.split(command.removeprefix("$ "))
        assert words[0] == "toolformer", "only our own command is shown with its output"
        status = 0
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
            try:
                cli.main(words[1:])
            except SystemExit as exit_:
                status = int(exit_.code or 0)
        got = said.getvalue().rstrip() + "\n"
        same = doctest.OutputChecker().check_output(expected.rstrip() + "\n", got, doctest.ELLIPSIS)
        assert same, f"{command}\n{got}"
        assert status == (2 if expected.startswith("toolformer: ") else 0), command


def test_troubleshooting_quotes_what_is_said() -> None:
    quoted = re.findall(r"^- `([^`]+)`", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)
    assert len(quoted) >= 20
    unsaid = [message for message in quoted if not any(message in said for said in _strings())]
    assert not unsaid, unsaid


@cache
def _strings() -> list[str]:
    """All strings of the code; where a value is put in stands '…'."""
    found = []
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


NAMED = re.compile(r"`(?:(\w+)(?:\.\w+)?`(?:,| \()\s*`)?([\w/]+\.py)`")


@pytest.mark.parametrize("page", [METHOD, ARCHITECTURE], ids=lambda page: page.name)
def test_the_code_lives_where_a_page_says(page: Path) -> None:
    named = NAMED.findall(page.read_text("utf-8"))
    assert len([name for name, _ in named if name]) >= 15
    for name, path in named:
        code = (ROOT / path).read_text("utf-8")
        assert re.search(rf"^(?:\s*def |class )?{name}\b", code, re.MULTILINE), f"{name} in {path}"


def test_a_walk_is_short_and_never_goes_back() -> None:
    sections = re.split(r"^## ", ARCHITECTURE.read_text("utf-8"), flags=re.MULTILINE)
    walks = [hops for one in sections if (hops := re.findall(r"^\d+\. `\w+` \(`([\w/]+\.py)`\)", one, re.MULTILINE))]
    assert len(walks) == 2
    for hops in walks:
        assert 10 <= len(hops) <= 15
        assert len({*hops}) == len(hops)


def test_the_tree_names_the_code_that_is_there() -> None:
    tree = next(text for _, text in FENCED.findall(ARCHITECTURE.read_text("utf-8")) if "pyproject.toml" in text)
    assert set(re.findall(r"\w+\.py\b", tree)) == {path.name for path in CODE} - {"__init__.py"}


def test_the_log_lists_every_day_the_newest_first() -> None:
    listed = re.findall(r"^\| \[([\d-]+)\]\(\1\.md\)", (LOG / "README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == sorted((path.stem for path in LOG.glob("2*.md")), reverse=True)


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 100
