"""What the README and the guide show is what happens: blocks and terminal sessions run, and print what they say."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = README + (ROOT / "docs" / "annotate.md").read_text("utf-8")
TOOLFORMER = Path(sys.executable).with_name("toolformer")


def blocks(kind: str) -> list[str]:
    """The fenced blocks of one kind."""
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", PAGES, re.DOTALL | re.MULTILINE)
    return [match[2] for match in found if match[1] == kind]


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_print_what_their_comments_say(block: str, tmp_path: Path) -> None:
    expected = re.findall(r"^\s*print\(.*\)  # (.*)$", block, re.MULTILINE)
    for lesson in blocks("toml"):  # its first line names the file
        (tmp_path / lesson.split("\n", 1)[0].removeprefix("# ")).write_text(lesson, "utf-8")
    script = tmp_path / "block.py"
    script.write_text(block, "utf-8")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("session", blocks("console"))
def test_terminal_sessions_are_real(session: str, tmp_path: Path) -> None:
    asked, expected = (
        re.findall(r"^\$ (.*)$", session, re.MULTILINE),
        re.split(r"^\$ .*\n", session, flags=re.MULTILINE)[1:],
    )
    for command, output in zip(asked, expected, strict=True):
        words = shlex.split(command)
        assert words[0] == "toolformer", "only our own command is shown with its output"
        done = subprocess.run([TOOLFORMER, *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.stdout + done.stderr).rstrip() == output.rstrip(), command


def test_the_tree_names_the_code_that_is_there() -> None:
    tree = next(block for block in blocks("") if "pyproject.toml" in block)
    files = (file for folder in ("toolformer", "tools", "data_gen", "eval") for file in (ROOT / folder).rglob("*.py"))
    assert set(re.findall(r"\w+\.py\b", tree)) == {file.name for file in files} - {"__init__.py"}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200
