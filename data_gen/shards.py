"""The shards of a corpus through annotators into a folder: each is annotated by itself, and is then done.

Knows nothing of machines: a `CorpusPart` says which of the shards are annotated here. What another process does with
the others does not matter to what is written.
"""

import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from toolformer.data_gen.calibrate import Calibration, ScoredShard, calibrate, score_shard
from toolformer.data_gen.kept_rows import dataset_card, failures, funnel, kept_row, rejected_row
from toolformer.data_gen.parts import CorpusPart
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.records import Annotated, Document, EncodedText, Rejected
from toolformer.data_gen.run_folder import PART, RunFolder, thresholds_in
from toolformer.data_gen.shard_records import End, Funnel, Shard, add_up, digest
from toolformer.data_gen.workers import in_order
from toolformer.errors import FAULTS, ConfigError, DataError, ToolUnavailable

ALONE = (
    "each part would find thresholds of its own, on other documents: annotate the beginning of the corpus, and name "
    'that folder as thresholds; or take the lessons\' own, Method(filtering_threshold="lesson")'
)


@dataclass
class Progress:
    """What a run has done so far, for whoever shows it."""

    documents: int = 0
    """Texts: passages count by themselves."""
    annotated: int = 0
    resumed: int = 0
    """Documents of shards that an earlier run had done."""
    tokens: int = 0
    """Tokens of the texts that this run annotated."""
    funnel: Funnel = field(default_factory=dict)
    read: int = 0
    """Documents of the corpus that they come from."""
    failed: dict[str, int] = field(default_factory=dict)
    """How many calls have no result, by the kind of the failure."""
    last_error: str = ""
    """The latest failure of a tool that somebody should look at (`errors.FAULTS`); it cost a call and nothing else."""
    finished: bool = False
    seconds: float = 0.0
    """Since the models were loaded."""
    forwarded: int = 0
    """Tokens that went through the models of this run, prompts and calls included."""
    operations: float = 0.0
    """Floating-point operations of that, about."""
    scored: int = 0
    """Texts that were scored to find the thresholds; what is kept of them is known when those are."""

    @property
    def unavailable(self) -> int:
        """How many calls wait for the network: the same run again tries them."""
        return self.failed.get(ToolUnavailable.kind, 0)


@dataclass(frozen=True)
class _Done:
    """A shard, and, if it was annotated just now, what came of it."""

    number: int
    shard: Shard
    annotated: Sequence[Annotated] = ()
    rejected: Sequence[Rejected] = ()
    tokens: int | None = None


def run(
    annotators: Sequence[Annotator],
    documents: Iterable[Document],
    out: Path,
    settings: Mapping[str, object],
    progress: Progress,
    *,
    shard_size: int = 128,
    part: CorpusPart = CorpusPart(),
    thresholds: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Annotate a part of a corpus into a folder, or go on where an earlier run stopped. By default the part is all.

    See `run_folder.py` for what is written. The annotators, all alike, share the work. `settings` are those that
    decided which documents these are; `thresholds` is a folder whose thresholds are taken.
    """
    first, corpus = annotators[0], _Corpus(documents, shard_size)
    settings = {**first.config, **settings, "shard_size": shard_size, **({} if part.whole else {PART: str(part)})}
    cost = _Cost(annotators)
    given = thresholds_in(thresholds, settings) if thresholds is not None else None
    if part.alone and given is None and first.method.filtering_threshold == "auto":
        raise ConfigError(ALONE)
    with RunFolder(out, settings) as folder:
        if given is not None:
            folder.adopt(given)
        calibration, ready = _calibration(annotators, folder, iter(corpus), progress, on_progress)
        shards = enumerate(itertools.chain([one.documents for one in ready], corpus))
        tasks = ((number, one) for read, one in shards if (number := part.shard(read)) is not None)
        numbered = ((part.shard(read), one) for read, one in enumerate(ready[: calibration.shards]))
        scored = {number: one for number, one in numbered if number is not None}
        del ready  # each shard is let go when it has been written

        def work(annotator: Annotator, task: tuple[int, Sequence[Document]]) -> _Done:
            number, shard_documents = task
            known = scored.pop(number, None)
            if (shard := folder.settled(number, shard_documents)) is not None:
                return _Done(number, shard)
            if known is None and number < calibration.shards:
                known = score_shard(annotator, shard_documents)
            return _annotated(annotator, task, calibration.values, known)

        for done in in_order(annotators, tasks, work):
            if done.tokens is not None:
                kept = (kept_row(one, first.syntax) for one in done.annotated)
                folder.commit(done.number, kept, map(rejected_row, done.rejected), done.shard)
            _count(progress, done)
            cost.note(progress)
            if on_progress is not None:
                on_progress(progress)
        if not corpus.shards and not part.alone:
            raise DataError("the corpus holds no text")
        card = dataset_card(folder.config(), progress.documents, progress.funnel)
        folder.finish(part.shards(corpus.shards), card, None if part.whole else corpus.end())
    progress.finished = True
    if on_progress is not None:
        on_progress(progress)


class _Cost:
    """What some annotators have cost since this was made."""

    def __init__(self, annotators: Sequence[Annotator]) -> None:
        models = {id(model): model for one in annotators for model in (one.model, one.sampler.model)}
        self._counters = [model.counter for model in models.values()]
        self._before = [replace(one) for one in self._counters]
        self._begun = time.monotonic()

    def note(self, progress: Progress) -> None:
        """Write it down."""
        both = [*zip(self._counters, self._before, strict=True)]
        progress.seconds = time.monotonic() - self._begun
        progress.forwarded = sum(now.tokens - before.tokens for now, before in both)
        progress.operations = sum(now.operations - before.operations for now, before in both)


class _Corpus:
    """The shards of a corpus, read once, counted and digested on their way."""

    def __init__(self, documents: Iterable[Document], size: int) -> None:
        self._documents = iter(documents)
        self._size = size
        self._digest = hashlib.sha256()
        self.shards = 0

    def __iter__(self) -> Iterator[list[Document]]:
        """The shards that have not been read yet."""
        while shard := list(itertools.islice(self._documents, self._size)):
            self.shards += 1
            self._digest.update(digest(shard).encode())
            yield shard

    def end(self) -> End:
        """What is known of the corpus once it has been read."""
        return End(self.shards, self._digest.hexdigest())


def _calibration(
    annotators: Sequence[Annotator],
    folder: RunFolder,
    shards: Iterator[list[Document]],
    progress: Progress,
    on_progress: Callable[[Progress], None] | None,
) -> tuple[Calibration, list[ScoredShard]]:
    """The thresholds that the folder has, or else those of the first shards, which are then there already scored.

    Those that were found while calls failed for want of the network are found again, and hold until no call is missing.
    """
    if annotators[0].method.filtering_threshold != "auto":
        return Calibration(), []
    known = folder.calibration(annotators[0].lessons)
    if known is not None and not known.unavailable:
        return known, []

    def told(documents: int) -> None:
        progress.scored = documents
        if on_progress is not None:
            on_progress(progress)

    calibration, ready = calibrate(annotators, shards, told)
    if known is not None:
        for number, one in enumerate(ready):
            folder.settled(number, one.documents)  # an input that has changed is refused before anything is undone
        if calibration.unavailable:
            return known, ready
        if (known.values, known.shards) != (calibration.values, calibration.shards):
            folder.begin_again()
    folder.note(calibration)
    return calibration, ready


def _annotated(
    annotator: Annotator,
    task: tuple[int, Sequence[Document]],
    thresholds: Mapping[str, float],
    known: ScoredShard | None,
) -> _Done:
    number, documents = task
    if known is None:
        texts: Sequence[EncodedText] = annotator.read(documents)
        kept, rejected = annotator.annotate(texts, thresholds)
    else:
        texts, rejected = known.texts, known.rejected
        lessons = annotator.with_thresholds(thresholds)
        settled = annotator.scorer.settled(known.scored, lessons, rejected)
        kept = annotator.kept(settled, texts, lessons, rejected)
    counts = funnel(kept, rejected, annotator.lessons)
    shard = Shard(len(documents), len(kept), digest(documents), counts, failures(rejected))
    return _Done(number, shard, kept, rejected, sum(len(text.encoded.ids) for text in texts))


def _count(progress: Progress, done: _Done) -> None:
    progress.documents += done.shard.documents
    progress.annotated += done.shard.annotated
    progress.funnel = add_up([progress.funnel, done.shard.funnel])
    for kind, count in done.shard.failed.items():
        progress.failed[kind] = progress.failed.get(kind, 0) + count
    if done.tokens is None:
        progress.resumed += done.shard.documents
        return
    progress.tokens += done.tokens
    for record in done.rejected:
        if record.kind in FAULTS:
            progress.last_error = record.reason
