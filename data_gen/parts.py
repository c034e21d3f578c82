"""Parts of a corpus, each annotated by a process of its own on any machine, and one folder made of their folders.

Part 3/16 has the third of every sixteen shards. Each part reads the whole corpus, so that its shards are those of one
run, with their numbers. Nothing here starts a process or speaks to another one.
"""

import itertools
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.kept_rows import dataset_card
from toolformer.data_gen.run_folder import END, PART, THRESHOLDS, RunFolder, read_json, thresholds_in
from toolformer.data_gen.shard_records import End, Json, add_up
from toolformer.errors import ConfigError, DataError
from toolformer.own_json import made_of
from toolformer.same_settings import changes

log = logging.getLogger("toolformer")


@dataclass(frozen=True)
class CorpusPart:
    """Which shards of a corpus a run annotates: of every `of` shards, the one of that number, from 1."""

    number: int = 1
    of: int = 1
    alone: bool = False
    """Whether the run is given the documents of this part only, as by an engine that has divided them itself. Their
    shards are numbered as if those of the other parts stood between them."""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ConfigError(f"part {self}: of {self.of} parts, there are the numbers 1 to {self.of}")

    @classmethod
    def read(cls, said: str) -> Self:
        """The part that is written as 3/16."""
        if not (match := re.fullmatch(r"(\d{1,9})/(\d{1,9})( alone)?", said, re.ASCII)):
            raise ConfigError(f"{said[:60]!r} is no part of a corpus: write 3/16 for the third of sixteen")
        return cls(int(match[1]), int(match[2]), bool(match[3]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}{' alone' if self.alone else ''}"

    @property
    def whole(self) -> bool:
        """Whether it is the whole corpus."""
        return self.of == 1 and not self.alone

    def shard(self, read: int) -> int | None:
        """The number of the shard that is read as the one of this number, from 0; None if it is another part's."""
        if self.alone:
            return read * self.of + self.number - 1
        return read if read % self.of == self.number - 1 else None

    def shards(self, count: int) -> range:
        """The numbers of this part's shards, when so many have been read."""
        return range(self.number - 1, count * self.of if self.alone else count, self.of)


@dataclass(frozen=True)
class _Finished:
    """The folder of a part that is done."""

    path: Path
    part: CorpusPart
    end: End
    config: Json
    """Without the part: the settings of one run of the whole corpus."""


def merge_parts(folders: Sequence[Path], out: Path) -> AnnotatedFolder:
    """Make one folder of those of all parts of a corpus, with the same bytes as that of one run.

    Refused are parts that are missing, not finished, there twice, or made with other settings, by other thresholds or
    of another corpus. Stopped, the same again does it again. A run of the whole corpus into `out` has nothing left to
    do, unless calls wait for the network: it tries them again.
    """
    parts = sorted(map(_finished, folders), key=lambda one: one.part.number)
    _check_complete(parts)
    for one in parts[1:]:
        _check_alike(parts[0], one)
    settings = {name: value for name, value in parts[0].config.items() if name != THRESHOLDS}
    thresholds = thresholds_in(parts[0].path, settings) if THRESHOLDS in parts[0].config else None
    with RunFolder(out, settings) as folder:
        if thresholds is not None:
            folder.adopt(thresholds)
        places = {number: one.path for one in parts for number in one.part.shards(one.end.shards)}
        numbers = sorted(places)
        shards = [folder.take(number, places[number]) for number in numbers]
        documents = sum(one.documents for one in shards)
        folder.finish(numbers, dataset_card(folder.config(), documents, add_up(one.funnel for one in shards)))
    if unavailable := sum(one.unavailable for one in shards):
        log.warning("%d calls wait for the network: annotate the whole corpus into %s to try them", unavailable, out)
    return AnnotatedFolder(out)


def _finished(folder: Path) -> _Finished:
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder} is no part of an annotated corpus: it has no config.json")
    config = dict(read_json(folder / "config.json"))
    said = config.pop(PART, None)
    if said is None:
        raise DataError(f"{folder} is no part but a whole corpus: there is nothing to merge it with")
    part = CorpusPart.read(str(said))
    if not (folder / END).is_file():
        raise DataError(f"part {part}, {folder}, is not finished: run it again, and it goes on where it was")
    try:
        end = made_of(End, read_json(folder / END))
    except ValueError as error:
        raise DataError(f"{folder / END} is damaged: {error}; run that part again") from error
    there, due = len(list(folder.glob("shards/*.json"))), end.shards if part.alone else len(part.shards(end.shards))
    if there != due:
        raise DataError(f"{folder} holds {there} shards of {due}: it is damaged, or was not copied whole")
    return _Finished(folder, part, end, config)


def _check_complete(parts: Sequence[_Finished]) -> None:
    if not parts:
        raise ConfigError("there is nothing to merge: name the folders of all parts")
    of = parts[0].part.of
    for one in parts:
        if one.part.of != of:
            raise DataError(f"{parts[0].path} is one of {of} parts, and {one.path} one of {one.part.of}")
        twice = [str(other.path) for other in parts if other.part.number == one.part.number]
        if len(twice) > 1:
            raise DataError(f"part {one.part} is there {len(twice)} times: {', '.join(twice)}")
    there = {one.part.number for one in parts}
    missing = (str(CorpusPart(number, of)) for number in range(1, of + 1) if number not in there)
    if some := list(itertools.islice(missing, 8)):
        raise DataError(f"{of - len(there)} of {of} parts are missing, {', '.join(some)} first")


def _check_alike(first: _Finished, other: _Finished) -> None:
    """That two parts are of one run: the same settings, thresholds and corpus."""
    names = [name for name, _, _ in changes(first.config, other.config)]
    if names := names or sorted(first.config.keys() ^ other.config.keys()):
        raise DataError(
            f"{other.path} was made with other settings than {first.path}: {', '.join(names[:5])}. Run one of them "
            "again into a new folder"
        )
    if first.part.alone != other.part.alone or (first.end != other.end and not first.part.alone):
        raise DataError(
            f"{first.path} and {other.path} are parts of different corpora: of {first.end.shards} and of "
            f"{other.end.shards} shards, or with other texts. Run the wrong one again on the right corpus"
        )
