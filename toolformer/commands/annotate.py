"""`toolformer annotate`, `merge`, `report` and `export`: from a plain corpus to one with calls, and out of it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    from collections.abc import Iterator

    from toolformer.data_gen import CorpusPart, Document, Server
    from toolformer.tool import Tool


@dataclass(frozen=True)
class Rows:
    """Columns of the corpus."""

    text_column: str = "text"
    """The column with the text."""
    id_column: str | None = None
    """The column with the ids, all different: by default "id" where there is one; with "", rows have their numbers."""
    date_column: str | None = None
    """The column with the date, for the calendar: by default "date" where there is one."""
    url_column: str | None = None
    """The column with the address, which may tell the date: by default "url" where there is one."""
    split: str = "train"
    """The split of a dataset."""


@dataclass(frozen=True)
class Sampling:
    """What proposes the calls, if not the model that judges them."""

    sampler: str | None = None
    """self, the model itself (the default of annotate); rules, those of the lessons, whose calls the model ranks;
    rules,self for both; another model, by name or path; or the URL of an OpenAI-compatible server."""
    sampler_model: str | None = None
    """The model on the server. If the server needs a key, it is read from $OPENAI_API_KEY."""
    sampler_by: Literal["completions", "chat"] = "completions"
    """Ask the server to continue a text, or, if it can only chat, by chat."""
    sampler_parallel: int = 8
    """Number of requests to the server at a time."""

    def made(self) -> "str | Server | None":
        """What `data_gen.annotate` takes."""
        from toolformer.data_gen import Server

        sampler = self.sampler or ""
        if sampler.startswith(("http://", "https://")):
            return Server(sampler, self.sampler_model or "", by=self.sampler_by, parallel=self.sampler_parallel)
        if self.sampler_model is not None:
            raise ConfigError("--sampler-model is one of a server's models: give the server's URL with --sampler")
        return self.sampler


@dataclass(frozen=True)
class Elsewhere(Sampling):
    """What proposes the calls, if not the model that judges them, and where it judges."""

    judge: str | None = None
    """The URL of a server of vLLM or SGLang that has the weights of the model: it computes the losses."""


@dataclass(frozen=True)
class Dividing:
    """How the corpus is divided."""

    shard: str | None = None
    """Of every N shards, annotate the I-th alone, given as I/N (3/16): `toolformer merge` joins the parts."""
    thresholds: Path | None = None
    """Take the thresholds that were found in this folder, of a run with the same settings."""
    workers: int = 1
    """Number of shards annotated at a time, each with its own models, such as one for each GPU. The output is the
    same."""
    passage_tokens: int = 1024
    """Maximum number of tokens of a text. Longer documents are cut at sentence ends."""
    shard_size: int = 128
    """Number of texts that are annotated and written together."""

    def part(self) -> "CorpusPart":
        """The part of the corpus that is annotated."""
        from toolformer.data_gen import CorpusPart

        return CorpusPart() if self.shard is None else CorpusPart.read(self.shard)


@dataclass(frozen=True)
class Annotate:
    """Find the calls that help a model, in a corpus of plain text.

    How to begin, and what it costs: docs/annotate.md.
    """

    corpus: tyro.conf.Positional[str]
    """A .jsonl, .parquet or .txt file, a folder, a dataset as NAME or NAME:CONFIGURATION, or "-" for standard input."""
    out: Path
    """The folder to write. Run the same command again to resume."""
    tools: str = ",".join(TAUGHT)
    """Names of the tools, with commas, as `toolformer tools` lists them."""
    model: str = "builtin"
    """The model that judges the calls and that you will finetune, by name or path."""
    lesson: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Your own lesson for one of the tools (TOML); may be given several times."""
    limit: int | None = None
    """Stop after this many documents. With a higher limit, the command resumes."""
    estimate: int | None = None
    """Annotate this many documents alone, and print what the whole corpus takes."""
    flops: float | None = None
    """With --estimate: FLOP/s that an accelerator reaches, to print its time as well."""
    dividing: Annotated[Dividing, Often("shard")] = field(default_factory=Dividing)
    rows: Annotated[Rows, Often("text_column")] = field(default_factory=Rows)
    loading: LoadingFlags = field(default_factory=Loading)
    sampling: Annotated[Elsewhere, Often("sampler")] = field(default_factory=Elsewhere)
    method: Annotated[Method, Often("in_place")] = field(default_factory=Method)
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Annotate, or estimate, showing how it goes."""
        if self.corpus == "-":
            check_stdin()
        if self.estimate is not None:
            self._estimate(self.estimate)
            return
        if self.flops is not None:
            raise ConfigError("--flops is for --estimate: give both")
        with stopping(f"the same command goes on with {self.out} where it was"):
            self._annotate()

    def _annotate(self) -> None:
        from toolformer.data_gen import annotate
        from toolformer.data_gen.annotate_display import Display
        from toolformer.data_gen.corpus_size import documents_in

        with Display(documents_in(self.corpus, self.limit)) as display:
            annotate(
                self._documents(),
                self._tools(),
                self.out,
                limit=self.limit,
                workers=self.dividing.workers,
                part=self.dividing.part(),
                on_progress=display.show,
                **self._settings(),
            )

    def _estimate(self, sample: int) -> None:
        from toolformer.data_gen import estimate
        from toolformer.data_gen.annotate_display import Display

        if self.flops is not None and not self.flops > 0:
            raise ConfigError(f"--flops {self.flops}: more than 0 operations a second")
        with Display(sample) as display:
            settings = self._settings()
            said = estimate(
                self._documents(), self._tools(), sample=sample, limit=self.limit, on_progress=display.show, **settings
            )
        print(said.told(self.flops))

    def _documents(self) -> "Iterator[Document]":
        from toolformer.data_gen import read_corpus

        return read_corpus(self.corpus, **asdict(self.rows))

    def _tools(self) -> "list[Tool]":
        return make_tools(self.settings, self.tools.split(","))

    def _settings(self) -> dict[str, Any]:
        """Of the arguments of `data_gen.annotate`, those that decide what is found in a text."""
        from toolformer.data_gen import load_lesson

        return {
            "model": self.model,
            "loading": self.loading,
            "sampler": self.sampling.made(),
            "judge": self.sampling.judge,
            "lessons": [load_lesson(path) for path in self.lesson],
            "method": self.method,
            "passage_tokens": self.dividing.passage_tokens,
            "shard_size": self.dividing.shard_size,
            "thresholds": self.dividing.thresholds,
            "memory": self.settings.memory(),
        }


@dataclass(frozen=True)
class Merge:
    """Join the folders of all parts of an annotated corpus into one."""

    parts: tyro.conf.Positional[tuple[Path, ...]]
    """The folders of `toolformer annotate --shard`, in any order."""
    out: Path
    """The folder to write: it has the same bytes as that of one run over the whole corpus."""

    def run(self) -> None:
        """Join them, and say how much it is."""
        from toolformer.data_gen import merge_parts

        corpus = merge_parts(self.parts, self.out)
        kept = sum(counts["kept"] for counts in corpus.funnel().values())
        print(f"{self.out}: {corpus.documents() or 0:,} texts, {kept:,} calls kept")


@dataclass(frozen=True)
class Report:
    """Write an HTML page that shows an annotated corpus."""

    folder: tyro.conf.Positional[Path]
    """A folder of `toolformer annotate`."""
    out: Path | None = None
    """The file to write; by default, report.html in the folder."""
    limit: int = 2000
    """Maximum number of texts, and of rejected calls, to show. The counts include all."""
    json: bool = False
    """Print one line of JSON: page, documents, and funnel, the count of calls after each stage by tool."""

    def run(self) -> None:
        """Write it and say where it is."""
        from toolformer.data_gen.annotated_folder import AnnotatedFolder
        from toolformer.data_gen.corpus_report import write_report

        page = write_report(self.folder, self.out, limit=self.limit)
        corpus = AnnotatedFolder(self.folder)
        told = {"page": str(page), "documents": corpus.documents(), "funnel": corpus.funnel()}
        print(json.dumps(told) if self.json else page)


@dataclass(frozen=True)
class Export:
    """Write an annotated corpus in a format that trainers read."""

    folder: tyro.conf.Positional[Path]
    """A folder of `toolformer annotate`."""
    format: Literal["text", "messages", "sharegpt", "parquet", "preference", "kto"]
    """text: annotated text; messages: OpenAI-style, with tool_calls and a tools column; sharegpt; parquet: the kept
    rows; preference and kto: a better and a worse way to go on, for DPO and KTO."""
    out: Path
    """The file to write."""
    arguments: Literal["object", "string"] = "object"
    """For messages: write the arguments of a call as an object, as chat templates want them, or as a JSON string, as
    in OpenAI's API."""

    def run(self) -> None:
        """Write it and say how much it is."""
        from toolformer.data_gen.export import export

        descriptions = {name: entry.description for name, entry in CATALOG.items()}
        rows = export(self.folder, self.format, self.out, descriptions=descriptions, arguments=self.arguments)
        print(f"{self.out}: {rows:,} rows")
