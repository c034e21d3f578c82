"""`toolformer bootstrap`: annotate, train, and again with what the trained model writes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from toolformer.catalog import ToolSettings, make_tools
from toolformer.commands.annotate import Rows, Sampling
from toolformer.commands.flags import Often
from toolformer.commands.stopping import stopping
from toolformer.data_gen.method import Method
from toolformer.finetune.config import TrainConfig

if TYPE_CHECKING:
    from toolformer.data_gen.reread import Corpus


@dataclass(frozen=True)
class Training(TrainConfig):
    """How each round's model is trained."""

    seed: Annotated[int, tyro.conf.arg(name="training-seed")] = 0
    """Of everything that is random in training."""


@dataclass(frozen=True)
class Bootstrap:
    """Annotate and train by turns: each round's model writes calls for the next.

    What a round is, and when they end: docs/annotate.md.
    """

    corpus: tyro.conf.Positional[str]
    """A .jsonl, .parquet or .txt file, a folder, or a dataset, as for annotate."""
    out: Path
    """The folder to write. The same command again goes on where it was stopped, and with more rounds."""
    rounds: int = 3
    """So many at most: the first one that gains nothing is the last."""
    tools: str = "calculator,dates,qa,wiki"
    """Their names, with commas, as `toolformer tools` lists them."""
    model: str = "builtin"
    """The model that judges all calls, and that each round finetunes anew. By name or path."""
    known: str | None = None
    """The column that says which calls are right, to count them: by default "calls" where there is one; "" for none."""
    lesson: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """A TOML file with a lesson of your own for one of the tools; may be given several times."""
    limit: int | None = None
    """Read so many documents."""
    passage_tokens: int = 1024
    """Longer documents are cut at sentence ends."""
    shard_size: int = 128
    """Texts that are annotated and written together."""
    rows: Annotated[Rows, Often("text_column")] = field(default_factory=Rows)
    sampling: Annotated[Sampling, Often("sampler")] = field(default_factory=lambda: Sampling(sampler="rules"))
    method: Annotated[Method, Often()] = field(default_factory=Method)
    config: Annotated[Training, Often("learning_rate", "epochs", "batch_size")] = field(default_factory=Training)
    settings: Annotated[ToolSettings, Often("index")] = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Go through the rounds, showing how each goes."""
        with stopping(f"the same command goes on with {self.out} where it was"):
            self._bootstrap()

    def _bootstrap(self) -> None:
        from toolformer.bootstrap.progress import Displays
        from toolformer.bootstrap.rounds import table
        from toolformer.bootstrap.run import bootstrap
        from toolformer.data_gen import load_lesson
        from toolformer.data_gen.corpus_size import documents_in

        corpus = self._corpus()
        shown = Displays(self.rounds, documents_in(self.corpus, self.limit))
        done = bootstrap(
            corpus,
            make_tools(self.settings, self.tools.split(",")),
            self.out,
            model=self.model,
            rounds=self.rounds,
            sampler=self.sampling.made() or "rules",
            lessons=[load_lesson(path) for path in self.lesson],
            method=self.method,
            passage_tokens=self.passage_tokens,
            shard_size=self.shard_size,
            config=self.config,
            watch=shown,
        )
        if not shown.tables:
            print("\n".join(table(done.rounds)))
        print(f"{done.ended[0].upper()}{done.ended[1:]}.")
        print(f"Round {done.best.number} has the best model: toolformer chat --model {done.best.model}")

    def _corpus(self) -> "Corpus":
        from toolformer.data_gen.corpus import Columns
        from toolformer.data_gen.reread import Corpus

        rows = self.rows
        columns = Columns(rows.text_column, rows.id_column, rows.date_column, rows.url_column)
        return Corpus(self.corpus, columns, rows.split, self.limit, self.known)
