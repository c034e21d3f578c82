"""Reads the folder of a run, finished or not, a record at a time: nothing here grows with the corpus.

`run_folder.py` says what is in it and writes it. Every field is looked at before it is passed on, because a folder may
come from anyone: whoever gets a record from here may rely on its types and on its numbers being finite.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from toolformer.calls import Call
from toolformer.data_gen.shard_records import FUNNEL, Funnel, add_up
from toolformer.errors import DataError
from toolformer.own_json import fits, parse_own, read_own


@dataclass(frozen=True)
class Numbers:
    """What is known of a call in numbers; None where it was not asked for or could not be said."""

    p_open: float | None
    loss_plain: float | None
    loss_call: float | None
    loss_result: float | None
    gain: float | None


@dataclass(frozen=True)
class KeptCall:
    """A call that stands before the character `start` of its text."""

    call: Call
    start: int
    numbers: Numbers
    chain: int = 1
    """The round of annotating that found it; from the second on, with calls in place."""
    uses: tuple[int, ...] = ()
    """The earlier calls of the text, by number, in whose results something of its input stood first."""


@dataclass(frozen=True)
class KeptText:
    """A text that kept calls, in the order of their places."""

    id: str
    text: str
    annotated: str
    date: str | None
    url: str | None
    calls: tuple[KeptCall, ...]

    def pieces(self) -> list[str]:
        """The text cut at its calls: one piece more than there are calls, and together they are the text."""
        starts = [0, *(call.start for call in self.calls), len(self.text)]
        return [self.text[a:b] for a, b in itertools.pairwise(starts)]


@dataclass(frozen=True)
class RejectedCall:
    """A place or a call that went no further: `near` is the text about the place, which is before `near[at]`."""

    id: str
    tool: str
    start: int
    stage: str
    reason: str
    near: str
    at: int
    input: str | None
    result: str | None
    numbers: Numbers
    kind: str | None
    """The kind of a tool's failure, where the run has noted it."""


class AnnotatedFolder:
    """An annotated corpus on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "kept").is_dir():
            what = "has no folder kept/" if path.is_dir() else "is no folder"
            raise DataError(f"{path} is no annotated corpus: it {what}. `toolformer annotate` makes one")

    def kept(self) -> Iterator[KeptText]:
        """The texts with their calls, in the corpus's order."""
        return map(_kept, self._lines("kept"))

    def rejected(self) -> Iterator[RejectedCall]:
        """What was rejected, in the corpus's order."""
        return map(_rejected, self._lines("rejected"))

    def kept_with_rejected(self) -> Iterator[tuple[KeptText, tuple[RejectedCall, ...]]]:
        """Each text with the calls of its own that were rejected. One shard's are held at a time."""
        for name in self._names("kept"):
            rejected: dict[str, list[RejectedCall]] = defaultdict(list)
            for line in self._shard("rejected", name):
                one = _rejected(line)
                rejected[one.id].append(one)
            for line in self._shard("kept", name):
                text = _kept(line)
                yield text, tuple(rejected.get(text.id, ()))

    def funnel(self) -> Funnel:
        """For each tool of the run how many came how far."""
        if shards := self._done():
            return add_up(_funnel(tools) for shard in shards for name, tools in shard.inner() if name == "funnel")
        return _funnel(self._object("funnel.json"))

    def documents(self) -> int | None:
        """How many texts were read, each passage of a long document counted by itself, if that is known."""
        return sum(shard.whole("documents") for shard in self._done()) or None

    def config(self) -> dict[str, object]:
        """The settings of the run as they were written, unchecked."""
        return self._object("config.json").values

    def _done(self) -> "list[_Fields]":
        """What the finished shards say of themselves. A corpus that was copied without that has none."""
        return [_read(path) for path in sorted(self.path.glob("shards/*.json"))]

    def _lines(self, kind: str) -> "Iterator[_Fields]":
        """The records of all finished shards, shard after shard."""
        for name in self._names(kind):
            yield from self._shard(kind, name)

    def _names(self, kind: str) -> list[str]:
        """The finished shards."""
        return sorted(path.stem for path in self.path.glob("shards/*.json")) or sorted(
            path.stem for path in self.path.glob(f"{kind}/*.jsonl")
        )

    def _shard(self, kind: str, name: str) -> "Iterator[_Fields]":
        """The records of one shard."""
        path = self.path / kind / f"{name}.jsonl"
        if not path.is_file():
            raise DataError(f"{path} is missing: the folder is damaged, or was not copied whole")
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield _parsed(line, f"{path}, line {number}")

    def _object(self, name: str) -> "_Fields":
        path = self.path / name
        return _read(path) if path.exists() else _Fields({}, str(path))


class _Fields:
    """A JSON object whose fields are asked for by type; an error names the file and the line."""

    def __init__(self, values: object, where: str) -> None:
        self._where = where
        if not isinstance(values, dict):
            raise DataError(f"{where} is damaged: it holds no JSON object")
        self.values: dict[str, object] = values

    def text(self, name: str) -> str:
        value = self.values.get(name)
        return value if isinstance(value, str) else self._wrong(name, "text")

    def maybe_text(self, name: str) -> str | None:
        return None if self.values.get(name) is None else self.text(name)

    def whole(self, name: str, most: int = 2**53) -> int:
        value = self.values.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            return value
        return self._wrong(name, f"a whole number up to {most}")

    def numbers(self) -> Numbers:
        return Numbers(*(self._number(name) for name in Numbers.__dataclass_fields__))

    def objects(self, name: str) -> "list[_Fields]":
        values = self.values.get(name)
        return [_Fields(v, self._where) for v in values] if isinstance(values, list) else self._wrong(name, "a list")

    def earlier(self, name: str, number: int) -> tuple[int, ...]:
        """Numbers of a list that come before this one; none where nothing is said."""
        values = self.values.get(name, [])
        if isinstance(values, list) and all(type(one) is int and 0 <= one < number for one in values):
            return tuple(values)
        return self._wrong(name, f"a list of whole numbers below {number}")

    def inner(self) -> "Iterator[tuple[str, _Fields]]":
        """The fields that are objects themselves."""
        for name, value in self.values.items():
            if isinstance(value, dict):
                yield name, _Fields(value, f"{self._where}, {name}")

    def _number(self, name: str) -> float | None:
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, (int, float)) and fits(float, value) and math.isfinite(value):
            return float(value)
        return self._wrong(name, "a number")

    def _wrong(self, name: str, kind: str) -> NoReturn:
        raise DataError(f"{self._where} is damaged: {name!r} should be {kind}, not {str(self.values.get(name))[:60]!r}")


def _parsed(data: bytes, where: str) -> _Fields:
    try:
        return _Fields(parse_own(data, finite=False), where)
    except ValueError as error:
        raise DataError(f"{where} is damaged: {error}") from error


def _read(path: Path) -> _Fields:
    try:
        return _Fields(read_own(path, finite=False), str(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def _funnel(tools: _Fields) -> Funnel:
    return {name: {step: tool.whole(step) for step in FUNNEL} for name, tool in tools.inner()}


def _kept(line: _Fields) -> KeptText:
    text = line.text("text")
    calls = tuple(
        KeptCall(
            Call(call.text("tool"), call.text("input"), call.text("result")),
            call.whole("start", most=len(text)),
            call.numbers(),
            call.whole("chain") if "chain" in call.values else 1,
            call.earlier("uses", number),
        )
        for number, call in enumerate(line.objects("calls"))
    )
    return KeptText(
        line.text("id"),
        text,
        line.text("annotated"),
        line.maybe_text("date"),
        line.maybe_text("url"),
        tuple(sorted(calls, key=lambda call: call.start)),
    )


def _rejected(line: _Fields) -> RejectedCall:
    near = line.text("near")
    return RejectedCall(
        line.text("id"),
        line.text("tool"),
        line.whole("start"),
        line.text("stage"),
        line.text("reason"),
        near,
        line.whole("at", most=len(near)),
        line.maybe_text("input"),
        line.maybe_text("result"),
        line.numbers(),
        line.maybe_text("kind"),
    )
