"""What an evaluation shows while it goes: how many requests are answered, of which task, and the time left."""

import sys
import time
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console

LINE_SECONDS = 10.0
"""Between two lines where nobody watches a terminal."""


@dataclass
class Progress:
    """How far a run is, in requests."""

    total: int
    """What this run has to answer; what an earlier one did is not counted."""
    done: int = 0
    what: str = ""
    """The task and k that are asked now."""
    finished: bool = False


class Display:
    """Shows progress on one line: over and over on a terminal, now and then in a log. Nothing depends on it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr)
        self._begun = time.monotonic()
        self._said = -LINE_SECONDS

    def show(self, progress: Progress) -> None:
        """Show it, if the last line is some time ago."""
        now = time.monotonic()
        if now - self._said < (0.2 if self._console.is_terminal else LINE_SECONDS) and not progress.finished:
            return
        self._said = now
        end = "\r" if self._console.is_terminal and not progress.finished else "\n"
        self._console.print(line(progress, now - self._begun), end=end, soft_wrap=True, highlight=False)


def line(progress: Progress, seconds: float) -> str:
    """The line: what, how many, how fast, how much longer."""
    rate = progress.done / seconds if seconds > 0 else 0.0
    words = [f"{progress.done:,} of {progress.total:,} answered", f"{rate:.1f}/s"]
    if rate and not progress.finished:
        words.append(f"{_span((progress.total - progress.done) / rate)} left")
    if progress.what and not progress.finished:
        words.append(progress.what)
    return f"{', '.join(words):<76}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
