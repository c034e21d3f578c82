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
    """Within the block, Ctrl-C ends the process with this line: when the block has ended, or when patience has.

    For commands whose files are whole or not there at any moment, so that nothing is lost by being ended. Waiting is
    no way out: a library may take the interruption for a failure of its own, or a tool's thread be joined at the exit.
    """
    # Who ignores it, as behind nohup, goes on doing so.
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    stopped, said = threading.Event(), threading.Lock()

    def end() -> NoReturn:
        if said.acquire(blocking=False):
            cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
            print(f"{cursor}toolformer: stopped; {goes_on}", file=sys.stderr, flush=True)
        os._exit(STATUS)

    def stop(*_: object) -> NoReturn:
        if stopped.is_set():  # pressed again
            end()
        stopped.set()
        timer = threading.Timer(PATIENCE, end)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    except (KeyboardInterrupt, Exception):
        if not stopped.is_set():
            raise
        end()  # and not by sys.exit: taking torch apart takes seconds, in which no timer runs any more
    finally:
        if not stopped.is_set():
            signal.signal(signal.SIGINT, signal.default_int_handler)
