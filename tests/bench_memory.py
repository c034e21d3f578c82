"""Memory stays flat, however long the corpus: `python -m tests.bench_memory [--documents 10000] [--rows 1000000]`.

Python's memory (tracemalloc) and the process's (RSS) after the first tenth of a run, and at its end. The annotator runs
with a scripted model, whose own memory does not change, so that what is seen is the pipeline, the tools and the files;
a reader of a million tiny documents is looked at by itself, with and without ids to be checked.
"""

import argparse
import gc
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.unit.test_annotator import PAPER, TEXT, paper_model
from toolformer.data_gen import Document, annotate, read_corpus
from toolformer.data_gen.shards import Progress
from toolformer.tools.calculator import Calculator

MB = 2**20


@dataclass
class Seen:
    """Megabytes after the first tenth and at the end."""

    early: float = 0.0
    late: float = 0.0
    early_rss: float = 0.0
    late_rss: float = 0.0

    def look(self, done: int, of: int) -> None:
        """Look when a tenth is done, and whenever asked from then on."""
        if 10 * done < of:
            return
        gc.collect()
        now, rss = tracemalloc.get_traced_memory()[0] / MB, _rss()
        if not self.early:
            self.early, self.early_rss = now, rss
        self.late, self.late_rss = now, rss

    def __str__(self) -> str:
        return (
            f"Python {self.early:7.2f} -> {self.late:7.2f} MB, process {self.early_rss:7.1f} -> {self.late_rss:7.1f} MB"
        )


def _rss() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def annotator(count: int) -> Seen:
    """Annotate so many documents, two thirds of which keep a call."""
    seen = Seen()

    def documents() -> Iterator[Document]:
        for number in range(count):
            yield Document(f"doc-{number}", f"Text {number}. {TEXT}" if number % 3 else f"Text {number} has no sum.")

    def look(progress: Progress) -> None:
        if not progress.finished:
            seen.look(progress.documents, count)

    with tempfile.TemporaryDirectory() as folder:
        _traced(
            lambda: annotate(
                documents(), [Calculator()], Path(folder, "out"), model=paper_model(), lessons=[PAPER], on_progress=look
            )
        )
    return seen


def reader(count: int, *, ids: bool) -> Seen:
    """Read so many tiny documents."""
    seen = Seen()

    def read() -> None:
        for number, _ in enumerate(read_corpus(file, id_column=None if ids else ""), 1):
            if 10 * number % count == 0:
                seen.look(number, count)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "corpus.jsonl")
        with file.open("w") as out:
            out.writelines(f'{{"id": "d{number}", "text": "Text {number}."}}\n' for number in range(count))
        _traced(read)
    return seen


def _traced(work: Callable[[], object]) -> None:
    tracemalloc.start()
    try:
        work()
    finally:
        tracemalloc.stop()


def main() -> None:
    """Print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"annotate, {options.documents:,} documents         {annotator(options.documents)}")
    print(f"read, {options.rows:,} rows by number     {reader(options.rows, ids=False)}")
    seen = reader(options.rows, ids=True)
    each = (seen.late - seen.early) * MB / (0.9 * options.rows)
    print(f"read, {options.rows:,} rows with ids      {seen}: {each:.0f} bytes for each id")


if __name__ == "__main__":
    main()
