"""A step of a datatrove pipeline: readers, writers, executors, and what divides the work among tasks are datatrove's.

    [JsonlReader("corpus"), Annotate("annotated", [Calculator()], thresholds="first"), JsonlWriter("out")]

Each task annotates its own documents into a folder of its own, shard by shard. datatrove begins a task that failed from
its start; this step then goes on behind its last whole shard, and passes the same documents on. `merge_parts` joins the
folders of all tasks.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from datatrove.data import Document as Row
from datatrove.pipeline.base import PipelineStep

from toolformer.data_gen.annotated_folder import AnnotatedFolder, KeptText
from toolformer.data_gen.annotating import annotate
from toolformer.data_gen.documents import facts_of
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Method
from toolformer.data_gen.parts import CorpusPart
from toolformer.data_gen.records import Document
from toolformer.data_gen.samplers.server import Server
from toolformer.data_gen.shards import ALONE, Progress
from toolformer.data_gen.split import MOST
from toolformer.errors import ConfigError
from toolformer.loading import Loading
from toolformer.text_file import storable
from toolformer.tool import Tool


class Annotate(PipelineStep):  # type: ignore[misc]
    """Passes on the texts that kept calls. Holds settings only: the model is loaded where a task runs.

    Of a row, its text, its id and the `date` and `url` of its metadata are taken. Rows without a word of text are
    counted and left out. What is passed on has the annotated text, and as metadata the `text` without calls, the
    `calls`, and the date and the address.
    """

    name = "toolformer"
    type = "🔧 - ANNOTATE"

    def __init__(
        self,
        out: str,
        tools: Sequence[Tool],
        *,
        model: str = "builtin",
        loading: Loading = Loading(),
        sampler: str | Server | None = None,
        judge: str | None = None,
        lessons: Sequence[Lesson] = (),
        method: Method = Method(),
        passage_tokens: int = MOST,
        shard_size: int = 128,
        thresholds: str | None = None,
    ) -> None:
        """See `annotate`. Task 3 writes OUT/00003. Tools and lessons travel to the tasks, so they must be picklable.

        Tasks cannot agree on thresholds that each finds on its own documents: with the method's "auto", `thresholds`
        names the folder of a run of the same settings that has found them.
        """
        super().__init__()
        if method.filtering_threshold == "auto" and thresholds is None:
            raise ConfigError(ALONE)
        self.out = out
        self.tools = tools
        self.thresholds = thresholds
        self.settings = {
            "model": model,
            "loading": loading,
            "sampler": sampler,
            "judge": judge,
            "lessons": lessons,
            "method": method,
            "passage_tokens": passage_tokens,
            "shard_size": shard_size,
        }

    def run(self, data: Iterable[Row], rank: int = 0, world_size: int = 1) -> Iterator[Row]:
        """Annotate the documents of a task, and then pass on what is in its folder."""
        folder = Path(self.out, f"{rank:05d}")
        part = CorpusPart(rank + 1, world_size, alone=True)
        with self.track_time("task"):
            thresholds = Path(self.thresholds) if self.thresholds is not None else None
            documents = self._documents(data)
            progress = annotate(documents, self.tools, folder, part=part, thresholds=thresholds, **self.settings)  # type: ignore[arg-type]
        self._count(progress)
        yield from map(_row, AnnotatedFolder(folder).kept())

    def _documents(self, data: Iterable[Row]) -> Iterator[Document]:
        for row in data:
            if not isinstance(row.text, str) or not row.text.strip():
                self.stat_update("rows without text")
                continue
            self.stat_update("rows")
            facts = facts_of(row.metadata.get("date"), row.metadata.get("url"))
            yield Document(storable(str(row.id)), storable(row.text), facts)

    def _count(self, progress: Progress) -> None:
        """What came of a task, as datatrove's statistics; they are the sums of all of it, also behind a restart."""
        counts = {"texts": progress.documents, "texts with calls": progress.annotated, "resumed": progress.resumed}
        counts |= {f"failed: {kind}": count for kind, count in progress.failed.items()}
        stages = ((tool, of.items()) for tool, of in progress.funnel.items())
        counts |= {f"{tool}: {stage}": count for tool, of in stages for stage, count in of}
        for name, count in counts.items():
            self.stat_update(name, value=count, unit="task")


def _row(text: KeptText) -> Row:
    calls = [
        {"tool": one.call.tool, "input": one.call.input, "result": one.call.result, "start": one.start}
        for one in text.calls
    ]
    more = {name: value for name, value in (("date", text.date), ("url", text.url)) if value is not None}
    return Row(text.annotated, text.id, metadata={"text": text.text, "calls": calls, **more})
