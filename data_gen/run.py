"""A plain corpus in, a folder with tool calls out, shard by shard.

A shard is a fixed number of documents in the input's order. What comes out of it depends on those documents and the
settings alone, so a run that was stopped goes on behind its last whole shard and ends with the same bytes.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from toolformer.data_gen.corpus import read_corpus
from toolformer.data_gen.folder import Funnel, RunFolder, Shard, add_up, digest
from toolformer.data_gen.lessons import Lesson, builtin_lessons
from toolformer.data_gen.method import Method
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.records import Annotated, Document, Rejected
from toolformer.data_gen.rows import dataset_card, funnel, kept_row, rejected_row
from toolformer.data_gen.samplers import ModelSampler, Sampler
from toolformer.data_gen.server import Client, Server
from toolformer.data_gen.server_samplers import ChatSampler, CompletionSampler
from toolformer.data_gen.split import MOST, cut_passages
from toolformer.errors import ConfigError, DataError, unknown_name
from toolformer.lm import LanguageModel
from toolformer.tool import Tool
from toolformer.toolbox import Toolbox


@dataclass
class Progress:
    """What a run has done so far, for whoever shows it."""

    documents: int = 0
    annotated: int = 0
    resumed: int = 0
    """Documents of shards that an earlier run had done."""
    tokens: int = 0
    """Tokens of the texts that this run annotated."""
    funnel: Funnel = field(default_factory=dict)
    last_error: str = ""
    """The latest failure of a tool, which cost a call and nothing else."""
    finished: bool = False


def annotate(
    corpus: str | Path | Iterable[Document],
    tools: Sequence[Tool],
    out: Path,
    *,
    model: str | LanguageModel = "builtin",
    sampler: str | LanguageModel | Server | None = None,
    lessons: Sequence[Lesson] = (),
    method: Method = Method(),
    passage_tokens: int = MOST,
    shard_size: int = 128,
    limit: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Annotate a corpus with calls of some tools into a folder; the same again goes on where it was stopped.

    Args:
        corpus: What `read_corpus` takes: JSONL, Parquet, text, a dataset, "-"; or the documents themselves, such as it
            gives where columns have other names. Their ids must differ.
        tools: The tools. Each needs a lesson: one that comes with the package, or one of yours.
        out: The folder; `folder.py` says what is written there.
        model: Judges the calls: the model that will be finetuned, loaded by name or path, or ready.
        sampler: Another model that proposes and samples the calls, or a Server; by default, `model` does.
        lessons: Lessons of your own. One for a tool that the package teaches too takes the place of the package's.
        method: How calls are found and judged.
        passage_tokens: Longer documents are cut at sentence ends, and shorter still if the models' contexts ask for it.
        shard_size: Texts that are annotated together and committed together.
        limit: Stop after so many documents. With a higher one, or none, the same again goes on from there.
        on_progress: Called after each shard.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit={limit}: ask for one document at least")
    documents = itertools.islice(read_corpus(corpus) if isinstance(corpus, str | Path) else corpus, limit)
    # What is wrong with the corpus, the tools, the lessons or the server is said before a model is loaded.
    first = list(itertools.islice(documents, 1))
    with ExitStack() as stack:
        toolbox = stack.enter_context(Toolbox(tools, workers=2))
        chosen = _chosen_lessons(toolbox.names, lessons)
        asked = stack.enter_context(_checked_client(sampler)) if isinstance(sampler, Server) else sampler
        judge = _loaded(model)
        annotator = Annotator(judge, toolbox, chosen, method, sampler=_sampler(asked, judge, method))
        most = min(passage_tokens, annotator.longest_text())
        passages = (
            passage
            for document in itertools.chain(first, documents)
            for passage in cut_passages(document, annotator.length, most)
        )
        settings = {"passage_tokens": most, "limit": limit}
        return run(annotator, passages, out, settings, shard_size=shard_size, on_progress=on_progress)


@contextmanager
def _checked_client(server: Server) -> Iterator[Client]:
    with Client(server) as client:
        client.check()
        yield client


def _sampler(chosen: str | LanguageModel | Client | None, judge: LanguageModel, method: Method) -> Sampler:
    if isinstance(chosen, Client):
        by_server = CompletionSampler if chosen.server.by == "completions" else ChatSampler
        return by_server(judge, method, chosen)
    return ModelSampler(judge if chosen is None else _loaded(chosen), method)


def _loaded(model: str | LanguageModel) -> LanguageModel:
    if not isinstance(model, str):
        return model
    from toolformer.hf import load

    return load(model)


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


def run(
    annotator: Annotator,
    documents: Iterable[Document],
    out: Path,
    settings: Mapping[str, object],
    *,
    shard_size: int = 128,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Annotate a corpus into a folder, or go on where an earlier run stopped. See `folder.py` for what is written.

    `settings` are those that decided which documents these are.
    """
    progress = Progress()
    with RunFolder(out, {**annotator.config, **settings, "shard_size": shard_size}) as folder:
        number = -1
        for number, shard_documents in enumerate(_shards(documents, shard_size)):
            shard = folder.done(number)
            if shard is None or folder.has_grown(shard, shard_documents):
                shard = _annotate_shard(annotator, folder, number, shard_documents, progress)
            else:
                folder.check(number, shard, shard_documents)
                progress.resumed += shard.documents
            _count(progress, shard)
            if on_progress is not None:
                on_progress(progress)
        if number < 0:
            raise DataError("the corpus holds no text")
        folder.finish(number + 1, dataset_card(annotator.config, progress.documents, progress.funnel))
    progress.finished = True
    if on_progress is not None:
        on_progress(progress)
    return progress


def _annotate_shard(
    annotator: Annotator, folder: RunFolder, number: int, documents: Sequence[Document], progress: Progress
) -> Shard:
    kept: list[Annotated] = []
    rejected: list[Rejected] = []
    texts = annotator.read(documents)
    for record in annotator.annotate(texts):
        if isinstance(record, Annotated):
            kept.append(record)
        else:
            rejected.append(record)
            if record.stage == "execute":
                progress.last_error = record.reason
    progress.tokens += sum(len(text.encoded.ids) for text in texts)
    shard = Shard(len(documents), len(kept), digest(documents), funnel(kept, rejected, annotator.lessons))
    folder.commit(number, (kept_row(one, annotator.syntax) for one in kept), map(rejected_row, rejected), shard)
    return shard


def _count(progress: Progress, shard: Shard) -> None:
    progress.documents += shard.documents
    progress.annotated += shard.annotated
    progress.funnel = add_up([progress.funnel, shard.funnel])


def _shards(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    rest = iter(documents)
    while shard := list(itertools.islice(rest, size)):
        yield shard
