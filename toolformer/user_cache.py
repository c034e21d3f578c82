"""What is made once and kept for this user: folders that are there whole or not at all, whatever happens meanwhile."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from toolformer.errors import DataError, first_line
from toolformer.whole_file import sync


def cache_folder() -> Path:
    """Where it is kept: $TOOLFORMER_CACHE, or else `toolformer` in the cache folder of the user."""
    if own := os.environ.get("TOOLFORMER_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # Who sets a relative one is not heard, says its specification.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "toolformer"


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache. If it is not there, `make` fills one, which gets the name when it is whole.

    Of several processes one makes it, and the others wait. What a killed one has left is removed by the next.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent):
            if not folder.is_dir():
                _make(folder, make)
    except (OSError, SafetensorError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        raise DataError(
            f"cannot write to {folder.parent}: {reason}. Nothing half-written was left: make room or rights and run "
            "the same again, or name another folder with $TOOLFORMER_CACHE"
        ) from error
    return folder


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    for left in folder.parent.glob(".*.tmp"):
        shutil.rmtree(left)
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        temporary.mkdir()
        make(temporary)
        for file in (*temporary.iterdir(), temporary):
            sync(file)
        temporary.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process is in such a block for the folder. The kernel ends it with the process."""
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
