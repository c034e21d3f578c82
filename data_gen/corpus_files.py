"""The rows of a corpus, one at a time, from whatever holds them. What a row's columns mean is for corpus.py to say.

    posts.jsonl, posts.jsonl.gz     a JSON object a line
    posts.parquet                   a row group at a time, and of that only the columns that are asked for
    post.txt, post.txt.gz           one text a file
    posts/                          a folder of such files, in the order of their paths, or one saved by `datasets`
    -                               standard input: JSON lines if the first line is an object, otherwise a text a line
    imdb, allenai/c4:en             a dataset of the Hugging Face hub, with its configuration behind a colon; streamed

Everything is UTF-8, and nothing of it is changed: line ends within a text, form feeds and emoji stay.
"""

import itertools
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolformer.errors import ConfigError, DataError
from toolformer.text_file import GZIP, Bytes, lines, object_in, opened, whole

log = logging.getLogger("toolformer")

_HUB_NAME = re.compile(r"[\w-][\w.-]*(?:/[\w.-]+)?(?::[\w.-]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row, where it stands, and what it is called if it has no id of its own."""

    source: str
    number: int
    """Its line or row, from 1."""
    name: str
    columns: Collection[str]
    """What the row could be asked for; `values` may hold less."""
    values: Mapping[str, object]
    line: str | None = None
    """As it stands in its file, where it is a line of JSON."""

    @property
    def place(self) -> str:
        """As people write it: posts.jsonl:17."""
        return f"{self.source}:{self.number}"


def read_rows(source: str | Path, columns: tuple[str, ...], split: str) -> Iterator[FileRow]:
    """The rows of a corpus with at least those of these columns that it has. A plain text is in the first of them."""
    if str(source) == "-":
        return _sniffed(sys.stdin.buffer, "standard input", columns[0])
    path = Path(source)
    if path.is_dir():
        if _saved_by_datasets(path):
            return _dataset(source, columns, split)
        return _folder(path, columns)
    if path.exists():
        return _file(path, str(path), None, columns)
    if isinstance(source, str) and _HUB_NAME.fullmatch(source) and _reader(path) is None:
        return _dataset(source, columns, split)
    raise ConfigError(
        f"there is no {source}: a corpus is a {_kinds()} file, gzipped or not, a folder of them, a dataset of the "
        "Hugging Face hub, or - for standard input"
    )


def _file(path: Path, shown: str, prefix: str | None, columns: tuple[str, ...]) -> Iterator[FileRow]:
    """The rows of one file; `prefix` is its path within the folder, or None if the file is the whole corpus."""
    if not path.is_file():
        if prefix is not None:  # it might never end, or never begin
            raise DataError(f"{path} is a pipe, a device or a link to nothing: a folder is read from files only")
        with path.open("rb") as pipe:  # as of <(zcat posts.jsonl.gz)
            yield from _sniffed(pipe, shown, columns[0])
        return
    reader = _reader(path)
    if reader is None:
        raise ConfigError(f"{path}: a corpus is a {_kinds()} file; rename it if it is one, convert it otherwise")
    yield from reader(path, shown, prefix, columns)


def _folder(folder: Path, columns: tuple[str, ...]) -> Iterator[FileRow]:
    """The rows of all files below the folder that are of a known kind. Hidden files and linked folders are left out."""
    read = 0
    passed: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(parent, name)
            if _reader(path) is None:
                passed.append(name)
                continue
            read += 1
            yield from _file(path, str(path), path.relative_to(folder).as_posix(), columns)
    if not read:
        raise DataError(f"{folder} holds no {_kinds()} file" + (f", only {', '.join(passed[:3])} …" if passed else ""))
    if passed:
        log.info("%s: %d files of other kinds were not read, %s first", folder, len(passed), passed[0])


def _json_lines(path: Path, shown: str, prefix: str | None, _: tuple[str, ...]) -> Iterator[FileRow]:
    with opened(path) as file:
        yield from _objects(lines(file, shown), shown, prefix)


def _objects(numbered: Iterable[tuple[int, str]], shown: str, prefix: str | None) -> Iterator[FileRow]:
    for number, line in numbered:
        values = object_in(line, f"{shown}:{number}")
        yield FileRow(shown, number, _name(prefix, number), values.keys(), values, line)


def _text(path: Path, shown: str, prefix: str | None, columns: tuple[str, ...]) -> Iterator[FileRow]:
    yield FileRow(shown, 1, prefix or path.name, columns[:1], {columns[0]: whole(path)})


def _sniffed(file: Bytes, shown: str, column: str) -> Iterator[FileRow]:
    """JSON lines if the first line is a JSON object, otherwise a text a line."""
    numbered = lines(file, shown)
    first = next(numbered, None)
    if first is None:
        return
    numbered = itertools.chain([first], numbered)
    if _is_object(first[1]):
        yield from _objects(numbered, shown, None)
        return
    for number, line in numbered:
        yield FileRow(shown, number, str(number), (column,), {column: line})


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _parquet(path: Path, shown: str, prefix: str | None, columns: tuple[str, ...]) -> Iterator[FileRow]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            there = file.schema_arrow.names
            for batch in file.iter_batches(batch_size=64, columns=[name for name in columns if name in there]):
                for values in batch.to_pylist():
                    number += 1
                    yield FileRow(shown, number, _name(prefix, number), there, values)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{shown}: cannot be read as Parquet behind row {number:,}: {error}") from error


def _saved_by_datasets(folder: Path) -> bool:
    return (folder / "dataset_dict.json").exists() or (folder / "state.json").exists()


def _dataset(source: str | Path, columns: tuple[str, ...], split: str) -> Iterator[FileRow]:
    """The rows of a split: of a folder that `save_to_disk` wrote, memory-mapped, or of the hub, streamed."""
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    from toolformer.reach import HTTPError

    try:
        if Path(source).is_dir():
            loaded = datasets.load_from_disk(str(source))
            if isinstance(loaded, datasets.DatasetDict):
                if split not in loaded:
                    raise ConfigError(f"{source} has no split {split!r}; it has: {', '.join(loaded)}")
                loaded = loaded[split]
        else:
            name, _, configuration = str(source).partition(":")
            loaded = datasets.load_dataset(name, configuration or None, split=split, streaming=True)
        there = loaded.column_names
        if there is not None:
            loaded = loaded.select_columns([name for name in columns if name in there])
        for number, values in enumerate(loaded, 1):
            yield FileRow(str(source), number, str(number), there or values.keys(), values)
    except HfHubHTTPError as error:
        raise DataError(f"the dataset {source} cannot be read: {error}") from error
    except (ConnectionError, HTTPError) as error:
        raise DataError(
            f"{source}: there is no such file or folder here, and the Hugging Face hub, which may have a dataset of "
            f"that name, cannot be reached: {error}"
        ) from error
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"the dataset {source} cannot be read: {error}") from error


_READERS: dict[str, Callable[[Path, str, str | None, tuple[str, ...]], Iterator[FileRow]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".txt": _text,
}


def _reader(path: Path) -> Callable[[Path, str, str | None, tuple[str, ...]], Iterator[FileRow]] | None:
    name = path.name.casefold()
    reader = _READERS.get(Path(name.removesuffix(GZIP)).suffix)
    return None if reader is _parquet and name.endswith(GZIP) else reader


def _kinds() -> str:
    *some, last = _READERS
    return f"{', '.join(some)} or {last}"


def _name(prefix: str | None, number: int) -> str:
    return str(number) if prefix is None else f"{prefix}:{number}"
