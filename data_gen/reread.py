"""A corpus that is read several times: for its texts, and for what it knows of the calls in them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from toolformer.data_gen.documents import Columns, documents_and_rows
from toolformer.data_gen.known import KnownText, known_calls
from toolformer.data_gen.records import Document
from toolformer.data_gen.shard_records import digest
from toolformer.errors import ConfigError, DataError

KNOWN = "calls"
"""The column that is taken to say which calls are right, where a corpus has it."""


@dataclass(frozen=True)
class Corpus:
    """A corpus that can be read again and again, each time with the same documents."""

    source: str | Path
    columns: Columns = field(default_factory=Columns)
    split: str = "train"
    limit: int | None = None
    known_column: str | None = None
    """Which column says the calls that are right; by default "calls" where there is one; with "", none."""

    def __post_init__(self) -> None:
        path = Path(self.source)
        if str(self.source) == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
            raise ConfigError(f"{self.source} can be read only once, and every round reads it: write it to a file")

    def __iter__(self) -> Iterator[Document]:
        return (one for one, _ in documents_and_rows(self.source, self.columns, split=self.split, limit=self.limit))

    def known(self) -> Iterator[KnownText]:
        """The texts whose rows say which calls are right. A column that was asked for has to be there."""
        if self.known_column == "":
            return
        name = self.known_column or KNOWN
        columns = replace(self.columns, more=(name,))
        for document, row in documents_and_rows(self.source, columns, split=self.split, limit=self.limit):
            if name not in row.columns and self.known_column:
                raise DataError(f"{row.place} has no column {name!r} with known calls: name the right one as known")
            if row.values.get(name) is not None:
                yield KnownText(document.id, document.text, known_calls(row.values[name], row.place))

    def digest(self) -> str:
        """A hash of all documents, without what is known of their calls."""
        whole = hashlib.sha256()
        for one in self:
            whole.update(digest([one]).encode())
        return whole.hexdigest()
