"""A file of passages to build an index of: JSON lines or plain lines, read one at a time; questions with paragraphs."""

import contextlib
import gzip
import itertools
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from toolformer.errors import DataError
from toolformer.tools.passages import Passage

MAX_LINE = 16 << 20
"""Bytes in one line of the input at most."""


def read_passages(path: Path) -> Iterator[Passage]:
    """The passages of a file, one at a time, empty ones left out; a DataError names the line that is none."""
    if path.suffix == ".json":
        yield from _paragraphs(path)
        return
    as_json = ".jsonl" in path.suffixes
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        file = stack.enter_context(gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
        for number in itertools.count(1):
            try:
                line = file.readline(MAX_LINE + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DataError(f"{path} is no whole gzip file ({error}), after line {number - 1:,}") from error
            if not line:
                return
            if len(line) > MAX_LINE:
                raise DataError(f"{path}, line {number:,}: longer than {MAX_LINE:,} bytes; one passage a line")
            if line.strip():
                try:
                    passage = _passage(line, as_json)
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{path}, line {number:,}: {error}") from error
                if passage.text.strip():
                    yield passage


def _passage(line: bytes, as_json: bool) -> Passage:
    text = line.decode("utf-8")
    if not as_json:
        return Passage("", text.strip())
    return _read(json.loads(text))


def _paragraphs(path: Path) -> Iterator[Passage]:
    """Those of a set of questions that brings along what answers them, each once."""
    try:
        questions = json.loads(path.read_bytes())
        passages = [_read(one) for question in questions for one in question["paragraphs"]]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise DataError(f'{path} should hold a list of objects with passages under "paragraphs": {error!r}') from error
    yield from (one for one in dict.fromkeys(passages) if one.text.strip())


def _read(record: object) -> Passage:
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        held = ", ".join(map(repr, record)) if isinstance(record, dict) else type(record).__name__
        raise ValueError(f'a passage is an object with a string "text" (and "title"), this is: {held[:100]}')
    title = record.get("title") or ""
    if not isinstance(title, str):
        raise ValueError(f'"title" must be a string, not {str(title)[:60]!r}')
    return Passage(_storable(title), _storable(record["text"]))


def _storable(text: str) -> str:
    """JSON can spell a lone surrogate, which no file and no tokenizer can hold."""
    return text.encode("utf-8", "replace").decode()
