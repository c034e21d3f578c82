"""What a run shows while it goes: documents and tokens per second, time left, the funnel per tool, the last error.

On a terminal a table that stays in place; elsewhere a plain line now and then, for logs. It only looks on: nothing of a
run depends on it.
"""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from toolformer.data_gen.folder import FUNNEL
from toolformer.data_gen.run import Progress

LINE_SECONDS = 10.0
"""Between two plain lines."""


class Display:
    """Shows a run's progress. Use it in a `with` statement and give its `show` to the run."""

    def __init__(self, total: int | None = None, stream: TextIO | None = None) -> None:
        """`total` is how many documents there are about, where that is known."""
        self._total = total
        self._console = Console(file=stream or sys.stderr)
        self._live = Live(console=self._console, transient=False) if self._console.is_terminal else None
        self._begun = time.monotonic()
        self._said = -LINE_SECONDS

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show it now, or as a line if the last one is some time ago."""
        now = time.monotonic()
        if self._live:
            self._live.update(self._table(progress, now - self._begun), refresh=True)
        elif now - self._said >= LINE_SECONDS or progress.finished:
            self._said = now
            self._console.print(self._line(progress, now - self._begun), soft_wrap=True, highlight=False)

    def _line(self, progress: Progress, seconds: float) -> str:
        done = progress.documents - progress.resumed
        rate = done / seconds if seconds else 0.0
        total = self._texts(progress)
        of = f" of {total:,}" if total else ""
        kept = sum(counts["kept"] for counts in progress.funnel.values())
        words = [
            f"{progress.documents:,}{of} texts",
            f"{rate:.1f} texts/s",
            f"{progress.tokens / max(seconds, 1e-9):,.0f} tokens/s",
        ]
        if total and rate and not progress.finished:
            words.append(f"{_span((total - progress.documents) / rate)} left")
        words.append(f"{kept:,} calls kept in {progress.annotated:,} texts")
        if progress.last_error:
            words.append(f"last error: {progress.last_error}")
        return ", ".join(words)

    def _texts(self, progress: Progress) -> int | None:
        """How many texts there will be about: as many for each document as so far."""
        if not self._total or not progress.read:
            return self._total
        if progress.finished:
            return progress.documents
        return max(progress.documents, self._total * progress.documents // progress.read)

    def _table(self, progress: Progress, seconds: float) -> Group:
        table = Table("tool", *FUNNEL, box=None, pad_edge=False, header_style="bold")
        for tool, counts in progress.funnel.items():
            table.add_row(tool, *(f"{counts[stage]:,}" for stage in FUNNEL))
        parts: list[Table | Text | ProgressBar] = [table, Text(self._line(progress, seconds))]
        if total := self._texts(progress):
            parts.append(ProgressBar(total=total, completed=progress.documents, width=60))
        return Group(*parts)


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
