"""A corpus as documents, one at a time: the columns of its rows get their meaning here.

The files themselves are read by corpus_files.py; long documents are cut by split.py. Nothing here knows of models.
"""

import datetime
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from toolformer.data_gen.corpus_files import FileRow, read_rows
from toolformer.data_gen.records import Document
from toolformer.errors import ConfigError, DataError
from toolformer.text_file import storable
from toolformer.tool import DocumentFacts

log = logging.getLogger("toolformer")


def read_corpus(
    source: str | Path,
    *,
    text_column: str = "text",
    id_column: str | None = None,
    date_column: str | None = None,
    url_column: str | None = None,
    split: str = "train",
    limit: int | None = None,
) -> Iterator[Document]:
    """The documents of a corpus, in its order, read as they are asked for. A corpus without any is a DataError.

    A text without a word is left out, and the log says so. Half a surrogate pair, which JSON can spell and no file can
    hold, becomes U+FFFD; otherwise texts stay as they are.

    Args:
        source: What corpus_files.py lists: a .jsonl, .parquet or .txt file, a folder, a dataset, "-".
        text_column: The column with the text.
        id_column: The column with the ids. By default "id", where the first row has one; otherwise, or with "", rows
            are called by their numbers and text files by their paths. No two documents may share an id: that is
            checked with about 100 bytes of memory for each.
        date_column: The column with the date, as YYYY-MM-DD with or without a time; by default "date". Where it says
            nothing, the date is looked for in the document's address.
        url_column: The column with the address; by default "url".
        split: Which split of a dataset.
        limit: Stop after so many documents.
    """
    columns = Columns(text_column, id_column, date_column, url_column)
    return (document for document, _ in documents_and_rows(source, columns, split=split, limit=limit))


@dataclass(frozen=True)
class Columns:
    """Where in its rows a corpus has what; see `read_corpus`."""

    text: str = "text"
    id: str | None = None
    date: str | None = None
    url: str | None = None
    more: tuple[str, ...] = ()
    """Others to read, where they are there."""


def documents_and_rows(
    source: str | Path, columns: Columns, *, split: str = "train", limit: int | None = None
) -> Iterator[tuple[Document, FileRow]]:
    """The documents, each with the row that it was read from."""
    if limit is not None and limit < 1:
        raise ConfigError(f"limit={limit}: ask for one document at least")
    asked = {"id": columns.id, "date": columns.date, "url": columns.url}
    chosen = {what: column or what for what, column in asked.items() if column != ""}
    rows = read_rows(source, (columns.text, *chosen.values(), *columns.more), split)
    ids: _Ids | None = None
    count = empty = 0
    for row in rows:
        if ids is None:
            _check_columns(row, [columns.text, *filter(None, asked.values())])
            ids = _Ids(chosen.get("id"), row)
        name = ids.of(row)
        text = _text(row, columns.text)
        if not text.strip():
            empty += 1
            if empty == 1:
                log.warning("%s: an empty text, left out like any other such", row.place)
            continue
        yield Document(name, text, _facts(row, chosen.get("date"), chosen.get("url"))), row
        count += 1
        if count == limit:
            break
    if empty > 1:
        log.warning("%s: %d empty texts were left out", source, empty)
    if not count:
        raise DataError(f"{source} holds no document" + (f", only {empty} without text" if empty else ""))


class _Ids:
    """The ids of the documents, and where each of them stood first."""

    def __init__(self, column: str | None, first: FileRow) -> None:
        self._column = column if column and first.values.get(column) is not None else None
        self._sources: list[str] = []
        # A hash, and the number of the source and the row packed in one: a third of what id and place would take.
        self._places: dict[int, int] = {}

    def of(self, row: FileRow) -> str:
        """The id of the next document."""
        if self._column is None:
            return storable(row.name)
        value = row.values.get(self._column)
        if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
            raise DataError(
                f"{row.place}: {self._column!r} is {_shown(value)}, where a text or a number belongs, as in the rows "
                'before it; or number the rows with id_column=""'
            )
        name = storable(str(value))
        if self._sources[-1:] != [row.source]:
            self._sources.append(row.source)
        place = len(self._sources) << 40 | row.number
        first = self._places.setdefault(hash(name), place)
        if first != place:
            before = f"{self._sources[(first >> 40) - 1]}:{first & (1 << 40) - 1}"
            raise DataError(
                f'{row.place}: the id {_shown(name)} was at {before} already; name another id column, or "" for the '
                "numbers of the rows"
            )
        return name


def _check_columns(first: FileRow, columns: list[str]) -> None:
    """That the first row has the columns which the corpus was said to have."""
    for column in columns:
        if column not in first.columns:
            raise _missing(first, column)


def _missing(row: FileRow, column: str) -> DataError:
    there = ", ".join(_shown(name) for name in list(row.columns)[:20]) or "none"
    return DataError(f"{row.place} has no column {column!r}; it has: {there}. Name the right one")


def _text(row: FileRow, column: str) -> str:
    """The row's text, empty where there is none."""
    if column not in row.columns:
        raise _missing(row, column)
    value = row.values.get(column)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{row.place}: {column!r} is {_shown(value)}, where a text belongs")
    return storable(value or "")


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:60] + "…"


def _facts(row: FileRow, date_column: str | None, url_column: str | None) -> DocumentFacts:
    date, url = (row.values.get(column) if column else None for column in (date_column, url_column))
    return facts_of(date, url)


def facts_of(date: object, url: object) -> DocumentFacts:
    """What a row says of its document, as far as it can be read; an address may tell the date."""
    address = storable(url) if isinstance(url, str) and url else None
    return DocumentFacts(_date(date) or (date_in(address) if address else None), address)


def _date(value: object) -> datetime.date | None:
    """The day, if the value is one or begins with one in ISO's spelling; what cannot be read is not known."""
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    if not isinstance(value, str):
        return None
    return _day(_ISO.match(value))


_ISO = re.compile(r"\s*(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?!\d)", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_IN_PATH = re.compile(
    r"(?<![\d])(?P<year>(?:19|20)\d\d)"
    rf"(?P<between>[-/_.])(?P<month>\d\d?|{'|'.join(_MONTHS)})(?P=between)(?P<day>\d\d?)(?!\d)",
    re.ASCII | re.IGNORECASE,
)


def date_in(url: str) -> datetime.date | None:
    """The day in an address: /2019/05/17/, /2019/may/17/, 2019-05-17. Its query and fragment are not looked at."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return next(filter(None, map(_day, _IN_PATH.finditer(path))), None)


def _day(match: re.Match[str] | None) -> datetime.date | None:
    """The day whose year, month and day were found, if there is one."""
    if match is None:
        return None
    month = match["month"].casefold()
    number = int(month) if month.isdigit() else _MONTHS.index(month) + 1
    try:
        return datetime.date(int(match["year"]), number, int(match["day"]))
    except ValueError:
        return None
