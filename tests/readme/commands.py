"""The commands of a page's `sh` blocks: run on something small, or only read, by the parser that would read them.

A command is run as it stands; one that ends in `&` is a server, which stays until the page ends. What a page has no
value for, it names in capitals (CORPUS, DATA): such a name is a file or folder beside the command, made by stand_ins.py
unless an earlier command of the page has written it. A command whose comment says `# needs ...` (a GPU, the network,
hours) is only read, so that a wrong flag is seen. So is `make`, which sets up an environment: its dry run says whether
the target, and all that it depends on, is there.
"""

import importlib
import io
import itertools
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from unittest import mock

from tests.readme.stand_ins import make_stand_ins
from toolformer import cli

ROOT = Path(__file__).parents[2]
NEEDS = re.compile(r"\s# needs (?:a GPU|the network|hours)\b")
SMALL = {
    "annotate": ("--limit", "12"),
    "eval": ("--limit", "1"),
    "train": ("--steps", "2", "--batch-size", "4"),
    "distil": ("--steps", "2", "--batch-size", "4"),
    "prefer": ("--steps", "2", "--pairs", "8", "--k", "10000"),
    "expert train": ("--steps", "2", "--batch-size", "4"),
}
"""Flags that are put behind a command so that it is done in seconds; of a flag that is there twice, the last counts."""


@dataclass(frozen=True)
class Command:
    """One command of a block."""

    words: tuple[str, ...]
    runs: bool
    """Whether it needs nothing that a test has not."""

    def __str__(self) -> str:
        return shlex.join(self.words)


def commands(block: str) -> Iterator[Command]:
    """The commands of a block, in their order."""
    for line in block.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield Command(tuple(words), runs=not NEEDS.search(line))


def run(command: Command, folder: Path, servers: ExitStack) -> None:
    """Run a command in the folder, which is the current one, or read it if it needs more than a test has.

    A server is stopped when the stack is closed.
    """
    match command.words:
        case [*words, "&"]:
            make_stand_ins(words, folder)
            _serve(words, servers)
            return
        case ["toolformer", name, *given] if command.runs:
            small = SMALL.get(name) or SMALL.get(" ".join((name, *given[:1])), ())
            start = partial(cli.main, [name, *given, *small])
        case ["python", "-m", module, *_] if command.runs:
            start = importlib.import_module(module).main
        case [first, *_]:
            assert not command.runs or first in ("make", "git", "cd", "pytest", "kill"), (
                f"{command}: say what it needs, or have it run"
            )
            read(command)
            return
    make_stand_ins(command.words, folder)
    argv, stdin = mock.patch("sys.argv", list(command.words[2:])), mock.patch("sys.stdin", io.StringIO())
    with redirect_stdout(io.StringIO()) as said, redirect_stderr(said), argv, stdin:
        status = _status(start)
    assert status == 0, f"{command}\n{said.getvalue()}"


def _serve(words: list[str], servers: ExitStack) -> None:
    """Start a server and wait until its port answers."""
    port = next(int(port) for flag, port in itertools.pairwise(words) if flag in ("--port", "--http"))
    log_file = Path(f"{port}.log")
    with log_file.open("wb") as log:
        server = servers.enter_context(subprocess.Popen(words, stdout=log, stderr=log))
    servers.callback(server.terminate)
    for _ in range(300):
        assert server.poll() is None, f"{shlex.join(words)}\n{log_file.read_text('utf-8')}"
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"{shlex.join(words)} did not start within a minute")


def _status(start: Callable[[], object]) -> int:
    try:
        start()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


def read(command: Command) -> None:
    """Have a command's own parser read it, and do nothing else."""
    words = list(command.words)
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        del words[0]
    match words:
        case ["toolformer", *given] | ["accelerate", "launch", "--config_file", _, "-m", "toolformer.cli", *given]:
            assert words[0] == "toolformer" or (ROOT / words[3]).exists(), command
            assert given[-1] in ("--help", "--help-all", "--version") or cli.parse_any(given)
        case ["python", "-m", module, *given]:
            _read_by_module(module, *given)
        case ["python", script, *_]:
            assert (ROOT / script).exists() or Path(script).exists(), command  # the page may have written it
        case ["make", *given]:
            _read_by_make(*given)
        case ["pytest", *paths]:
            assert all((ROOT / path).exists() for path in paths), command
        case ["pip", "install", *wanted]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
            assert set(re.findall(r"toolformer(?:-kit)?\[(\w+)\]", " ".join(wanted))) <= extras.keys()
        case _:
            assert words[0] in ("git", "cd", "kill", "nvidia-smi", "export"), f"nothing here can read {command}"


_READ = """
import argparse, runpy, sys
read = argparse.ArgumentParser.parse_args
def only_read(self, *words):
    read(self, *words)
    raise SystemExit(0)
argparse.ArgumentParser.parse_args = only_read
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
raise SystemExit("it reads no words")
"""


@cache
def _read_by_module(module: str, *given: str) -> None:
    """A module with argparse is run, in an interpreter of its own, up to where its words are read."""
    _succeeds(sys.executable, "-c", _READ, module, *given)


@cache
def _read_by_make(*given: str) -> None:
    _succeeds("make", "--dry-run", *given)


def _succeeds(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
