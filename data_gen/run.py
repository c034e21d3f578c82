"""A plain corpus in, a folder with tool calls out, shard by shard.

A shard is a fixed number of documents in the input's order. What comes out of it depends on those documents and the
settings alone, so a run that was stopped goes on behind its last whole shard and ends with the same bytes.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolformer.data_gen.folder import Funnel, RunFolder, Shard, add_up, digest
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.records import Annotated, Document, Rejected
from toolformer.data_gen.rows import dataset_card, funnel, kept_row, rejected_row
from toolformer.errors import ConfigError


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


def run(
    annotator: Annotator,
    documents: Iterable[Document],
    out: Path,
    *,
    shard_size: int = 128,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Annotate a corpus into a folder, or go on where an earlier run stopped. See `folder.py` for what is written."""
    progress = Progress()
    with RunFolder(out, {**annotator.config, "shard_size": shard_size}) as folder:
        number = -1
        for number, shard_documents in enumerate(_shards(documents, shard_size)):
            shard = folder.done(number)
            if shard is None:
                shard = _annotate_shard(annotator, folder, number, shard_documents, progress)
            else:
                folder.check(number, shard, shard_documents)
                progress.resumed += shard.documents
            _count(progress, shard)
            if on_progress is not None:
                on_progress(progress)
        if number < 0:
            raise ConfigError("the corpus holds no text")
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
    tokens = sum(len(text.encoded.ids) for text in texts)
    progress.tokens += tokens
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
