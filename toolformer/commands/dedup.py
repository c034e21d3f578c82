"""`toolformer dedup`: a corpus without its near-duplicates."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from toolformer.commands.annotate import Rows
from toolformer.commands.flags import Often
from toolformer.commands.stopping import stopping
from toolformer.commands.streams import check_stdin


@dataclass(frozen=True)
class Dedup:
    """Drop near-duplicates from a corpus before annotating it.

    Of texts that are alike, the first stays.
    """

    corpus: tyro.conf.Positional[str]
    """A .jsonl, .parquet or .txt file, a folder, a dataset as NAME or NAME:CONFIGURATION, or "-" for standard input."""
    out: Path
    """The folder to write: corpus.jsonl has the texts that stay, and dropped.jsonl the others."""
    threshold: float = 0.8
    """How alike two texts are at least, of which one is dropped: the share of their runs of five words that both have,
    from 0 to 1, as MinHash estimates it."""
    limit: int | None = None
    """Stop after this many documents."""
    rows: Annotated[Rows, Often("text_column")] = field(default_factory=Rows)

    def run(self) -> None:
        """Do it, showing how far it is, and say how many stay."""
        from toolformer.data_gen.corpus_size import documents_in
        from toolformer.data_gen.near_duplicates import dedup

        if self.corpus == "-":
            check_stdin()
        with stopping(f"nothing was written to {self.out}"):
            counts = dedup(
                self.corpus,
                self.out,
                threshold=self.threshold,
                limit=self.limit,
                total=documents_in(self.corpus, self.limit),
                **asdict(self.rows),
            )
        print(f"{self.out}: {counts.kept:,} texts stay, {counts.dropped:,} near-duplicates are dropped")
