"""`toolformer train`: from an annotated corpus to a model that calls tools."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from toolformer.commands.annotate import Rows
from toolformer.commands.flags import LoadingFlags, Often
from toolformer.commands.stopping import stopping
from toolformer.finetune.config import PAPER, TrainConfig
from toolformer.loading import Loading


@dataclass(frozen=True)
class Train:
    """Finetune a model on a corpus with calls.

    What to choose, and what came of it: docs/finetune.md.
    """

    folder: tyro.conf.Positional[Path]
    """A folder of `toolformer annotate`."""
    out: Path
    """The folder to write. Run the same command again to resume."""
    model: str = "builtin"
    """The model to finetune, by name or path: the one that judged the calls."""
    plain: str | None = None
    """Texts to train on without calls, such as the annotated corpus, of which only texts that kept no call are used."""
    any_corpus: bool = False
    """Allow a corpus whose calls another model judged."""
    trackers: str = ""
    """Trackers to report to, with commas: tensorboard, wandb, mlflow, ..."""
    push: str | None = None
    """In the end, upload the folder to this repository on the hub."""
    preset: Literal["small", "paper"] = "small"
    """Defaults of the flags below: for LoRA on small corpora, or those of Schick et al. 2023."""
    rows: Annotated[Rows, Often()] = field(default_factory=Rows)
    loading: LoadingFlags = field(default_factory=Loading)
    config: Annotated[
        TrainConfig,
        Often("how", "rank", "learning_rate", "epochs", "batch_size", "device_batch", "anchor", "control"),
    ] = field(default_factory=TrainConfig)

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> "Train":
        """The command before its flags are read: a preset changes the defaults of the others."""
        words = [word for argument in arguments for word in argument.split("=", 1)]
        paper = ("--preset", "paper") in itertools.pairwise(words)
        return cls(tyro.MISSING, tyro.MISSING, config=PAPER if paper else TrainConfig())

    def run(self) -> None:
        """Train, showing how it goes."""
        with stopping(f"the same command goes on with {self.out} where it was"):
            self._train()

    def _train(self) -> None:
        from toolformer.data_gen.annotated_folder import AnnotatedFolder
        from toolformer.data_gen.documents import read_corpus
        from toolformer.data_gen.records import Document
        from toolformer.data_gen.undecided import undecided
        from toolformer.finetune import train
        from toolformer.finetune.hub import push_to_hub
        from toolformer.finetune.train_display import Display

        corpus = AnnotatedFolder(self.folder)
        made_with = corpus.config().get("model_fingerprint")
        plain: Iterable[Document] = read_corpus(self.plain, **asdict(self.rows)) if self.plain else ()
        if self.config.spare_undecided:
            plain = list(plain)  # they are read twice
        with Display() as display:
            train(
                corpus.kept(),
                self.out,
                model=self.model,
                config=self.config,
                loading=self.loading,
                plain=(document.text for document in plain),
                undecided=undecided([corpus], plain) if self.config.spare_undecided else {},
                made_with=None if self.any_corpus or made_with is None else str(made_with),
                trackers=[name for name in self.trackers.split(",") if name],
                on_progress=display.show,
            )
        if self.push:
            print(push_to_hub(self.out, self.push))
