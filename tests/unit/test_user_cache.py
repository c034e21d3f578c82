"""Folders that are made once for a user, and are whole or not there."""

import errno
import multiprocessing
import time
from pathlib import Path

import pytest
from safetensors import SafetensorError

from toolformer.errors import ConfigError, DataError
from toolformer.user_cache import cache_folder, kept


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLFORMER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("TOOLFORMER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "toolformer"
    for nothing in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", nothing)
        assert cache_folder() == Path.home() / ".cache" / "toolformer"


def make(folder: Path) -> None:
    (folder / "file").write_text("whole")


def test_it_is_made_once(cache: Path) -> None:
    folder = kept("one", make)
    assert folder == cache / "one"
    assert kept("one", lambda _: pytest.fail("made again")) == folder
    assert (folder / "file").read_text() == "whole"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), "File too large"),
    ],
)
def test_nothing_half_written_is_left(cache: Path, error: Exception, said: str) -> None:
    def fail(folder: Path) -> None:
        make(folder)
        raise error

    with pytest.raises(DataError, match=rf"^cannot write to {cache}: .*{said}.*: make room .*TOOLFORMER_CACHE$"):
        kept("one", fail)
    assert [path.name for path in cache.iterdir()] == [".lock"]
    assert kept("one", make).is_dir()


def test_what_is_wrong_with_the_thing_itself_is_said_as_it_is(cache: Path) -> None:
    def refuse(_: Path) -> None:
        raise ConfigError("it is a joke")

    with pytest.raises(ConfigError, match="^it is a joke$"):
        kept("one", refuse)
    assert [path.name for path in cache.iterdir()] == [".lock"]


def test_what_a_killed_process_left_is_removed(cache: Path) -> None:
    (cache / ".other.tmp").mkdir(parents=True)
    (cache / ".other.tmp" / "half").touch()
    kept("one", make)
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "one"]


def slowly(number: int) -> None:
    def one_after_another(folder: Path) -> None:
        time.sleep(0.5)
        (folder / "file").write_text(str(number))

    kept("one", one_after_another)


def test_of_two_processes_one_makes_it_and_the_other_waits(cache: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    both = [spawn.Process(target=slowly, args=(number,)) for number in (1, 2)]
    for process in both:
        process.start()
        time.sleep(0.2)
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert (cache / "one" / "file").read_text() == "1"
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "one"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOOLFORMER_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot write to .*file: "):
        kept("one", make)
