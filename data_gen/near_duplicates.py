"""Near-duplicates are taken out of a corpus before it is annotated.

How alike two texts are is the share of their runs of five words that both have (Jaccard), estimated by MinHash. In the
corpus's order, a text is dropped if it is alike to one that was kept before it. So the first of some copies stays, and
no kept text is alike to another, as far as the estimate goes. Of a chain, in which a is like b, and b like c, but a not
like c, another order may keep another number of texts.

    OUT/corpus.jsonl     the lines of the texts that are kept, byte for byte; of other files than JSON lines, the text,
                         the id, the date and the address
    OUT/dropped.jsonl    the texts that were dropped, each with the id of the kept one, and how alike they are
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolformer.data_gen.corpus_files import FileRow
from toolformer.data_gen.documents import Columns, documents_and_rows
from toolformer.data_gen.records import Document
from toolformer.errors import ConfigError
from toolformer.lock import sole_writer
from toolformer.screen import shown
from toolformer.version import DISTRIBUTION
from toolformer.whole_file import remove_unfinished, whole_file

WORDS = 5
"""In a run of words. A text with fewer has one run, all of it."""
HASHES = 128
"""The estimate is off by 0.035 or less for two pairs in three that are alike by 0.8."""
MISSES = 0.95
"""How much the index minds to miss a pair, of 1; the rest is how much it minds to name one that is not alike enough,
which costs only a look."""
AT_ONCE = 4096
"""Runs of words that are hashed together, so that memory does not grow with the text."""
CORPUS, DROPPED = "corpus.jsonl", "dropped.jsonl"

# Each character of a script that puts no spaces between words counts as a word: Thai to Burmese, Khmer, Chinese and
# Japanese.
_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_NO_SPACES}]|(?:(?![{_NO_SPACES}])\w)+")


@dataclass(frozen=True)
class Deduplicated:
    """How many texts came to what."""

    kept: int
    dropped: int


def dedup(
    corpus: str | Path,
    out: Path,
    *,
    threshold: float = 0.8,
    text_column: str = "text",
    id_column: str | None = None,
    date_column: str | None = None,
    url_column: str | None = None,
    split: str = "train",
    limit: int | None = None,
    total: int | None = None,
) -> Deduplicated:
    """Write a corpus without its near-duplicates into a folder; the module says what, and which of them stay.

    Memory grows with the kept texts, by about 5 KB each. The files are there when all is done, and not before.

    Args:
        corpus: What `read_corpus` takes, as are the columns, the split and the limit.
        out: The folder.
        threshold: How alike two texts are at least, of which one is dropped, from 0 to 1.
        text_column: The column with the text.
        id_column: That with the ids; without one, texts are called as `read_corpus` calls them.
        date_column: That with the date.
        url_column: That with the address.
        split: Which split of a dataset.
        limit: Stop after so many documents.
        total: How many documents there are about, for the display.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold={threshold}: it has to be above 0 and at most 1, which equal texts are alike by")
    source, written = Path(corpus).resolve(), out.resolve()
    if source in (written / CORPUS, written / DROPPED) or (source.is_dir() and written.is_relative_to(source)):
        raise ConfigError(f"{corpus} would be overwritten by {out / CORPUS}, or read it: choose another folder")
    seen = _Seen(threshold)
    dropped = 0
    columns = Columns(text_column, id_column, date_column, url_column)
    documents = documents_and_rows(corpus, columns, split=split, limit=limit)
    with sole_writer(out):
        remove_unfinished(out)
        with whole_file(out / CORPUS) as kept_lines, whole_file(out / DROPPED) as dropped_lines:
            for document, row in shown(documents, "texts compared", total):
                if (like := seen.like(document)) is None:
                    kept_lines.write(_line(document, row, columns))
                else:
                    dropped += 1
                    said = {"id": document.id, "text": document.text, "like": like[0], "jaccard": round(like[1], 3)}
                    dropped_lines.write(json.dumps(said, ensure_ascii=False).encode() + b"\n")
    return Deduplicated(len(seen), dropped)


class _Seen:
    """The texts that were kept, by what they look like."""

    def __init__(self, threshold: float) -> None:
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError as error:
            raise ConfigError(f"datasketch is not installed: pip install '{DISTRIBUTION}[dedup]'") from error
        self._threshold = threshold
        self._none = MinHash(HASHES)
        # Above 0.95 it would have one band alone, which it refuses. What it names is looked at anyway.
        self._index = MinHashLSH(min(threshold, 0.95), HASHES, weights=(1 - MISSES, MISSES))
        self._kept: list[tuple[str, NDArray[np.uint32]]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def like(self, document: Document) -> tuple[str, float] | None:
        """The kept text that this one is most alike to, and by how much; or None, and it is kept from now on."""
        minhash = self._none.copy()
        for runs in _runs(document.text):
            minhash.update_batch(runs)
        own = minhash.hashvalues
        alike = {number: float(np.mean(self._kept[number][1] == own)) for number in sorted(self._index.query(minhash))}
        best = max(alike, key=alike.__getitem__, default=None)
        if best is not None and alike[best] >= self._threshold:
            return self._kept[best][0], alike[best]
        self._index.insert(len(self._kept), minhash, check_duplication=False)
        self._kept.append((document.id, own))
        return None


def _runs(text: str) -> Iterator[list[bytes]]:
    """The runs of words of a text, some at a time. A text without a word is one run by itself."""
    words = _WORD.findall(text.casefold()) or [text]
    count = max(1, len(words) - WORDS + 1)
    for begin in range(0, count, AT_ONCE):
        end = min(begin + AT_ONCE, count)
        yield [" ".join(words[at : at + WORDS]).encode() for at in range(begin, end)]


def _line(document: Document, row: FileRow, columns: Columns) -> bytes:
    """The row's own line, or one made of what is known of the document, in the columns that were asked for."""
    if row.line is not None:
        return row.line.encode() + b"\n"
    facts = document.facts
    said = {
        columns.id if columns.id is not None else "id": document.id,
        columns.text: document.text,
        columns.date if columns.date is not None else "date": facts.date and facts.date.isoformat(),
        columns.url if columns.url is not None else "url": facts.url,
    }
    known = {name: value for name, value in said.items() if name and value is not None}
    return json.dumps(known, ensure_ascii=False).encode() + b"\n"
