"""Ctrl-C in a long command: it stops within two seconds, whatever it is in, and says where it goes on."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

PATIENCE = 1.5
"""Seconds in which a command may end by itself after Ctrl-C."""
STATUS = 130
_SHOW_CURSOR = "\033[?25h"


@contextmanager
def stopping(goes_on: str) -> Iterator[None]:
    """Within the block, Ctrl-C ends the command with this line, or the process if the command does not end.

    For commands whose files are whole or not there at any moment, so that nothing is lost by being ended. Waiting is
    no way out: a library may take the interruption for a failure of its own, or a tool's thread be joined at the exit.
    """
    if (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):  # ignored, as behind nohup, or somebody else's
        yield
        return
    stopped = threading.Event()

    def stop(*_: object) -> NoReturn:
        if stopped.is_set():  # pressed again
            os._exit(STATUS)
        stopped.set()
        timer = threading.Timer(PATIENCE, end)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    said = threading.Lock()

    def say() -> None:
        if said.acquire(blocking=False):
            cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
            print(f"{cursor}toolformer: stopped; {goes_on}", file=sys.stderr, flush=True)

    def end() -> NoReturn:
        say()
        os._exit(STATUS)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    except (KeyboardInterrupt, Exception):
        if not stopped.is_set():
            raise
        say()
        sys.exit(STATUS)
    finally:
        if not stopped.is_set():
            signal.signal(signal.SIGINT, signal.default_int_handler)
