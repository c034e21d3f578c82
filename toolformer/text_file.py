"""Text files from anywhere: UTF-8 that may not be UTF-8, gzip files that may be torn, lines that may never end.

Whatever is wrong is a DataError that names the file and the line. What the lines mean is for others to know.
"""

import contextlib
import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from toolformer.errors import DataError

MAX_BYTES = 64 << 20
"""Bytes in one line, or in one text file, at most."""
MOST_BLANK = 1_000_000
"""Blank lines in a row at most: a gzip file can hold a thousand times as many of them as it has bytes."""
GZIP = ".gz"
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")

Bytes: TypeAlias = BinaryIO | io.BufferedIOBase


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Bytes]:
    """The file's bytes, unzipped if its name says so. A pipe or a device is not opened: it might never end."""
    with contextlib.ExitStack() as stack:
        try:
            if path.exists() and not path.is_file():
                raise DataError(f"{path} is a folder, a pipe or a device: name a file")
            raw: Bytes = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        if path.name.casefold().endswith(GZIP):
            raw = stack.enter_context(gzip.GzipFile(fileobj=raw))
        yield raw


def lines(file: Bytes, shown: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, without their ends, and their numbers from 1. `shown` is the file's name."""
    blank = 0
    for number in itertools.count(1):
        with _reading(shown, number):
            line = file.readline(MAX_BYTES + 1)
        if not line:
            return
        if len(line) > MAX_BYTES:
            raise DataError(f"{shown}:{number}: the line is longer than {MAX_BYTES >> 20} MiB; write one text a line")
        text = _decoded(line.rstrip(b"\r\n"), shown, number)
        if text.strip():
            blank = 0
            yield number, text
            continue
        blank += 1
        if blank > MOST_BLANK:
            raise DataError(f"{shown}:{number}: more than {MOST_BLANK:,} blank lines in a row; take them out")


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one a line, and their lines' numbers."""
    with opened(path) as file:
        yield from objects(lines(file, str(path)), str(path))


def objects(numbered: Iterable[tuple[int, str]], shown: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects that these lines are."""
    for number, line in numbered:
        yield number, object_in(line, f"{shown}:{number}")


def object_in(line: str, place: str) -> dict[str, Any]:
    """The JSON object that a line is; `place` is where it stands."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: no JSON ({error}); correct the line or take it out") from error
    if not isinstance(value, dict):
        raise DataError(
            f'{place}: a {type(value).__name__} where an object belongs; write one a line, as in {{"text": "..."}}'
        )
    return value


def whole(path: Path) -> str:
    """All of a text file."""
    with opened(path) as file:
        with _reading(str(path), 1):
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DataError(
                f"{path} is longer than {MAX_BYTES >> 20} MiB, and a text file is one text; if it holds one a line, "
                'write each as a line of JSON, {"text": "..."}, into a .jsonl file'
            )
        return _decoded(content, str(path), 1)


def storable(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, which JSON can spell and neither a file nor a model can hold."""
    return text if text.isascii() else _HALF_A_PAIR.sub("\ufffd", text)


def _decoded(content: bytes, shown: str, number: int) -> str:
    """The text that begins at this line. A byte order mark at the very beginning is not part of it."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + content.count(b"\n", 0, error.start)
        raise DataError(
            f"{shown}:{line}: byte 0x{content[error.start]:02x} is not UTF-8; if the text is Latin-1, convert it: "
            "iconv -f LATIN1 -t UTF-8"
        ) from error
    return text.removeprefix("\ufeff") if number == 1 else text


@contextlib.contextmanager
def _reading(shown: str, number: int) -> Iterator[None]:
    """What can go wrong in reading, said of the file and the line."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{shown}:{number}: from here on no whole gzip file ({error}); get it again") from error
    except OSError as error:
        raise DataError(f"{shown}:{number}: {error.strerror or error}") from error
