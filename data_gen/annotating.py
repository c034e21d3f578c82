"""A plain corpus in, a folder with tool calls out, shard by shard.

A shard is a fixed number of documents in the input's order. What comes out of it depends on those documents and the
settings alone, so a run that was stopped goes on behind its last whole shard and ends with the same bytes. So does one
that lacked the network: the same run again does those shards again in which calls failed for want of it.
"""

import gc
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from toolformer.data_gen.annotators import make_annotators, precisions
from toolformer.data_gen.documents import read_corpus
from toolformer.data_gen.lessons import Lesson, builtin_lessons
from toolformer.data_gen.method import Method
from toolformer.data_gen.parts import CorpusPart
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.records import Document
from toolformer.data_gen.samplers.server import Server
from toolformer.data_gen.samplers.server_client import THEN, Client
from toolformer.data_gen.shards import Progress, run
from toolformer.data_gen.split import MOST, cut_passages
from toolformer.errors import ConfigError, unknown_name
from toolformer.lm import LanguageModel
from toolformer.loading import Loading
from toolformer.remote.asking import Asker, base_of
from toolformer.tool import Tool
from toolformer.toolbox import ResultMemory, Toolbox

AT_ONCE, DEADLINE = 64, 300.0
"""Requests to a server that judges at a time, and how long one answer may take, in seconds."""


def annotate(
    corpus: str | Path | Iterable[Document],
    tools: Sequence[Tool],
    out: Path,
    *,
    model: str | LanguageModel = "builtin",
    loading: Loading = Loading(),
    sampler: str | LanguageModel | Server | None = None,
    judge: str | None = None,
    lessons: Sequence[Lesson] = (),
    method: Method = Method(),
    passage_tokens: int = MOST,
    shard_size: int = 128,
    limit: int | None = None,
    workers: int = 1,
    part: CorpusPart = CorpusPart(),
    thresholds: Path | None = None,
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
        judge: The URL of a server of vLLM or SGLang with the model's weights, which is asked for the losses instead of
            the model here. The model here is loaded all the same: it ranks rules' calls, decides where a gain is close
            to its threshold, and says whether the server is right before the run begins.
        lessons: Lessons of your own. One for a tool that the package teaches too takes the place of the package's.
        method: How calls are found and judged.
        passage_tokens: Longer documents are cut at sentence ends, and shorter still if the models' contexts ask for it.
        shard_size: Texts that are annotated together and committed together.
        limit: Stop after so many documents. With a higher one, or none, the same again goes on from there.
        workers: Shards that are annotated at a time, each by models of its own, spread over the GPUs where there are
            several. What is written is the same for any number.
        part: The part of the corpus that is annotated, by default all of it. `merge_parts` joins the folders of all
            parts, with the bytes of one run.
        thresholds: The folder of a run with the same settings, of any part or of the beginning of the corpus, whose
            thresholds are taken. By default each run finds them on the first texts of the corpus, and so does each
            part: on the same texts, those of the other parts too.
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
    models = ready_annotators(
        tools,
        model=model,
        loading=loading,
        sampler=sampler,
        judge=judge,
        lessons=lessons,
        method=method,
        workers=workers,
        memory=memory,
    )
    with models as annotators:
        most = min(passage_tokens, annotators[0].longest_text())
        progress = Progress()

        def passages() -> Iterator[Document]:
            for document in itertools.chain(first, documents):
                progress.read += 1
                yield from cut_passages(document, annotators[0].length, most)

        settings = {"passage_tokens": most, "limit": limit, "precision": precisions(annotators[0])}
        run(
            annotators,
            passages(),
            out,
            settings,
            progress,
            shard_size=shard_size,
            part=part,
            thresholds=thresholds,
            on_progress=on_progress,
        )
        return progress


@contextmanager
def ready_annotators(
    tools: Sequence[Tool],
    *,
    model: str | LanguageModel,
    loading: Loading,
    sampler: str | LanguageModel | Server | None,
    judge: str | None,
    lessons: Sequence[Lesson],
    method: Method,
    workers: int = 1,
    memory: ResultMemory | None = None,
) -> Iterator[list[Annotator]]:
    """What `annotate` works with: the tools are started, the models are loaded, and the servers have been looked at.

    The arguments are those of `annotate`.
    """
    with ExitStack() as stack:
        toolbox = stack.enter_context(Toolbox(tools, memory=memory, workers=max(2, workers)))
        chosen = _chosen_lessons(toolbox.names, lessons)
        asked = stack.enter_context(_checked_client(sampler)) if isinstance(sampler, Server) else sampler
        server = stack.enter_context(_judging(judge)) if judge is not None else None
        annotators = list(make_annotators(model, loading, asked, toolbox, chosen, method, workers, server))
        stack.enter_context(_old_objects_left_alone())
        yield annotators


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


def _judging(url: str) -> Asker:
    """A connection to a server that judges."""
    base_of(url)
    return Asker(url, parallel=AT_ONCE, seconds=DEADLINE, then=THEN)


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
