"""The thresholds of a run, found on its first shards: scored first, kept or dropped when the thresholds are known.

They are written into the run's `config.json`, so that a run that goes on uses the same, with how many shards they were
found on: those shards have been scored whatever they gained, and would be again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.records import Candidate, Document, EncodedText, Rejected
from toolformer.data_gen.threshold import ENOUGH, FEWEST, Threshold, find_thresholds
from toolformer.data_gen.workers import in_order
from toolformer.errors import ToolUnavailable

DOCUMENTS, RARE = 512, 2048
"""Texts that are looked at, at most, before the thresholds have to be known: more while a tool has too few calls."""


@dataclass(frozen=True)
class ScoredShard:
    """The texts of a shard and the calls in them with what they gain; nothing is kept yet."""

    documents: Sequence[Document]
    texts: Sequence[EncodedText]
    scored: Sequence[Candidate]
    rejected: list[Rejected]


@dataclass(frozen=True)
class Calibration:
    """A run's thresholds, and on how many of its first shards they were found."""

    thresholds: dict[str, Threshold] = field(default_factory=dict)
    shards: int = 0
    unavailable: int = 0
    """How many calls were missing for want of the network. The thresholds may be others when they are there."""

    @property
    def values(self) -> dict[str, float]:
        """The threshold of each tool."""
        return {tool: one.value for tool, one in self.thresholds.items()}

    def settings(self) -> dict[str, object]:
        """As plain data."""
        tools = {tool: one.settings() for tool, one in self.thresholds.items()}
        missing = {ToolUnavailable.kind: self.unavailable} if self.unavailable else {}
        return {"found_on_shards": self.shards, **missing, "tools": tools}

    @classmethod
    def read(cls, said: Mapping[str, object]) -> "Calibration":
        """What `settings` wrote."""
        tools, shards = said["tools"], said["found_on_shards"]
        missing = said.get(ToolUnavailable.kind, 0)
        if not isinstance(tools, dict) or type(shards) is not int or shards < 0 or type(missing) is not int:
            raise TypeError("no thresholds")
        return cls({tool: Threshold.read(one) for tool, one in tools.items()}, shards, missing)


def score_shard(annotator: Annotator, documents: Sequence[Document]) -> ScoredShard:
    """A shard's calls with their losses, whatever they gain."""
    texts = annotator.read(documents)
    scored, rejected = annotator.scored(texts, annotator.open_ended())
    return ScoredShard(documents, texts, scored, rejected)


def calibrate(
    annotators: Sequence[Annotator], shards: Iterator[list[Document]], told: Callable[[int], None]
) -> tuple[Calibration, list[ScoredShard]]:
    """The thresholds, and the shards that were scored for them, which need not be scored again.

    Several annotators share the work, and may score a few shards more: the thresholds are those of the first ones that
    were enough, as with one. `told` is called behind each shard, with how many texts were scored so far.
    """
    lessons = annotators[0].lessons
    done: list[ScoredShard] = []
    by_tool: dict[str, list[Candidate]] = defaultdict(list)
    enough = 0

    def needed() -> Iterator[list[Document]]:
        while not enough and (shard := next(shards, None)) is not None:
            yield shard

    for shard in in_order(annotators, needed(), score_shard):
        done.append(shard)
        documents = sum(len(one.documents) for one in done)
        told(documents)
        if enough:
            continue
        for call in shard.scored:
            by_tool[call.call.tool].append(call)
        if _enough(documents, [len(by_tool[tool]) for tool in lessons]):
            enough = len(done)
    given = {tool: lesson.filtering_threshold for tool, lesson in lessons.items()}
    used = done[: enough or len(done)]
    missing = sum(call.kind == ToolUnavailable.kind for shard in used for call in shard.rejected)
    found = find_thresholds(by_tool, [one.scorer for one in annotators], given)
    return Calibration(found, len(used), missing), done


def _enough(documents: int, scored: Sequence[int]) -> bool:
    """Whether the thresholds can be told from so many texts and so many calls of each tool. A tool without any call is
    not waited for."""
    if min(scored) >= ENOUGH or documents >= RARE:
        return True
    return documents >= DOCUMENTS and not any(0 < count < FEWEST for count in scored)
