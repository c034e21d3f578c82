"""Ctrl-C in real processes: it is over within two seconds, says where it goes on, and does."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.test_run import content
from toolformer.data_gen import annotate, read_corpus
from toolformer.tools.calculator import Calculator
from toolformer.tools.index_build import build_index

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "toolformer" / "builtin" / "corpus.jsonl"
SECONDS = 2.0
SAID = "toolformer: stopped; the same command goes on with {} where it was"
EARLY = (
    "toolformer: stopped; demo, annotate, train, bootstrap, prefer, distil, expert train and index build go on where "
    "they were when run again"
)


def interrupted(command: list[str], moment: Callable[[], bool]) -> tuple[int, str]:
    """Run a command and press Ctrl-C when the moment has come: its status, and what it said on standard error."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        while not moment():
            assert process.poll() is None, f"it was over before: {process.communicate()[1]}"
            time.sleep(0.01)
        pressed = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
        _, error = process.communicate(timeout=20)
        assert time.monotonic() - pressed < SECONDS
    finally:
        process.kill()
    return process.returncode, error


def toolformer(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "toolformer.cli", *map(str, arguments)]


def after(seconds: float) -> Callable[[], bool]:
    begun = time.monotonic()
    return lambda: time.monotonic() - begun > seconds


def test_annotate_stops_and_goes_on(tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    command = toolformer("annotate", CORPUS, "--out", out, "--tools", "calculator", "--limit", 12, "--shard-size", 2)
    status, error = interrupted(command, lambda: (out / "shards" / "00001.json").exists())
    assert status == 130
    assert error.splitlines()[-1] == SAID.format(out)
    assert not (out / "funnel.json").exists()
    corpus = list(itertools.islice(read_corpus(CORPUS), 12))
    assert 4 <= annotate(corpus, [Calculator()], out, shard_size=2, limit=12).resumed < 12
    annotate(corpus, [Calculator()], whole, shard_size=2, limit=12)
    assert content(out) == content(whole)


@pytest.mark.parametrize("seconds", [0.8, 1.6])
def test_annotate_stops_while_it_starts(tmp_path: Path, seconds: float) -> None:
    """While torch is imported: numpy turns an interruption there into an endless recursion. On a slow machine the
    command itself has not begun by then, and the message cannot name its folder."""
    status, error = interrupted(toolformer("annotate", CORPUS, "--out", tmp_path / "out"), after(seconds))
    assert status == 130
    assert error.splitlines()[-1] in (SAID.format(tmp_path / "out"), EARLY)


def test_rounds_stop_and_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = (
        "--tools calculator --limit 48 --shard-size 24 --rounds 1 --steps 2 --batch-size 4 --filtering-threshold lesson"
    )
    command = toolformer("bootstrap", CORPUS, "--out", out, *flags.split())
    shard, model = out / "round-1" / "annotated" / "shards" / "00000.json", out / "round-1" / "model"
    for moment in (shard, model / "checkpoints"):
        status, error = interrupted(command, moment.exists)
        assert (status, error.splitlines()[-1]) == (130, SAID.format(out))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert (model / "adapter_model.safetensors").exists()


def test_index_build_stops_and_goes_on(tmp_path: Path) -> None:
    passages, out, whole = tmp_path / "passages.txt", tmp_path / "out", tmp_path / "whole"
    with passages.open("w") as file:
        file.writelines(
            f"Passage {n} is about thing {n * 7919 % 100_003} and {n % 97} others.\n" for n in range(60_000)
        )
    lines = out / "passages.jsonl"
    command = toolformer("index", "build", passages, "--out", out)
    status, error = interrupted(command, lambda: lines.exists() and lines.stat().st_size > 1_000_000)
    assert (status, error) == (130, SAID.format(out) + "\n")
    assert not (out / "manifest.json").exists()
    manifest = build_index(passages, out)
    assert manifest == build_index(passages, whole)


SCRIPT = """
import signal, sys, threading, time
from toolformer.commands.stopping import stopping
def swallow():
    while True:
        try:
            time.sleep(30)
        except KeyboardInterrupt:
            pass
def fail():
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        raise RecursionError("of a library") from None
with stopping("it goes on"):
    print("begun", flush=True)
    {body}
"""


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(30)",
        "threading.Thread(target=time.sleep, args=[30]).start(); time.sleep(30)",  # joined at the exit
        "swallow()",
        "fail()",
        "threading.Lock().acquire() and threading.Thread(target=lambda: 1).start(); [0 for _ in iter(int, 1)]",
    ],
)
def test_whatever_it_is_in(body: str, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", SCRIPT.format(body=f"open({str(begun)!r}, 'w').close(); {body}")]
    assert interrupted(command, begun.exists) == (130, "toolformer: stopped; it goes on\n")


def test_a_failure_that_is_none_of_ours_stays_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body="raise ValueError('mine')")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: mine\n")


def test_who_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    body = "signal.raise_signal(signal.SIGINT); print('alive')"
    script = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + SCRIPT.format(body=body)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "begun\nalive\n", "")
