"""What a shard, and a part of a corpus, say of themselves when they are done."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolformer.data_gen.records import Document
from toolformer.errors import DataError, ToolUnavailable
from toolformer.own_json import made_of, read_own

Json = Mapping[str, object]
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


@dataclass(frozen=True)
class End:
    """What a part of a corpus says of the whole one when it is done."""

    shards: int
    corpus: str
    """A digest of all documents."""


def read_shard(folder: Path, number: int) -> Shard | None:
    """What a shard says of itself, if it is done."""
    file = folder / "shards" / f"{number:05d}.json"
    if not file.exists():
        return None
    try:
        return made_of(Shard, read_own(file))
    except (OSError, ValueError) as error:
        raise damaged(file, error) from error


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


def damaged(file: Path, error: Exception) -> DataError:
    """The error for a file of a run that is not as it was written."""
    return DataError(f"{file} cannot be read ({error}); the folder is damaged: use another")
