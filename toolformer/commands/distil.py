"""`toolformer distil`: a smaller model of a larger one that calls tools."""

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from toolformer.catalog import ToolSettings, make_tools
from toolformer.commands.annotate import Rows
from toolformer.commands.flags import LoadingFlags, Often
from toolformer.commands.stopping import stopping
from toolformer.finetune.config import TrainConfig
from toolformer.loading import Loading

if TYPE_CHECKING:
    from toolformer.data_gen.annotated_folder import KeptText


@dataclass(frozen=True)
class Distil:
    """Train a small model on what a larger one would say.

    How it learns, and what came of it: docs/finetune.md.
    """

    teacher: tyro.conf.Positional[str]
    """The larger model, by name or path: a folder of `toolformer train`."""
    folder: tyro.conf.Positional[Path]
    """A folder of `toolformer annotate`: the texts with calls that are learnt from."""
    out: Path
    """The folder to write. Run the same command again to resume."""
    student: str = "builtin"
    """The model to train, by name or path."""
    by: Literal["auto", "distribution", "texts"] = "auto"
    """Learn the teacher's distribution, or texts that it writes; auto is the first if both models have one vocabulary,
    and the second if not."""
    temperature: float = 1.0
    """Of the distribution: above 1, more is learnt of what is unlikely."""
    plain: str | None = None
    """Texts to train on without calls, such as the annotated corpus, of which only texts that kept no call are used."""
    rows: Annotated[Rows, Often()] = field(default_factory=Rows)
    loading: LoadingFlags = field(default_factory=Loading)
    config: Annotated[TrainConfig, Often("how", "learning_rate", "epochs", "batch_size")] = field(
        default_factory=TrainConfig
    )
    settings: Annotated[ToolSettings, Often()] = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Train, showing how it goes."""
        with stopping(f"the same command goes on with {self.out} where it was"):
            self._distil()

    def _distil(self) -> None:
        from toolformer.data_gen.annotated_folder import AnnotatedFolder
        from toolformer.data_gen.documents import read_corpus
        from toolformer.finetune import distil
        from toolformer.finetune.distil_run import taught_by
        from toolformer.finetune.train_display import Display

        way = taught_by(self.teacher, self.student, self.by, self.config, self.loading)
        texts = [*AnnotatedFolder(self.folder).kept()]
        tools = make_tools(self.settings, _called(texts)) if way == "texts" else []
        if way != self.by:
            print(_WAYS[way].format(self), file=sys.stderr)
        with Display() as display:
            distil(
                self.teacher,
                texts,
                self.out,
                student=self.student,
                by=way,
                temperature=self.temperature,
                tools=tools,
                config=self.config,
                loading=self.loading,
                plain=[one.text for one in read_corpus(self.plain, **asdict(self.rows))] if self.plain else (),
                on_progress=display.show,
            )


_WAYS = {
    "distribution": "{0.teacher} and {0.student} have one vocabulary: the student learns the teacher's distribution",
    "texts": "{0.teacher} has another vocabulary than {0.student}: the student learns from texts that it writes",
}


def _called(texts: "list[KeptText]") -> list[str]:
    """The tools that the texts call."""
    return sorted({placed.call.tool for one in texts for placed in one.calls})
