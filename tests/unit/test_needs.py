"""What happens to a test whose need is missing: left out and named, except under continuous integration."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"

TESTS = """
import pytest

@pytest.fixture
def corpus():
    raise RuntimeError("set up although its need is missing")

@pytest.mark.needs("data")
def test_with_data(corpus): ...

def test_without(): ...
"""


def run(folder: Path, source: str, *flags: str, **environment: str) -> tuple[int, str]:
    shutil.copy(CONFTEST, folder)
    (folder / "test_some.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = needs(name): something outside Python\n")
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "TOOLFORMER_DATA")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags, str(folder)]
    done = subprocess.run(
        command,
        cwd=folder,
        env=kept | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_elsewhere_it_is_left_out_by_name_and_not_skipped(tmp_path: Path) -> None:
    status, output = run(tmp_path, TESTS)
    assert status == 0
    assert "1 passed, 1 deselected" in output
    assert "left out: 1 of test_some.py, for want of data (set TOOLFORMER_DATA" in output


def test_several_processes_name_it_once(tmp_path: Path) -> None:
    status, output = run(tmp_path, TESTS, "-p", "xdist", "--numprocesses", "2")
    assert status == 0
    assert output.count("left out: 1 of test_some.py, for want of data") == 1


def test_under_continuous_integration_it_fails_before_its_fixtures(tmp_path: Path) -> None:
    status, output = run(tmp_path, TESTS, CI="true")
    assert status == 1
    assert "data is missing: set TOOLFORMER_DATA" in output
    assert "RuntimeError" not in output
    assert "1 passed, 1 error" in output


def test_where_it_is_present_it_runs(tmp_path: Path) -> None:
    status, output = run(tmp_path, TESTS.replace("raise", "return 1 #"), TOOLFORMER_DATA=str(tmp_path))
    assert status == 0
    assert "2 passed" in output
    assert "left out" not in output


def test_a_need_nobody_knows_is_an_error(tmp_path: Path) -> None:
    status, output = run(tmp_path, TESTS.replace('"data"', '"dta"'))
    assert status == 4
    assert "needs ['dta']; tests/conftest.py knows ['chromium', 'data', 'mediawiki', " in output
