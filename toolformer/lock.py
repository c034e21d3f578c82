"""A folder that one run writes to at a time, and any number after one another.

The lock is the kernel's and ends with the process, however it ends; the file `.lock` stays and means nothing. It holds
on one machine: whether it does over a network is the file system's affair.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from toolformer.errors import ConfigError, DataError
from toolformer.whole_file import make_folder

LOCK = ".lock"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Make the folder, if it is not there, and keep every other run out of it for the time of the block."""
    make_folder(folder)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder, wait=False))
        except BlockingIOError:
            raise ConfigError(f"another run is writing to {folder}; wait for it, or choose another folder") from None
        except OSError as error:
            raise DataError(f"cannot write to {folder}: {error.strerror}; choose another folder") from error
        yield


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the folder's lock for the time of the block. If another process has it, wait; or raise BlockingIOError."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)
