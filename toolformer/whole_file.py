"""Files that are there in full or not at all, whatever happens while they are written.

Nothing here keeps two programs from writing into one folder: that is what `lock.py` does.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from toolformer.errors import ConfigError, DataError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which becomes `path` at the end of the block and survives a power cut from then on.

    If the block raises, an earlier file of that name stays as it was.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file to write")
    if path.exists() and not path.is_file():  # it would be replaced, be it /dev/null
        raise ConfigError(f"{path} is no file but a pipe or a device: name a file to write")
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}")
    # Two writers of one file must not share a temporary one; the last to finish wins.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise DataError(
            f"cannot write to {path}: {error.strerror or error}. What was written before is safe: make room or rights "
            "and run the same again, or choose another place"
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder to write to, unless it is there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {path}: {error.strerror}; choose another folder") from error


def remove_unfinished(folder: Path) -> None:
    """Remove what a writer that was killed has left. For a folder that nobody writes to."""
    for unfinished in folder.glob(".*.[0-9]*.tmp"):
        unfinished.unlink()


def sync(path: Path) -> None:
    """Make a file's content, or the entries of a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
