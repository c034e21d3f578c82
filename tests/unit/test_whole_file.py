"""Files written whole or not at all, and folders that have one writer."""

import errno
import os
import stat
from pathlib import Path

import pytest

from toolformer.errors import ConfigError, DataError
from toolformer.lock import LOCK, sole_writer
from toolformer.whole_file import make_folder, remove_unfinished, whole_file


def _broken_off(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"hal")
        raise KeyboardInterrupt


def test_nothing_is_left_of_what_was_broken_off(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        _broken_off(path)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]
    with whole_file(path) as file:
        file.write(b"whole")
        file.flush()
        assert path.read_text() == "before"
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["file"]


def test_a_files_content_is_synced_before_it_is_renamed_and_its_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the second, a power cut can lose the name."""
    path, sync, seen = tmp_path / "file", os.fsync, []

    def watched(descriptor: int) -> None:
        synced = os.fstat(descriptor)
        seen.append("folder" if stat.S_ISDIR(synced.st_mode) else f"file of {synced.st_size}")
        assert path.exists() == stat.S_ISDIR(synced.st_mode)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with whole_file(path) as file:
        file.write(b"whole")
    assert seen == ["file of 5", "folder"]


def test_no_file_stays_open_however_many_are_written(tmp_path: Path) -> None:
    """A long run writes thousands, and a process may have a thousand open."""
    before = os.listdir("/dev/fd")
    with sole_writer(tmp_path):
        for number in range(3):
            with whole_file(tmp_path / f"{number}"):
                pass
    assert os.listdir("/dev/fd") == before


def test_where_no_file_can_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder: name a file"), whole_file(tmp_path):
        pass
    with pytest.raises(ConfigError, match="there is no folder .*/missing$"), whole_file(tmp_path / "missing" / "file"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write to .*file/folder: Not a directory; choose another folder"):
        make_folder(tmp_path / "file" / "folder")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["pathlib.Path.open", "os.fsync", "pathlib.Path.replace"])
def test_what_the_system_refuses_is_one_line_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """A full disk, a broken one, a read-only folder."""
    path = tmp_path / "file"
    path.write_text("before")

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(call, refused)
        with (
            pytest.raises(DataError, match=f"^cannot write to {path}: {os.strerror(number)}. What was written before"),
            whole_file(path) as file,
        ):
            file.write(b"whole")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".file.123.tmp", ".notes.tmp", "notes.123.tmp", "file"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".notes.tmp", "file", "notes.123.tmp"]


def test_one_writer_at_a_time_and_another_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with sole_writer(folder), pytest.raises(ConfigError, match="another run is writing to"), sole_writer(folder):
        pass
    with pytest.raises(ZeroDivisionError), sole_writer(folder):
        raise ZeroDivisionError
    with sole_writer(folder):
        pass


def test_where_no_lock_can_be_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(DataError, match=f"^cannot write to {tmp_path}: Is a directory; choose another folder$"):  # noqa: SIM117
        with sole_writer(tmp_path):
            pytest.fail("it was let in")


def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/full")):
        with pytest.raises(ConfigError, match="is no file but a pipe or a device"), whole_file(path) as file:
            file.write(b"x")
        assert not path.is_file()
