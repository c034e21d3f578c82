"""`toolformer bootstrap`: annotate, train, and again with what the trained model writes."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from toolformer.catalog import TAUGHT, ToolSettings, make_tools
from toolformer.commands.annotate import Rows, Sampling
from toolformer.commands.flags import LoadingFlags, Often
from toolformer.commands.stopping import stopping
from toolformer.data_gen.method import Method
from toolformer.finetune.config import TrainConfig
from toolformer.loading import Loading

if TYPE_CHECKING:
    from toolformer.data_gen.reread import Corpus


@dataclass(frozen=True)
class Reading(Rows):
    """Columns of the corpus, and how much of it is read at a time."""

    limit: int | None = None
    """Maximum number of documents; by default, all."""
    passage_tokens: int = 1024
    """Maximum number of tokens of a text. Longer documents are cut at sentence ends."""
    shard_size: int = 128
    """Number of texts that are annotated and written together."""
    workers: int = 1
    """Number of shards annotated at a time, each with its own models, such as one for each GPU."""


@dataclass(frozen=True)
class Training(TrainConfig):
    """How each round's model is trained."""

    seed: tyro.conf.Suppress[int] = 0
    """Training uses the seed of the samples."""


@dataclass(frozen=True)
class Bootstrap:
    """Annotate and train in rounds, each with calls of the last model.

    What a round is, and when the rounds end: docs/annotate.md.
    """

    corpus: tyro.conf.Positional[str]
    """A .jsonl, .parquet or .txt file, a folder, or a dataset, as `toolformer annotate` reads it."""
    out: Path
    """The folder to write. Run the same command again to resume, or with more rounds to go further."""
    rounds: int = 3
    """Maximum number of rounds. The first round that gains nothing is the last."""
    tools: str = ",".join(TAUGHT)
    """Names of the tools, with commas, as `toolformer tools` lists them."""
    model: str = "builtin"
    """The model that judges all calls and that each round finetunes anew, by name or path."""
    known: str | None = None
    """The column with the known right calls, which are only counted. By default "calls", if it exists; "" for none."""
    lesson: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Your own lesson for one of the tools (TOML); may be given several times."""
    loading: LoadingFlags = field(default_factory=Loading)
    reading: Annotated[Reading, Often("text_column", "limit")] = field(default_factory=Reading)
    sampling: Annotated[Sampling, Often("sampler")] = field(default_factory=lambda: Sampling(sampler="rules"))
    method: Annotated[Method, Often()] = field(default_factory=Method)
    config: Annotated[Training, Often("epochs")] = field(default_factory=Training)
    settings: Annotated[ToolSettings, Often("index")] = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Go through the rounds, showing how each goes."""
        with stopping(f"the same command goes on with {self.out} where it was"):
            self._bootstrap()

    def _bootstrap(self) -> None:
        from toolformer.bootstrap.bootstrapping import bootstrap
        from toolformer.bootstrap.rounds import table
        from toolformer.bootstrap.rounds_display import Displays
        from toolformer.data_gen import load_lesson
        from toolformer.data_gen.corpus_size import documents_in

        corpus = self._corpus()
        shown = Displays(self.rounds, documents_in(self.corpus, self.reading.limit))
        done = bootstrap(
            corpus,
            make_tools(self.settings, self.tools.split(",")),
            self.out,
            model=self.model,
            rounds=self.rounds,
            sampler=self.sampling.made() or "rules",
            lessons=[load_lesson(path) for path in self.lesson],
            method=self.method,
            passage_tokens=self.reading.passage_tokens,
            shard_size=self.reading.shard_size,
            workers=self.reading.workers,
            config=replace(self.config, seed=self.method.seed),
            loading=self.loading,
            memory=self.settings.memory(),
            watch=shown,
        )
        if not shown.tables:
            print("\n".join(table(done.rounds)))
        print(f"{done.ended[0].upper()}{done.ended[1:]}.")
        print(f"Round {done.best.number} has the best model: toolformer chat --model {done.best.model}")

    def _corpus(self) -> "Corpus":
        from toolformer.data_gen.documents import Columns
        from toolformer.data_gen.reread import Corpus

        rows = self.reading
        columns = Columns(rows.text_column, rows.id_column, rows.date_column, rows.url_column)
        return Corpus(self.corpus, columns, rows.split, rows.limit, self.known)
