"""Texts and rows on disk, since a run may have more of them than memory holds.

They lie in files without a name, which are gone with the process, however that ends: a run that goes on makes them
again. In memory are, for each text or row, eight bytes that say where it lies, and eight for its place in an order.
"""

import json
import os
import random
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from toolformer.calls import Call
from toolformer.errors import DataError
from toolformer.finetune.training_rows import Example, TrainingRow

_AT_ONCE = 1 << 20
"""Bytes that are written together, at least."""


@dataclass(frozen=True)
class StoredCall:
    """A call at its place."""

    call: Call
    start: int


@dataclass(frozen=True)
class StoredText:
    """An `Example`, and what it was called."""

    id: str
    text: str
    calls: tuple[StoredCall, ...]


class _Records:
    """Byte strings, one behind the other."""

    def __init__(self, records: Iterable[bytes], folder: Path | None) -> None:
        folder = folder or Path(tempfile.gettempdir())
        with _writing(folder), tempfile.TemporaryFile(dir=folder) as file:
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        self._ends = array("q", [0])
        waiting = bytearray()
        for record in records:
            self._ends.append(self._ends[-1] + len(record))
            waiting += record
            if len(waiting) >= _AT_ONCE:
                self._write(waiting, folder)
                waiting.clear()
        self._write(waiting, folder)

    def _write(self, records: bytes | bytearray, folder: Path) -> None:
        with _writing(folder), open(self._file, "wb", closefd=False) as file:
            file.write(records)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> bytes:
        begin, end = self._ends[number : number + 2]
        return os.pread(self._file, end - begin, begin)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write to {folder}: {error.strerror}. Make room or rights and run the same again, or choose "
            "another folder: $TMPDIR names the one of temporary files"
        ) from error


class StoredTexts(Sequence[Example]):
    """Some of the texts of one file, in some order."""

    def __init__(self, examples: Iterable[Example], folder: Path | None = None) -> None:
        """Write them down; without a folder, where temporary files go ($TMPDIR)."""
        self._records = _Records(map(_text_as_bytes, examples), folder)
        self._order: Sequence[int] = range(len(self._records))

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, number: int) -> Example: ...
    @overload
    def __getitem__(self, number: slice) -> "StoredTexts": ...
    def __getitem__(self, number: int | slice) -> "Example | StoredTexts":
        if isinstance(number, slice):
            return self._ordered(self._order[number])
        name, text, calls = json.loads(self._records[self._order[number]])
        return StoredText(name, text, tuple(StoredCall(Call(*call), start) for start, *call in calls))

    def shuffled(self, rng: random.Random) -> "StoredTexts":
        """The same in a random order: the one that `rng` gives a list of them."""
        order = array("q", self._order)
        rng.shuffle(order)
        return self._ordered(order)

    def where(self, wanted: Callable[[Example], bool]) -> "StoredTexts":
        """Those that are wanted, asked for in their order."""
        return self._ordered(array("q", (at for at, one in zip(self._order, self, strict=True) if wanted(one))))

    def _ordered(self, order: Sequence[int]) -> "StoredTexts":
        other = StoredTexts.__new__(StoredTexts)
        other._records, other._order = self._records, order
        return other


def _text_as_bytes(example: Example) -> bytes:
    calls = [(one.start, one.call.tool, one.call.input, one.call.result) for one in example.calls]
    return json.dumps([getattr(example, "id", ""), example.text, calls]).encode()


class StoredRows(Sequence[TrainingRow]):
    """Rows in the order in which they were made."""

    def __init__(self, rows: Iterable[TrainingRow], folder: Path | None = None) -> None:
        """Write them down; without a folder, where temporary files go ($TMPDIR)."""
        self._records = _Records(map(_row_as_bytes, rows), folder)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, number: int) -> TrainingRow: ...
    @overload
    def __getitem__(self, number: slice) -> list[TrainingRow]: ...
    def __getitem__(self, number: int | slice) -> TrainingRow | list[TrainingRow]:
        numbers = range(len(self))[number]
        if isinstance(numbers, range):
            return [self[one] for one in numbers]
        return _row_of_bytes(self._records[numbers])


def _row_as_bytes(row: TrainingRow) -> bytes:
    """What is behind which length; an encoder-decoder's source comes last, and is not there in other rows."""
    parts: list[Iterable[int]] = [row.ids, sorted(row.ignored), sorted(row.quiet)]
    if row.source is not None:
        parts.append(row.source)
    numbers = array("i", [row.own])
    for part in parts:
        whole = array("i", part)
        numbers.append(len(whole))
        numbers += whole
    return numbers.tobytes()


def _row_of_bytes(record: bytes) -> TrainingRow:
    numbers = array("i")
    numbers.frombytes(record)
    parts: list[array[int]] = []
    at = 1
    while at < len(numbers):
        end = at + 1 + numbers[at]
        parts.append(numbers[at + 1 : end])
        at = end
    ids, ignored, quiet, *source = parts
    return TrainingRow(ids, frozenset(ignored), frozenset(quiet), numbers[0], source[0] if source else None)
