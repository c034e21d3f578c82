"""`toolformer prefer`: from a model that calls tools to one that calls where it should."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from toolformer.catalog import ToolSettings, make_tools
from toolformer.commands.annotate import Rows
from toolformer.commands.flags import LoadingFlags, Often
from toolformer.commands.stopping import stopping
from toolformer.finetune.config import PreferConfig
from toolformer.loading import Loading


@dataclass(frozen=True)
class Prefer:
    """Train a model that calls tools on when not to call.

    What it learns from, and what came of it: docs/finetune.md.
    """

    model: tyro.conf.Positional[str]
    """The model to train on, by name or path: a folder of `toolformer train`."""
    corpus: Path
    """The folder of `toolformer annotate` that it was finetuned on."""
    out: Path
    """The folder to write. Run the same command again to resume."""
    plain: str | None = None
    """Texts in which it should not call, such as the annotated corpus, of which only texts that kept no call are used:
    it learns from the places where it wants to call."""
    rows: Annotated[Rows, Often()] = field(default_factory=Rows)
    loading: LoadingFlags = field(default_factory=Loading)
    config: Annotated[
        PreferConfig, Often("beta", "learning_rate", "epochs", "batch_size", "pairs", "k", "own_calls")
    ] = field(default_factory=PreferConfig)
    settings: Annotated[ToolSettings, Often()] = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Train, showing how it goes, and say what came of it."""
        with stopping(f"the same command goes on with {self.out} where it was"):
            self._prefer()

    def _prefer(self) -> None:
        from toolformer.data_gen.annotated_folder import AnnotatedFolder
        from toolformer.data_gen.documents import read_corpus
        from toolformer.finetune import prefer
        from toolformer.finetune.train_display import Display

        corpus = AnnotatedFolder(self.corpus)
        called = sorted({placed.call.tool for one in corpus.kept() for placed in one.calls})
        with Display() as display:
            done = prefer(
                corpus,
                self.out,
                model=self.model,
                plain=list(read_corpus(self.plain, **asdict(self.rows))) if self.plain else (),
                tools=make_tools(self.settings, called) if self.config.own_calls else (),
                config=self.config,
                loading=self.loading,
                on_progress=display.show,
            )
        print("held-out pairs of which the chosen way is the likelier, before and after")
        for kind, after in done.accuracy.items():
            print(f"  {kind:<11}{done.held[kind]:>5}  {done.before[kind]:6.1%}  {after:6.1%}")
