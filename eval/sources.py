"""Where tasks read from: the publishers' own files under one folder, or the hub's copy. Nothing here knows a format."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolformer.errors import DataError

Row = dict[str, Any]


def published(data: str | Path, *names: str) -> Path:
    """A file or folder under the data folder; the first of the names that is there."""
    for name in names:
        if (path := Path(data) / name).exists():
            return path
    raise DataError(
        f"{Path(data) / names[0]} is not there: put the publisher's files into that place, or leave out --data to read "
        "the hub's copy where there is one"
    )


def lines(path: Path) -> Iterator[Row]:
    """The objects of a JSONL file."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _object(line, f"{path}, line {number}")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def text(path: Path) -> str:
    """A whole file of text."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error


def array(path: Path, key: str | None = None) -> list[Row]:
    """The objects of a JSON file: an array, or the array under a key."""
    try:
        whole = json.loads(text(path))
        rows = whole if key is None else whole[key]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged, or no such file as its publisher made it: {error!r}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} should hold a list of objects")
    return rows


def hub(name: str, config: str | None, *split: str) -> Iterator[Row]:
    """The rows of a dataset on the hub, split after split."""
    import datasets

    for each in split:
        try:
            rows = datasets.load_dataset(name, config, split=each)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().split("\n", 1)[0]
            raise DataError(
                f"{name} cannot be had from the hub ({reason}): download the publisher's files and name their folder "
                "with --data"
            ) from error
        yield from rows


def no_hub(what: str) -> DataError:
    """The hub has no copy that can be read without running code of its author."""
    return DataError(f"{what} is read from its publisher's files only: name their folder with --data")


def field(row: Row, name: str, where: object) -> Any:
    """A field that must be there."""
    if name not in row:
        raise DataError(f"{where}: a row has no {name!r}; it has {', '.join(sorted(map(str, row)))}")
    return row[name]


def _object(line: bytes, where: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where} is no JSON object")
    return row
