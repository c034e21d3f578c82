"""What is built once for all tests here: from the tracked files alone, as from a fresh clone."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.test_imports import ROOT


@functools.cache
def tracked() -> tuple[str, ...]:
    """The files that git knows and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(name for name in listed.split("\0") if name and (ROOT / name).exists())


def build(kind: str, source: Path, out: Path) -> Path:
    """A wheel or an sdist of the folder."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, as they are now."""
    clone = tmp_path_factory.mktemp("clone")
    for name in tracked():
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return clone


@pytest.fixture(scope="session")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their wheel."""
    return build("wheel", clone, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their source distribution."""
    return build("sdist", clone, tmp_path_factory.mktemp("sdist"))
