"""Tries an installed toolformer as its users would. Run by the Python of an environment that has nothing else:

build/fresh/bin/python tests/packaging/smoke.py
"""

import contextlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import toolformer
from toolformer.cli import main


def tried() -> None:
    """Everything, in a folder of its own. What does not work is an AssertionError."""
    package = Path(toolformer.__file__).parent
    assert package.parent == Path(sysconfig.get_path("purelib")), f"{package} is not what was installed"
    assert (package / "py.typed").is_file()
    assert importlib.metadata.version("toolformer-kit") == toolformer.__version__
    command = str(Path(sysconfig.get_path("scripts")) / "toolformer")
    assert _shell(command, "--version") == f"toolformer {toolformer.__version__}\n"
    assert _shell(command, "call", "Calculator", "1+1") == "2\n"
    # In this process, so that torch is loaded once.
    Path("corpus.jsonl").write_text('{"text": "There are 8 boxes with 76 oranges in each, so there are 608."}\n')
    _said("annotate", "corpus.jsonl", "--out", "out", "--tools", "calculator,dates,qa")
    assert _said("report", "out").strip() == str(Path("out", "report.html"))
    assert _said("generate", "There are 8 boxes", "--max-new-tokens", "4").strip()
    found = json.loads(_said("doctor", "--json"))["findings"]
    assert {one["name"] for one in found} >= {"packages", "sandbox", "model"}


def _shell(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _said(*words: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(words)
    return out.getvalue()


if __name__ == "__main__":
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        tried()
        os.chdir("/")
    print(f"toolformer {toolformer.__version__} works in {sys.prefix}: {time.monotonic() - begun:.0f} s")
