"""A file of passages to build an index of: JSON lines or plain lines, read one at a time; questions with paragraphs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolformer.errors import DataError
from toolformer.text_file import json_lines, lines, opened, storable, whole
from toolformer.tools.passages import Passage


def read_passages(path: Path) -> Iterator[Passage]:
    """The passages of a file, one at a time, empty ones left out; a DataError names the line that is none."""
    if path.suffix == ".json":
        yield from _paragraphs(path)
        return
    if ".jsonl" in path.suffixes:
        passages = (_passage(record, f"{path}:{number}") for number, record in json_lines(path))
        yield from (one for one in passages if one.text.strip())
        return
    with opened(path) as file:
        yield from (Passage("", line.strip()) for _, line in lines(file, str(path)))


def _paragraphs(path: Path) -> Iterator[Passage]:
    """Those of a set of questions that brings along what answers them, each once."""
    try:
        questions = json.loads(whole(path))
        passages = [_passage(one, str(path)) for question in questions for one in question["paragraphs"]]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise DataError(f'{path} should hold a list of objects with passages under "paragraphs": {error!r}') from error
    yield from (one for one in dict.fromkeys(passages) if one.text.strip())


def _passage(record: Mapping[str, Any], where: str) -> Passage:
    if not isinstance(record, Mapping) or not isinstance(record.get("text"), str):
        held = ", ".join(map(repr, record)) if isinstance(record, Mapping) else type(record).__name__
        raise DataError(f'{where}: a passage is an object with a string "text" (and "title"), this is: {held[:100]}')
    title = record.get("title") or ""
    if not isinstance(title, str):
        raise DataError(f'{where}: "title" must be a string, not {str(title)[:60]!r}')
    return Passage(storable(title), storable(record["text"]))
