"""What rounds show while they go: which round and stage it is, annotate's and train's own displays, and the table."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from toolformer.bootstrap.rounds import Round, table
from toolformer.bootstrap.stages import Watch
from toolformer.data_gen import annotate_display
from toolformer.data_gen.shards import Progress
from toolformer.finetune import train_display


class Displays(Watch):
    """Shows all of it: progress on standard error, a table of all rounds on standard output behind each."""

    def __init__(self, rounds: int, documents: int | None) -> None:
        """`documents` is how many there are about, where that is known."""
        self.tables = 0
        """Those shown so far."""
        self._rounds, self._documents = rounds, documents

    @contextmanager
    def annotating(self, number: int) -> Iterator[Callable[[Progress], None]]:
        """See Watch."""
        self._say(number, "annotate: which calls make the texts more predictable?")
        with annotate_display.Display(self._documents) as display:
            yield display.show

    @contextmanager
    def training(self, number: int) -> Iterator[Callable[[train_display.Progress], None]]:
        """See Watch."""
        self._say(number, "train on the calls of all rounds")
        with train_display.Display() as display:
            yield display.show

    def done(self, rounds: Sequence[Round]) -> None:
        """Show the table."""
        self.tables += 1
        print("\n".join(table(rounds)), flush=True)

    def _say(self, number: int, stage: str) -> None:
        print(f"round {number} of {self._rounds}, {stage}", file=sys.stderr, flush=True)
