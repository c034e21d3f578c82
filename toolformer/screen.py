"""Where a long run shows how far it is: a block that stays in place on a terminal, a plain line now and then in a log.

What is shown is its users' affair. It only looks on: nothing of a run depends on it.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import NoReturn, Self, TextIO, TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import track

T = TypeVar("T")

LINE_SECONDS = 10.0
"""Between two plain lines."""


class PipeConsole(Console):
    """One whose reader may leave: that is then a BrokenPipeError as for any other output, and no exit with status 1."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise on: it is called where the error is being handled."""
        raise


class Screen:
    """Shows things on standard error, unless it is given another stream. Use it in a `with` statement."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = PipeConsole(file=stream or sys.stderr)
        self._live = Live(console=self._console, transient=False) if self._console.is_terminal else None
        self._said = -LINE_SECONDS
        self.begun = time.monotonic()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def put(self, line: str, *block: RenderableType, news: bool) -> None:
        """Show the block now, or the line if it is news or the last one is some time ago."""
        if self._live:
            self._live.update(Group(*block))
        elif news or time.monotonic() - self._said >= LINE_SECONDS:
            self._said = time.monotonic()
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)


def span(seconds: float) -> str:
    """A time in words: 2 h 05 min, 5 min 03 s, 3 s."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def shown(items: Iterable[T], label: str, total: int | None = None, done: int = 0) -> Iterator[T]:
    """The items, with a bar on a terminal and a line every ten seconds elsewhere, both on standard error."""
    if sys.stderr.isatty():
        yield from track(items, label, total, completed=done, console=Console(stderr=True))
        return
    told = time.monotonic()
    for number, item in enumerate(items, done + 1):
        yield item
        if time.monotonic() - told >= LINE_SECONDS:
            print(f"{label}: {number:,}{f' of {total:,}' if total else ''}", file=sys.stderr, flush=True)
            told = time.monotonic()
