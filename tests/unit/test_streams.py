"""Standard input, output and error that are closed, full, without a reader, or lack a letter."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text

from toolformer.screen import PipeConsole

CLI = f"{sys.executable} -m toolformer.cli"
SETTLED = f"{sys.executable} -c 'from toolformer.commands.streams import settle_streams; settle_streams(); {{}}'"


def run(command: str, **environment: str) -> tuple[int, str, str]:
    """A command of a shell: its status and what it said."""
    done = subprocess.run(
        ["bash", "-c", command], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "stream"),
    [
        ("--version >&-", "output"),
        ("--help >&-", "output"),
        ("tools --help >&-", "output"),
        ("call calculator 1+1 >&-", "output"),
        ("call calculator - <&-", "input"),
        ("generate --model nosuch <&-", "input"),  # it is said before any model is looked for
        ("chat --model nosuch <&-", "input"),
        ("annotate - --model nosuch --out OUT <&-", "input"),
    ],
)
def test_a_closed_stream_is_said_in_a_line(command: str, stream: str) -> None:
    status, _, error = run(f"{CLI} {command}")
    assert status == 2
    assert error.startswith(f"toolformer: standard {stream} is closed, but needed: ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "2> >(true)"])
def test_standard_error_is_no_part_of_the_work(where: str) -> None:
    assert run(f"{CLI} nosuch {where}") == (2, "", "")
    assert run(f"printf '1/0\\n1+1\\n' | {CLI} call calculator - {where}")[:2] == (2, "\n2\n")


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    path = tmp_path / "f"
    code = f'file = open("{path}", "w"); print("x", file=sys.stderr)'
    run(SETTLED.format(f"import sys; {code}") + " <&- >&- 2>&-")
    assert path.read_text() == ""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "ascii:surrogateescape"])
def test_a_letter_that_the_output_lacks_is_written_by_its_number_and_that_is_said(encoding: str) -> None:
    status, out, error = run(SETTLED.format('print("8 \\u2192 9", "\\u2192")'), PYTHONIOENCODING=encoding)
    assert (status, out) == (0, "8 \\u2192 9 \\u2192\n")
    assert error.startswith("toolformer: the output is to be ")
    assert len(error.splitlines()) == 1
    assert run(SETTLED.format('print("\\u2192")'), PYTHONIOENCODING="ascii:replace")[1:] == ("?\n", "")


def test_bytes_that_are_no_text_cost_their_line_alone() -> None:
    command = f"printf 'caf\\xe9\\n1+1\\n' | {CLI} call calculator -"
    status, out, error = run(command, PYTHONIOENCODING="utf-8")
    assert (status, out) == (2, "\n2\n")
    assert error.startswith("toolformer: line 1: it holds bytes that are no text in utf-8")


def test_a_reader_that_left_is_told_as_by_print() -> None:
    class Left(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        PipeConsole(file=Left()).print(Text("x"))
