"""The folder of a run: what is done is there whole, and what is there belongs to this run.

    OUT/config.json             every setting, the model, the tools' versions, hashes of the lessons
    OUT/kept/NNNNN.jsonl        the texts that kept calls
    OUT/rejected/NNNNN.jsonl    every place and call that went no further, and why
    OUT/shards/NNNNN.json       written last: the shard is done; its counts, and a digest of its documents. One with
                                calls that failed for want of the network is done again by the next run
    OUT/funnel.json, README.md  written when all shards are done

Every file is written beside its place, synced, and renamed; then its folder is synced. A kill at any moment leaves a
shard either done or not there. A second run on the folder is refused while the first is alive.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toolformer.data_gen.calibrate import Calibration
from toolformer.data_gen.records import Document
from toolformer.errors import DataError, ToolUnavailable
from toolformer.lock import sole_writer
from toolformer.own_json import made_of, read_own
from toolformer.same_settings import refuse_changes
from toolformer.whole_file import make_folder, remove_unfinished, whole_file

Json = Mapping[str, object]
THRESHOLDS = "thresholds"
"""What was found is kept beside what was set; nobody can set it otherwise."""
FUNNEL = ("positions", "sampled", "parsed", "executed", "scored", "kept")
Funnel = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Shard:
    """What a done shard says of itself."""

    documents: int
    annotated: int
    digest: str
    funnel: Funnel
    failed: dict[str, int] = field(default_factory=dict)
    """How many calls have no result, by the kind of the failure; a folder of an earlier program does not say."""

    @property
    def unavailable(self) -> int:
        """How many calls wait for the network. The shard is not as it should be until they have been tried again."""
        return self.failed.get(ToolUnavailable.kind, 0)


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
        changed = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
        if changed == ["limit"] and _raised(before.get("limit"), now["limit"]):
            self._write_config()
            return
        refuse_changes(self.path, ((name, before.get(name), now.get(name)) for name in changed))

    def _write_config(self) -> None:
        write_file(self.path / "config.json", json.dumps(self.config(), indent=1, ensure_ascii=False) + "\n")

    def config(self) -> Json:
        """The settings, and the thresholds where they have been found."""
        return self._config if self._noted is None else {**self._config, THRESHOLDS: self._noted}

    def calibration(self, tools: Iterable[str]) -> Calibration | None:
        """The thresholds that this run has found for its tools, if it has."""
        if self._noted is None:
            return None
        try:
            found = Calibration.read(self._noted)
            if found.thresholds.keys() != {*tools}:
                raise KeyError("other tools")
            return found
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise DataError(
                f"{self.path / 'config.json'} has thresholds that this program did not write; the folder is damaged: "
                "use another"
            ) from error

    def note(self, calibration: Calibration) -> None:
        """Write down the thresholds, before anything is kept by them."""
        self._noted = json.loads(json.dumps(calibration.settings()))
        self._write_config()

    def done(self, number: int) -> Shard | None:
        """The shard of that number, if it is done."""
        file = self.path / "shards" / f"{number:05d}.json"
        if not file.exists():
            return None
        try:
            return made_of(Shard, read_own(file))
        except (OSError, ValueError) as error:
            raise _damaged(file, error) from error

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
        for name in ("funnel.json", "README.md", f"shards/{number:05d}.json"):
            remove_file(self.path / name)
        for name, records in (("kept", kept), ("rejected", rejected)):
            lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            write_file(self.path / name / f"{number:05d}.jsonl", lines)
        write_file(self.path / "shards" / f"{number:05d}.json", json.dumps(vars(shard)) + "\n")

    def begin_again(self) -> None:
        """No shard is done any more: they were kept by thresholds that no longer hold."""
        for file in (self.path / "funnel.json", self.path / "README.md", *sorted(self.path.glob("shards/*.json"))):
            remove_file(file)

    def finish(self, shards: int, card: str) -> Funnel:
        """Sum up all shards, once the input has ended after so many."""
        if self.done(shards) is not None:
            raise DataError(f"the input has changed: it ends before shard {shards} of {self.path}; restore it to go on")
        total = add_up(shard.funnel for n in range(shards) if (shard := self.done(n)) is not None)
        write_file(self.path / "funnel.json", json.dumps(total, indent=1) + "\n")
        write_file(self.path / "README.md", card)
        return total


def add_up(funnels: Iterable[Funnel]) -> Funnel:
    """The sum of some funnels, tool by tool."""
    total: Funnel = {}
    for funnel in funnels:
        for tool, counts in funnel.items():
            at = total.setdefault(tool, dict.fromkeys(FUNNEL, 0))
            for stage, count in counts.items():
                at[stage] += count
    return {tool: total[tool] for tool in sorted(total)}


def digest(documents: Sequence[Document]) -> str:
    """A hash of everything a run takes from its documents."""
    facts = [[one.id, one.text, str(one.facts.date or ""), one.facts.url or ""] for one in documents]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


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
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} cannot be read ({error}); the folder is damaged: use another")


def _raised(before: object, now: int | None) -> bool:
    """Whether a limit lets through all that it did, and more."""
    return isinstance(before, int) and (now is None or now > before)
