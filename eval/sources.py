"""Where tasks read from: the publishers' own files under one folder, or the hub's copy. Nothing here knows a format.

Every row comes with where it stands, for errors to name. A row that cannot be read is an error, never left out.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolformer.errors import DataError, first_line
from toolformer.text_file import json_lines, whole

JsonRow = dict[str, Any]
Rows = Iterator[tuple[str, JsonRow]]
"""Rows, each behind where it stands."""

_LONGEST = 1_000_000
"""Characters of one field of a CSV file: TriviaQA's longest has a hundredth of that."""


def published(data: str | Path, *names: str, form: str | None = None) -> Path:
    """A file or folder under the data folder; the first of the names that is there.

    `form` says what should be there, of a set that the hub has no copy of.
    """
    for name in names:
        if (path := Path(data) / name).exists():
            return path
    missing = Path(data) / names[0]
    if form:
        raise DataError(f"{missing} is not there: put {form} into that place")
    raise DataError(
        f"{missing} is not there: put the publisher's files into that place, or leave out data to read the hub's "
        "copy where there is one"
    )


def lines(path: Path) -> Rows:
    """The objects of a JSONL file."""
    return ((f"{path}, line {number}", row) for number, row in json_lines(path))


def array(path: Path, key: str | None = None) -> Rows:
    """The objects of a JSON file: an array, or the array under a key."""
    try:
        read = json.loads(whole(path))
        rows = read if key is None else read[key]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged, or no such file as its publisher made it: {error!r}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} should hold a list of objects")
    for number, row in enumerate(rows, 1):
        yield f"{path}, item {number}", row


def table(path: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of a CSV file. A quote that nobody closes is an error: it would swallow the rows behind it."""
    csv.field_size_limit(_LONGEST)
    try:
        rows = csv.reader(io.StringIO(whole(path), newline=""), delimiter=delimiter, strict=True)
        for number, row in enumerate(rows, 1):
            yield f"{path}, row {number}", row
    except csv.Error as error:
        raise DataError(f"{path} is not what its publisher's file should be: {error}") from error


def hub(name: str, config: str | None, *split: str) -> Rows:
    """The rows of a dataset on the hub, split after split."""
    import datasets

    from toolformer.reach import HTTPError

    for each in split:
        try:
            rows = datasets.load_dataset(name, config, split=each)
        except (OSError, ValueError, RuntimeError, HTTPError) as error:
            raise DataError(
                f"{name} cannot be had from the hub ({first_line(error)}): download the publisher's files "
                "and name their folder as data"
            ) from error
        for number, row in enumerate(rows, 1):
            yield f"{name}, {each}, row {number}", row


def no_hub(what: str) -> DataError:
    """The hub has no copy that can be read without running code of its author."""
    return DataError(f"{what} is read from its publisher's files only: name their folder as data")


def field(row: JsonRow, name: str, where: str) -> Any:
    """A field that must be there."""
    if name not in row:
        raise DataError(f"{where} has no {name!r}; it has {', '.join(sorted(map(str, row)))}")
    return row[name]


def strings(row: JsonRow, name: str, where: str) -> list[str]:
    """A field that must be a list of texts. A text in its place would be taken for a list of its letters."""
    value = field(row, name, where)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise DataError(f"{where}: {name!r} should be a list of texts, not {str(value)[:60]!r}")
    return value
