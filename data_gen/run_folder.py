"""The folder of a run: what is done is there whole, and what is there belongs to this run.

    OUT/config.json             every setting, the model, the tools' versions, hashes of the lessons
    OUT/kept/NNNNN.jsonl        the texts that kept calls
    OUT/rejected/NNNNN.jsonl    every place and call that went no further, and why
    OUT/shards/NNNNN.json       written last: the shard is done; its counts, and a digest of its documents. One with
                                calls that failed for want of the network is done again by the next run
    OUT/funnel.json, README.md  written when all shards are done
    OUT/end.json                the same, of a part of a corpus alone: where the whole corpus ends, and its digest

Every file is written beside its place, synced, and renamed; then its folder is synced. A kill at any moment leaves a
shard either done or not there. A second run on the folder is refused while the first is alive.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toolformer.data_gen.calibrate import Calibration
from toolformer.data_gen.records import Document
from toolformer.data_gen.shard_records import End, Json, Shard, add_up, damaged, digest, read_shard
from toolformer.errors import DataError
from toolformer.lock import sole_writer
from toolformer.own_json import read_own
from toolformer.same_settings import refuse_changes
from toolformer.whole_file import make_folder, remove_unfinished, whole_file

THRESHOLDS = "thresholds"
"""What was found is kept beside what was set; nobody can set it otherwise."""
PART = "part"
"""The setting of the folder of a part of a corpus; that of a whole run has none."""
END = "end.json"
SUMS = ("funnel.json", "README.md", END)
"""What holds only as long as no shard is written."""


class RunFolder:
    """The output folder of one run. Use it in a `with` statement: it is locked from then on."""

    def __init__(self, path: Path, config: Json) -> None:
        self.path = path
        self._config = config
        self._noted: Any = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(sole_writer(self.path))
            for folder in (self.path, *(self.path / name for name in ("kept", "rejected", "shards"))):
                make_folder(folder)
                remove_unfinished(folder)
            self._check_config()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _check_config(self) -> None:
        """Write the settings into a new folder; in an old one, find the same."""
        file = self.path / "config.json"
        if not file.exists():
            if any((self.path / "shards").iterdir()):
                raise DataError(f"{self.path} holds shards but no config.json: it is damaged; use another folder")
            self._write_config()
            return
        before, now = read_json(file), json.loads(json.dumps(self._config))
        self._noted = before.pop(THRESHOLDS, None)
        changed = _changed(before, now)
        if [name for name, _, _ in changed] == ["limit"] and _raised(before.get("limit"), now["limit"]):
            self._write_config()
            return
        refuse_changes(self.path, changed)

    def _write_config(self) -> None:
        write_file(self.path / "config.json", json.dumps(self.config(), indent=1, ensure_ascii=False) + "\n")

    def config(self) -> Json:
        """The settings, and the thresholds where they have been found."""
        return self._config if self._noted is None else {**self._config, THRESHOLDS: self._noted}

    def calibration(self, tools: Iterable[str]) -> Calibration | None:
        """The thresholds that this run has found for its tools, if it has."""
        if self._noted is None:
            return None
        found = _thresholds(self._noted, self.path)
        if found.thresholds.keys() != {*tools}:
            raise _foreign(self.path)
        return found

    def note(self, calibration: Calibration) -> None:
        """Write down the thresholds, before anything is kept by them."""
        self._noted = json.loads(json.dumps(calibration.settings()))
        self._write_config()

    def adopt(self, found: Calibration) -> None:
        """Note thresholds that another run has found, as if they had been found here."""
        if self._noted is not None and _thresholds(self._noted, self.path) != found:
            raise DataError(f"{self.path} was made by other thresholds than those that are given; use another folder")
        self.note(found)

    def done(self, number: int) -> Shard | None:
        """The shard of that number, if it is done."""
        return read_shard(self.path, number)

    def settled(self, number: int, documents: Sequence[Document]) -> Shard | None:
        """The shard of that number if nothing of it is left to do, made sure that it was made of these documents."""
        shard = self.done(number)
        if shard is None or self.has_grown(shard, documents):
            return None
        self.check(number, shard, documents)
        return None if shard.unavailable else shard

    def check(self, number: int, shard: Shard, documents: Sequence[Document]) -> None:
        """Make sure that a done shard was made of these documents."""
        if shard.digest != digest(documents):
            raise DataError(
                f"the input has changed: shard {number} of {self.path} was made of other documents. "
                "Restore the input to go on, or choose another folder"
            )

    def has_grown(self, shard: Shard, documents: Sequence[Document]) -> bool:
        """Whether these are the documents of a done shard and more behind them: it was the last of a shorter input."""
        return len(documents) > shard.documents and digest(documents[: shard.documents]) == shard.digest

    def commit(self, number: int, kept: Iterable[Json], rejected: Iterable[Json], shard: Shard) -> None:
        """Write a shard. It is done when this returns, and not before; the sum of an earlier end no longer holds."""
        self._begin(number)
        for name, records in (("kept", kept), ("rejected", rejected)):
            lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            write_file(self.path / name / f"{number:05d}.jsonl", lines)
        self._end(number, shard)

    def take(self, number: int, other: Path) -> Shard:
        """Commit a shard that is done in another folder of the same settings, line for line."""
        shard, here = read_shard(other, number), self.done(number)
        if shard is None:
            raise DataError(f"{other} lacks its shard {number}: the folder is damaged, or was not copied whole")
        if here is not None and here.digest != shard.digest:
            raise DataError(f"shard {number} of {self.path} was made of other documents than that of {other}")
        self._begin(number)
        kept = _copied(other / "kept" / f"{number:05d}.jsonl", self.path / "kept")
        _copied(other / "rejected" / f"{number:05d}.jsonl", self.path / "rejected")
        if kept != shard.annotated:
            raise DataError(f"shard {number} of {other} holds {kept} texts with calls, not {shard.annotated}: damaged")
        self._end(number, shard)
        return shard

    def _begin(self, number: int) -> None:
        """From here on the shard is not done, and the sums do not hold."""
        for name in (*SUMS, f"shards/{number:05d}.json"):
            remove_file(self.path / name)

    def _end(self, number: int, shard: Shard) -> None:
        """From here on the shard is done."""
        write_file(self.path / "shards" / f"{number:05d}.json", json.dumps(vars(shard)) + "\n")

    def begin_again(self) -> None:
        """No shard is done any more: they were kept by thresholds that no longer hold."""
        for file in (*(self.path / name for name in SUMS), *sorted(self.path.glob("shards/*.json"))):
            remove_file(file)

    def finish(self, numbers: Collection[int], card: str, end: End | None = None) -> None:
        """Sum up the shards, once the input has ended; they have these numbers. `end` is said of a part of a corpus."""
        known = {f"{number:05d}" for number in numbers}
        beyond = sorted({file.stem for file in self.path.glob("shards/*.json")} - known)
        if beyond:
            raise DataError(
                f"the input has changed: it ends before shard {beyond[0]} of {self.path}; restore it to go on"
            )
        total = add_up(shard.funnel for number in numbers if (shard := self.done(number)) is not None)
        write_file(self.path / "funnel.json", json.dumps(total, indent=1) + "\n")
        write_file(self.path / "README.md", card)
        if end is not None:
            write_file(self.path / END, json.dumps(vars(end)) + "\n")


def thresholds_in(folder: Path, settings: Json) -> Calibration:
    """The thresholds that another run has found, which must have these settings. Others that it has do not matter."""
    before, now = read_json(folder / "config.json"), json.loads(json.dumps(settings))
    noted = before.pop(THRESHOLDS, None)
    refuse_changes(folder, (one for one in _changed(before, now) if one[0] in now and one[0] not in ("limit", PART)))
    if noted is None:
        raise DataError(f"{folder} has no thresholds that a run has found: run it on, or name another folder")
    found = _thresholds(noted, folder)
    if found.unavailable:
        raise DataError(f"the thresholds of {folder} lack calls that waited for the network: run it again first")
    return found


def write_file(file: Path, text: str) -> None:
    """Put the text there whole or not at all, also if the power fails."""
    with whole_file(file) as out:
        out.write(text.encode())


def remove_file(file: Path) -> None:
    """Remove it if it is there."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot remove {file}: {error.strerror}; make it yours, or choose another folder") from error


def read_json(file: Path) -> dict[str, Any]:
    """An object that this module wrote."""
    try:
        return read_own(file)
    except (OSError, ValueError) as error:
        raise damaged(file, error) from error


def _thresholds(noted: Any, folder: Path) -> Calibration:
    """What `RunFolder.note` wrote into the settings of a folder."""
    try:
        return Calibration.read(noted)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise _foreign(folder) from error


def _foreign(folder: Path) -> DataError:
    return DataError(
        f"{folder / 'config.json'} has thresholds that this program did not write; the folder is damaged: use another"
    )


def _copied(file: Path, folder: Path) -> int:
    """Copy a file of lines into a folder, and count them."""
    if not file.is_file():
        raise DataError(f"{file} is missing: the folder is damaged, or was not copied whole")
    lines = 0
    with file.open("rb") as source, whole_file(folder / file.name) as target:
        while chunk := source.read(1 << 20):
            lines += chunk.count(b"\n")
            target.write(chunk)
    return lines


def _changed(before: Json, now: Json) -> list[tuple[str, object, object]]:
    names = sorted(before.keys() | now.keys())
    return [(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]


def _raised(before: object, now: int | None) -> bool:
    """Whether a limit lets through all that it did, and more."""
    return isinstance(before, int) and (now is None or now > before)
