"""What a run shows while it goes: documents and tokens per second, time left, the funnel per tool, what kinds of
failures there were, the last error.

It only looks on: nothing of a run depends on it.
"""

import time
from typing import TextIO

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from toolformer.data_gen.shard_records import FUNNEL
from toolformer.data_gen.shards import Progress
from toolformer.screen import Screen, span


class Display(Screen):
    """Shows a run's progress. Use it in a `with` statement and give its `show` to the run."""

    def __init__(self, total: int | None = None, stream: TextIO | None = None) -> None:
        """`total` is how many documents there are about, where that is known."""
        super().__init__(stream)
        self._total = total

    def show(self, progress: Progress) -> None:
        """Show it as a table with a line and a bar, or as the line alone."""
        line = self._line(progress, time.monotonic() - self.begun)
        self.put(line, *self._table(progress, line), news=progress.finished)

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
            words.append(f"{span((total - progress.documents) / rate)} left")
        words.append(f"{kept:,} calls kept in {progress.annotated:,} texts")
        if progress.scored > progress.documents:
            words = [f"finding thresholds: {progress.scored:,} texts scored"]
        if progress.failed:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(progress.failed.items()))
            words.append(f"{sum(progress.failed.values()):,} calls without a result ({kinds})")
        if progress.unavailable:
            words.append(f"{progress.unavailable:,} of them wait for the network: the same command again tries them")
        if progress.last_error:
            words.append(f"last error: {progress.last_error}")
        return ", ".join(words)

    def _texts(self, progress: Progress) -> int | None:
        """How many texts there will be about: as many for each document as so far."""
        if not self._total or not progress.read:
            return self._total
        if progress.finished:
            return progress.documents
        # While thresholds are found, texts are read ahead.
        return max(progress.documents, self._total * max(progress.documents, progress.scored) // progress.read)

    def _table(self, progress: Progress, line: str) -> list[RenderableType]:
        table = Table("tool", *FUNNEL, box=None, pad_edge=False, header_style="bold")
        for tool, counts in progress.funnel.items():
            table.add_row(tool, *(f"{counts[stage]:,}" for stage in FUNNEL))
        parts: list[RenderableType] = [table, Text(line)]
        if total := self._texts(progress):
            parts.append(ProgressBar(total=total, completed=progress.documents, width=60))
        return parts
