"""Tests that need something outside Python: `@pytest.mark.needs("mediawiki")`.

Where it is missing, those tests are left out and the summary says what to install. Under continuous integration
(CI=true) nothing is left out: they fail.
"""

import functools
import io
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from absl import logging as absl_logging

# Before anything imports torch: its threads wait for each other at every step, and beside another busy process that
# takes many times as long. The models here are too small to gain from a second thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@dataclass(frozen=True)
class Need:
    """How to see whether it is there, and how to get it."""

    present: Callable[[], bool]
    advice: str


def _has_mediawiki() -> bool:
    return shutil.which("php") is not None and Path("/usr/share/mediawiki/maintenance/install.php").exists()


def _has_chromium() -> bool:
    return shutil.which("chromium") is not None


def _has_data() -> bool:
    return Path(os.environ.get("TOOLFORMER_DATA") or "/nonexistent").is_dir()


def _has_smollm2() -> bool:
    from toolformer.errors import ConfigError
    from toolformer.hf.source import placed

    try:
        placed("smollm2", offline=True)
    except ConfigError:
        return False
    return True


NEEDS = {
    "mediawiki": Need(
        _has_mediawiki, "apt-get install --no-install-recommends mediawiki php-cli php-sqlite3 micro-httpd"
    ),
    "chromium": Need(_has_chromium, "apt-get install --no-install-recommends chromium"),
    "openssl": Need(lambda: shutil.which("openssl") is not None, "apt-get install --no-install-recommends openssl"),
    "smollm2": Need(_has_smollm2, "make smollm2"),
    "data": Need(_has_data, "set TOOLFORMER_DATA to the folder of benchmark data"),
}

LEFT_OUT = pytest.StashKey[Counter[tuple[str, str]]]()


def _missing(item: pytest.Item) -> list[str]:
    """What this test needs and does not find."""
    names = [name for marker in item.iter_markers("needs") for name in marker.args]
    if unknown := set(names) - NEEDS.keys():
        raise pytest.UsageError(f"{item.nodeid} needs {sorted(unknown)}; tests/conftest.py knows {sorted(NEEDS)}")
    return [name for name in names if not _present(name)]


@functools.cache
def _present(name: str) -> bool:
    return NEEDS[name].present()


def _under_ci() -> bool:
    return os.environ.get("CI") == "true"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = config.stash.setdefault(LEFT_OUT, Counter())
    if _under_ci():
        return
    missing = {item: _missing(item) for item in items}
    for item, names in missing.items():
        left_out.update((name, item.nodeid.partition("::")[0]) for name in names)
    config.hook.pytest_deselected(items=[item for item in items if missing[item]])
    items[:] = [item for item in items if not missing[item]]


# Before any fixture of the test is set up: the fixture is what would break.
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in _missing(item):
        pytest.fail(f"{name} is missing: {NEEDS[name].advice}", pytrace=False)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of pytest-xdist has ended: all of them have left out the same."""
    node.config.stash[LEFT_OUT] = Counter(dict(getattr(node, "workeroutput", {}).get("left_out", ())))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if output := getattr(session.config, "workeroutput", None):
        output["left_out"] = [*session.config.stash[LEFT_OUT].items()]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for (name, file), count in sorted(config.stash.get(LEFT_OUT, Counter()).items()):
        terminalreporter.line(f"left out: {count} of {file}, for want of {name} ({NEEDS[name].advice})", yellow=True)


# rouge-score imports absl, which remembers what standard error is then and closes it when uvicorn sets up logging. That
# would be where pytest collects the output.
absl_logging.get_absl_handler().python_handler.stream = io.StringIO()

# A shell has Ctrl-C ignored by what it runs in the background, and by all that this starts; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
