"""`toolformer generate` and `toolformer chat`, as they are seen in a terminal."""

import fcntl
import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.fakes import ScriptedLM
from tests.unit.test_cli import status
from tests.unit.test_decode import ARROW, CALLED, CLOSE, OPEN, Fake, adds, either, fails
from toolformer import Toolformer
from toolformer.commands.conversation import Conversation
from toolformer.commands.streams import printable

FAST = ("--model", "builtin", "--max-new-tokens", "4")


def test_generate_prints_what_the_model_writes(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("generate", "There are 8 boxes", *FAST) == 0
    once = capsys.readouterr().out
    assert once.strip()
    assert status("generate", "There are 8 boxes", *FAST, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"].strip() == once.strip()
    assert set(told) == {"text", "calls", "raw", "end"}


def test_each_line_of_standard_input_has_its_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"One day\n{'so ' * 3000}\nThe capital of France is\n"))
    assert status("generate", *FAST, "--json") == 2
    out, error = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [set(line) for line in lines] == [
        {"text", "calls", "raw", "end"},
        {"error"},
        {"text", "calls", "raw", "end"},
    ]
    assert re.search(r"toolformer: line 2: [\d,]+ tokens do not fit into 1,02\d", error)
    assert "1 of the lines had no answer" in error


def test_without_the_model_that_is_named_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("generate", "x", "--model", "./nowhere") == 2
    assert capsys.readouterr().err.startswith("toolformer: no model is called './nowhere'")


def test_nothing_that_a_model_says_steers_the_terminal() -> None:
    assert printable("a\x1b[2J\x07b\r\u202ec\x9b1md\ud800\n\te") == "a\ufffd[2J\ufffdb\ufffd\ufffdc\ufffd1md\ufffd\n\te"
    assert printable("héllo 👩‍🔬 עברית") == "héllo 👩‍🔬 עברית"


def talk(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    *texts: str,
    tool: Fake | None = None,
    calls: int = 1,
) -> str:
    """What is shown when this is typed to a model that goes on with these texts."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    follows = either(*texts)
    model = ScriptedLM(follows=lambda said: follows(said.rpartition("\n")[2]))
    with Toolformer(model, [tool or Fake("Sum", adds)]) as tf:
        Conversation(tf, tf.chat(k=1, calls=calls)).run()
    return capsys.readouterr().out


def test_calls_are_shown_as_they_happen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shown = talk(monkeypatch, capsys, "x\n", CALLED)
    assert shown == " is [Sum(2 + 2) → 4, rank 1, p 0.60] 4.\n"
    shown = talk(monkeypatch, capsys, "x\n", CALLED, "x is so.", tool=Fake("Sum", fails))
    assert shown == " is [Sum(2 + 2) undone: Sum: no] so.\n"


BOXES = "There are 8 boxes with 76 oranges in each, so there are"
FINAL = "<API> Calculator(76 * 8)→ 608</API> 608 oranges"


def test_chat_shows_draft_review_and_revision(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{BOXES}\n"))
    assert status("chat", "--reflect", "--max-new-tokens", "4") == 0
    draft, first, *more = capsys.readouterr().out.splitlines()
    assert draft.startswith("draft: ")
    assert first.startswith("  review at 0 (rank 0): Calculator(76 * 8) gave 608: changed (gain ")
    assert any(line.startswith(f"revision: {FINAL}") for line in more)


def test_chat_says_why_a_draft_was_not_reviewed(capsys: pytest.CaptureFixture[str]) -> None:
    with Toolformer(ScriptedLM(), [Fake("Sum", adds)]) as tf:
        Conversation(tf, tf.chat(), reflect=True)._turn("x")
    assert capsys.readouterr().out == ("draft: \n  not reviewed: the draft has no words of its own, at most calls\n")


def test_generate_prints_what_reflection_comes_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{BOXES}\n{'so ' * 3000}\n"))
    assert status("generate", "--reflect", "--max-new-tokens", "4", "--json") == 2
    told, wrong = map(json.loads, capsys.readouterr().out.splitlines())
    assert told["raw"].startswith(FINAL)
    assert (set(told), [call["result"] for call in told["calls"]]) == ({"text", "calls", "raw", "end"}, ["608"])
    assert set(wrong) == {"error"}


def test_which_earlier_results_a_call_uses_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = f"{CALLED.removesuffix('.')}{OPEN} Sum(4 + 3){ARROW} 7{CLOSE} 7."
    shown = talk(monkeypatch, capsys, "x\n", chain, calls=2)
    assert "[Sum(4 + 3) → 7, rank 1, p 0.60, uses call 1]" in shown


def test_what_a_model_says_is_neither_markup_nor_control(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = talk(monkeypatch, capsys, "x\n", "x [red]\x1b]0;gotcha\x07 :smile:")
    assert shown == " [red]\ufffd]0;gotcha\ufffd :smile:\n"


def test_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "said.jsonl"
    typed = f"x\n/tools\n/k 0\n/k\n/k x\n/save {file}\n/save {file}\n/save\n/undo\n/undo\n/save {tmp_path}/a/b\n/tool\n"
    shown = talk(monkeypatch, capsys, typed, CALLED).splitlines()
    assert shown == [
        " is [Sum(2 + 2) → 4, rank 1, p 0.60] 4.",
        "Sum  It answers.",
        "k = 0",
        "k = 0",
        "k is a whole number, such as /k 3, not 'x'",
        f"2 turns in {file}",
        f"{file}: File exists; nothing was saved",
        "name a file: /save FILE",
        "removed",
        "the conversation is empty",
        f"{tmp_path}/a/b: No such file or directory; nothing was saved",
        "no command is called '/tool': did you mean /tools? There is: /help, /k, /quit, /save, /tools, /undo.",
    ]
    user, answer = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    assert user == {"role": "user", "content": "x", "calls": []}
    assert (answer["content"], answer["calls"][0]["result"]) == (" is 4.", "4")


def test_quit_leaves(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert talk(monkeypatch, capsys, "/quit\nx\n", CALLED) == ""


def test_ctrl_c_stops_the_answer_and_not_the_program() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "toolformer.cli", "chat", "--model", "builtin", "--min-new-tokens", "900"]
    process = subprocess.Popen(
        [*command, "--max-new-tokens", "900"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # Its own terminal, so that the key becomes a signal.
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)

    deadline = time.monotonic() + 120

    def until(wanted: str, key: bytes = b"") -> None:
        """Read until this is shown. A key is pressed again if nothing comes: between two prompts it may go unheard."""
        shown = ""
        os.write(ours, key)
        while not re.search(wanted, shown):
            assert time.monotonic() < deadline, f"no {wanted!r} in {shown!r}"
            if select.select([ours], [], [], 5)[0]:
                shown += os.read(ours, 1).decode("utf-8", "replace")
            else:
                os.write(ours, key)

    try:
        until("/help lists the commands.")
        os.write(ours, b"One day\n")
        # It has begun to answer, and has hundreds of tokens to go.
        until(r"One day\r\n[\s\S]{40}")
        until(r"\(stopped\)", key=b"\x03")
        os.write(ours, b"/undo\n")
        until("removed")
        until("> ")
        until("Type /quit to leave", key=b"\x03")
        os.write(ours, b"/quit\n")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
