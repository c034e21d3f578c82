"""`toolformer index`: search indexes over passages of your own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from toolformer.commands.stopping import stopping


@dataclass(frozen=True)
class BuildIndex:
    """Build a search index from a file of passages."""

    passages: tyro.conf.Positional[Path]
    """JSONL with `title` and `text`, a text file with one passage a line, or a .json list of objects whose `paragraphs`
    are passages. The first two may be compressed (.gz)."""
    out: Path
    """The folder to write. Run the same command again to resume."""
    dense: str | None = None
    """An embedding model (sentence-transformers) by name or path; by default, the index ranks by words (BM25)."""

    def run(self) -> None:
        """Build it, or go on where an earlier build was stopped."""
        with stopping(f"the same command goes on with {self.out} where it was"):
            from toolformer.tools.index_build import build_index

            build_index(self.passages, self.out, self.dense)


@dataclass(frozen=True)
class VerifyIndex:
    """Read a whole search index and check that it is as it was built."""

    folder: tyro.conf.Positional[Path]
    """The folder of the index."""

    def run(self) -> None:
        """Print what it holds."""
        from toolformer.tools.search_index import SearchIndex

        print(SearchIndex.open(self.folder, verify=True).identity)


@dataclass(frozen=True)
class Index:
    """Build a search index over your own passages, or verify one."""

    command: (
        Annotated[BuildIndex, tyro.conf.subcommand("build")] | Annotated[VerifyIndex, tyro.conf.subcommand("verify")]
    )

    def run(self) -> None:
        """Run the command under this one."""
        self.command.run()
