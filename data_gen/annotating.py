"""A plain corpus in, a folder with tool calls out, shard by shard.

A shard is a fixed number of documents in the input's order. What comes out of it depends on those documents and the
settings alone, so a run that was stopped goes on behind its last whole shard and ends with the same bytes. So does one
that lacked the network: the same run again does those shards again in which calls failed for want of it.
"""

import gc
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from toolformer.data_gen.annotators import make_annotators, precisions
from toolformer.data_gen.calibrate import Calibration, ScoredShard, calibrate, score_shard
from toolformer.data_gen.documents import read_corpus
from toolformer.data_gen.kept_rows import dataset_card, failures, funnel, kept_row, rejected_row
from toolformer.data_gen.lessons import Lesson, builtin_lessons
from toolformer.data_gen.method import Method
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.records import Annotated, Document, EncodedText, Rejected
from toolformer.data_gen.run_folder import Funnel, RunFolder, Shard, add_up, digest
from toolformer.data_gen.samplers.server import Server
from toolformer.data_gen.samplers.server_client import Client
from toolformer.data_gen.split import MOST, cut_passages
from toolformer.data_gen.workers import in_order
from toolformer.errors import FAULTS, ConfigError, DataError, ToolUnavailable, unknown_name
from toolformer.lm import LanguageModel
from toolformer.loading import Loading
from toolformer.tool import Tool
from toolformer.toolbox import ResultMemory, Toolbox


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
    scored: int = 0
    """Texts that were scored to find the thresholds; what is kept of them is known when those are."""

    @property
    def unavailable(self) -> int:
        """How many calls wait for the network: the same run again tries them."""
        return self.failed.get(ToolUnavailable.kind, 0)


def annotate(
    corpus: str | Path | Iterable[Document],
    tools: Sequence[Tool],
    out: Path,
    *,
    model: str | LanguageModel = "builtin",
    loading: Loading = Loading(),
    sampler: str | LanguageModel | Server | None = None,
    lessons: Sequence[Lesson] = (),
    method: Method = Method(),
    passage_tokens: int = MOST,
    shard_size: int = 128,
    limit: int | None = None,
    workers: int = 1,
    memory: ResultMemory | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Annotate a corpus with calls of some tools into a folder; the same again goes on where it was stopped.

    Calls that failed for want of the network (`ToolUnavailable`) are tried again by the same again.

    Args:
        corpus: What `read_corpus` takes: JSONL, Parquet, text, a dataset, "-"; or the documents themselves, such as it
            gives where columns have other names. Their ids must differ.
        tools: The tools. Each needs a lesson: one that comes with the package, or one of yours.
        out: The folder; `run_folder.py` says what is written there.
        model: Judges the calls: the model that will be finetuned, loaded by name or path, or ready.
        loading: How models are loaded that are named; the revision and the adapter are the judge's alone.
        sampler: Who proposes the calls: "self", the model itself, which is the default; "rules", the lessons' rules, of
            whose proposals the model takes the likeliest; both as "rules,self"; another model, by name or path or
            ready, which also ranks what rules propose ("rules,NAME"); or a Server.
        lessons: Lessons of your own. One for a tool that the package teaches too takes the place of the package's.
        method: How calls are found and judged.
        passage_tokens: Longer documents are cut at sentence ends, and shorter still if the models' contexts ask for it.
        shard_size: Texts that are annotated together and committed together.
        limit: Stop after so many documents. With a higher one, or none, the same again goes on from there.
        workers: Shards that are annotated at a time, each by models of its own, spread over the GPUs where there are
            several. What is written is the same for any number.
        memory: What tools answered before, and where new answers are kept.
        on_progress: Called after each shard.
    """
    for name, value in (("limit", limit), ("passage_tokens", passage_tokens), ("shard_size", shard_size)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}={value}: it must be 1 at least")
    if workers < 1 or (workers > 1 and not all(isinstance(one, str | Server | None) for one in (model, sampler))):
        raise ConfigError(f"workers={workers}: one at least; for several, name the models, so that each loads its own")
    documents = itertools.islice(read_corpus(corpus) if isinstance(corpus, str | Path) else corpus, limit)
    # What is wrong with the corpus, the tools, the lessons or the server is said before a model is loaded.
    first = list(itertools.islice(documents, 1))
    with ExitStack() as stack:
        toolbox = stack.enter_context(Toolbox(tools, memory=memory, workers=max(2, workers)))
        chosen = _chosen_lessons(toolbox.names, lessons)
        asked = stack.enter_context(_checked_client(sampler)) if isinstance(sampler, Server) else sampler
        annotators = list(make_annotators(model, loading, asked, toolbox, chosen, method, workers))
        most = min(passage_tokens, annotators[0].longest_text())
        progress = Progress()

        def passages() -> Iterator[Document]:
            for document in itertools.chain(first, documents):
                progress.read += 1
                yield from cut_passages(document, annotators[0].length, most)

        settings = {"passage_tokens": most, "limit": limit, "precision": precisions(annotators[0])}
        stack.enter_context(_old_objects_left_alone())
        run(annotators, passages(), out, settings, progress, shard_size=shard_size, on_progress=on_progress)
        return progress


@contextmanager
def _old_objects_left_alone() -> Iterator[None]:
    """Meanwhile the garbage collector does not look at what is there now.

    That is torch, transformers and the model: walking all their objects again and again was 6% of a run's time. Only
    meanwhile, since what a caller drops later must be found again, and not at all where a caller minds it themselves.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _checked_client(server: Server) -> Iterator[Client]:
    with Client(server) as client:
        client.check()
        yield client


def _chosen_lessons(tools: Sequence[str], own: Sequence[Lesson]) -> list[Lesson]:
    known = builtin_lessons() | {lesson.tool: lesson for lesson in own}
    for lesson in own:
        if lesson.tool not in tools:
            raise ConfigError(f"a lesson for a tool that is not there: {unknown_name('tool', lesson.tool, tools)}")
    for name in tools:
        if name not in known:
            raise ConfigError(
                f"nothing teaches the tool {name}: give a lesson for it. {unknown_name('lesson', name, known)}"
            )
    return [known[name] for name in tools]


@dataclass(frozen=True)
class _Done:
    """A shard, and, if it was annotated just now, what came of it."""

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
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Annotate a corpus into a folder, or go on where an earlier run stopped. See `run_folder.py` for what is written.

    The annotators, all alike, share the work. `settings` are those that decided which documents these are.
    """
    first, shards = annotators[0], _shards(documents, shard_size)
    with RunFolder(out, {**first.config, **settings, "shard_size": shard_size}) as folder:
        calibration, ready = _calibration(annotators, folder, shards, progress, on_progress)
        tasks = itertools.chain([one.documents for one in ready], shards)
        scored = dict(enumerate(ready[: calibration.shards]))
        del ready  # each shard is let go when it has been written

        def work(annotator: Annotator, task: tuple[int, Sequence[Document]]) -> _Done:
            number, shard_documents = task
            known = scored.pop(number, None)
            if (shard := folder.settled(number, shard_documents)) is not None:
                return _Done(shard)
            if known is None and number < calibration.shards:
                known = score_shard(annotator, shard_documents)
            return _annotated(annotator, shard_documents, calibration.values, known)

        number = -1
        for number, done in enumerate(in_order(annotators, enumerate(tasks), work)):
            if done.tokens is not None:
                kept = (kept_row(one, first.syntax) for one in done.annotated)
                folder.commit(number, kept, map(rejected_row, done.rejected), done.shard)
            _count(progress, done)
            if on_progress is not None:
                on_progress(progress)
        if number < 0:
            raise DataError("the corpus holds no text")
        folder.finish(number + 1, dataset_card(folder.config(), progress.documents, progress.funnel))
    progress.finished = True
    if on_progress is not None:
        on_progress(progress)


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
    documents: Sequence[Document],
    thresholds: Mapping[str, float],
    known: ScoredShard | None,
) -> _Done:
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
    return _Done(shard, kept, rejected, sum(len(text.encoded.ids) for text in texts))


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


def _shards(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    rest = iter(documents)
    while shard := list(itertools.islice(rest, size)):
        yield shard
