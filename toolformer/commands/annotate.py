"""`toolformer annotate`, `report` and `export`: from a plain corpus to one with calls, and out of it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from toolformer.catalog import CATALOG, TAUGHT, ToolSettings, make_tools
from toolformer.commands.flags import LoadingFlags, Often
from toolformer.commands.stopping import stopping
from toolformer.commands.streams import check_stdin
from toolformer.commands.tools import Settings
from toolformer.data_gen.method import Method
from toolformer.errors import ConfigError
from toolformer.loading import Loading

if TYPE_CHECKING:
    from toolformer.data_gen.samplers.server import Server


@dataclass(frozen=True)
class Rows:
    """Where in its rows the corpus has what."""

    text_column: str = "text"
    """The column with the text."""
    id_column: str | None = None
    """The column with the ids, all different: by default "id" where there is one; with "", rows have their numbers."""
    date_column: str | None = None
    """The column with the date, for the calendar: by default "date" where there is one."""
    url_column: str | None = None
    """The column with the address, which may tell the date: by default "url" where there is one."""
    split: str = "train"
    """Which split of a dataset."""


@dataclass(frozen=True)
class Sampling:
    """Who proposes and samples the calls, where it is not the model that judges them."""

    sampler: str | None = None
    """self, the model itself, as where nothing is said; rules, the lessons' own, ranked by the model; rules,self;
    another model, by name or path; or the URL of an OpenAI-compatible server."""
    sampler_model: str | None = None
    """Which of the server's models. Its key, if it wants one, is read from $OPENAI_API_KEY."""
    sampler_by: Literal["completions", "chat"] = "completions"
    """How the server is asked: to go on with a text, or, where it does nothing else, by chat."""
    sampler_parallel: int = 8
    """Requests to the server at a time."""

    def made(self) -> "str | Server | None":
        """What `data_gen.annotate` takes."""
        from toolformer.data_gen.samplers.server import Server

        sampler = self.sampler or ""
        if sampler.startswith(("http://", "https://")):
            return Server(sampler, self.sampler_model or "", by=self.sampler_by, parallel=self.sampler_parallel)
        if self.sampler_model is not None:
            raise ConfigError("--sampler-model is one of a server's models: give the server's URL with --sampler")
        return self.sampler


@dataclass(frozen=True)
class Annotate:
    """Find the calls that help a model, in a corpus of plain text.

    How to begin, and what it costs: docs/annotate.md.
    """

    corpus: tyro.conf.Positional[str]
    """A .jsonl, .parquet or .txt file, a folder, a dataset as NAME or NAME:CONFIGURATION, or "-" for standard input."""
    out: Path
    """The folder to write. The same command again goes on where it was stopped."""
    tools: str = ",".join(TAUGHT)
    """Their names, with commas, as `toolformer tools` lists them."""
    model: str = "builtin"
    """The model that judges the calls: the one to be finetuned. By name or path."""
    lesson: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """A lesson of your own for one of the tools (TOML); may be given again."""
    limit: int | None = None
    """Stop after so many documents; with a higher one, the same command goes on."""
    passage_tokens: int = 1024
    """Longer documents are cut at sentence ends."""
    shard_size: int = 128
    """Texts that are annotated and written together."""
    workers: int = 1
    """Shards annotated at a time, each with models of its own: one for each GPU, say. The bytes are the same."""
    rows: Annotated[Rows, Often("text_column")] = field(default_factory=Rows)
    loading: LoadingFlags = field(default_factory=Loading)
    sampling: Annotated[Sampling, Often("sampler")] = field(default_factory=Sampling)
    method: Annotated[Method, Often("in_place")] = field(default_factory=Method)
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Annotate, showing how it goes."""
        if self.corpus == "-":
            check_stdin()
        with stopping(f"the same command goes on with {self.out} where it was"):
            self._annotate()

    def _annotate(self) -> None:
        from toolformer.data_gen import annotate, load_lesson, read_corpus
        from toolformer.data_gen.corpus_size import documents_in
        from toolformer.data_gen.progress import Display

        corpus = read_corpus(self.corpus, **asdict(self.rows))
        with Display(documents_in(self.corpus, self.limit)) as display:
            annotate(
                corpus,
                make_tools(self.settings, self.tools.split(",")),
                self.out,
                model=self.model,
                loading=self.loading,
                sampler=self.sampling.made(),
                lessons=[load_lesson(path) for path in self.lesson],
                method=self.method,
                passage_tokens=self.passage_tokens,
                shard_size=self.shard_size,
                limit=self.limit,
                workers=self.workers,
                memory=self.settings.memory(),
                on_progress=display.show,
            )


@dataclass(frozen=True)
class Report:
    """Write an HTML page that shows an annotated corpus."""

    folder: tyro.conf.Positional[Path]
    """What `toolformer annotate` wrote."""
    out: Path | None = None
    """The file to write; by default report.html in the folder."""
    limit: int = 2000
    """How many texts, and how many rejected calls, are shown. The counts are of all."""
    json: bool = False
    """Print a line of JSON: page, documents, and for each tool how many came how far (funnel)."""

    def run(self) -> None:
        """Write it and say where it is."""
        from toolformer.data_gen.annotated_folder import AnnotatedFolder
        from toolformer.data_gen.report import write_report

        page = write_report(self.folder, self.out, limit=self.limit)
        corpus = AnnotatedFolder(self.folder)
        told = {"page": str(page), "documents": corpus.documents(), "funnel": corpus.funnel()}
        print(json.dumps(told) if self.json else page)


@dataclass(frozen=True)
class Export:
    """Write an annotated corpus in a form that trainers read."""

    folder: tyro.conf.Positional[Path]
    """What `toolformer annotate` wrote."""
    format: Literal["text", "messages", "sharegpt", "parquet"]
    """Annotated text, OpenAI-style messages with tool_calls and a tools column, ShareGPT, or the kept rows."""
    out: Path
    """The file to write."""
    arguments: Literal["object", "string"] = "object"
    """In messages: a call's arguments as an object, for chat templates, or as JSON text, as in OpenAI's API."""

    def run(self) -> None:
        """Write it and say how much it is."""
        from toolformer.data_gen.export import export

        descriptions = {name: entry.description for name, entry in CATALOG.items()}
        rows = export(self.folder, self.format, self.out, descriptions=descriptions, arguments=self.arguments)
        print(f"{self.out}: {rows:,} texts")
