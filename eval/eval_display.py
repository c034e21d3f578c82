"""What an evaluation shows while it goes: how many requests are answered, of which task, and the time left."""

import time
from dataclasses import dataclass

from rich.text import Text

from toolformer.screen import Screen, span


@dataclass
class Progress:
    """How far a run is, in requests."""

    total: int
    """What this run has to answer; what an earlier one did is not counted."""
    done: int = 0
    what: str = ""
    """The task and k that are asked now."""
    finished: bool = False


class Display(Screen):
    """Shows a run's progress. Use it in a `with` statement and give its `show` to the run."""

    def show(self, progress: Progress) -> None:
        """Show it as one line."""
        said = line(progress, time.monotonic() - self.begun)
        self.put(said, Text(said), news=progress.finished)


def line(progress: Progress, seconds: float) -> str:
    """The line: what, how many, how fast, how much longer."""
    rate = progress.done / seconds if seconds > 0 else 0.0
    words = [f"{progress.done:,} of {progress.total:,} answered", f"{rate:.1f}/s"]
    if rate and not progress.finished:
        words.append(f"{span((progress.total - progress.done) / rate)} left")
    if progress.what and not progress.finished:
        words.append(progress.what)
    return ", ".join(words)
