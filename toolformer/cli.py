"""The command `toolformer`: thin. Flags come from dataclasses; each command imports what it needs when it runs."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import tyro

from toolformer.catalog import CATALOG, ToolSettings, make_tools
from toolformer.data_gen.method import Method
from toolformer.errors import ToolformerError

Settings = Annotated[ToolSettings, tyro.conf.arg(name="")]


@dataclass(frozen=True)
class ListTools:
    """List the tools: what each does, and a call to try."""

    def run(self) -> None:
        """Print two lines a tool. Nothing is loaded, and nothing asked over a network."""
        for name, entry in CATALOG.items():
            print(f"{name:<11} {entry.description}")
            print(f"{'':<11} toolformer call {entry.short} {entry.example!r}")


@dataclass(frozen=True)
class CallTool:
    """Run one tool and print its answer."""

    tool: tyro.conf.Positional[str]
    """The tool's name, as `toolformer tools` lists it."""
    input: tyro.conf.Positional[str] = ""
    """What to ask it; with "-", each line of standard input is asked."""
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Print one answer a line. Of several inputs, one that fails is said on standard error and the rest go on."""
        from toolformer.toolbox import Toolbox

        with Toolbox(make_tools(self.settings, [self.tool])) as box:
            (name,) = box.names
            if self.input != "-":
                print(box.run(name, self.input))
                return
            failed = 0
            for line in sys.stdin:
                try:
                    print(box.run(name, line.rstrip("\n")), flush=True)
                except ToolformerError as error:
                    failed += 1
                    print(flush=True)
                    print(f"toolformer: {error}", file=sys.stderr)
            if failed:
                raise ToolformerError(f"{failed} of the inputs had no answer; their lines are empty")


@dataclass(frozen=True)
class BuildIndex:
    """Make a search index from a file of passages."""

    passages: tyro.conf.Positional[Path]
    """JSONL with `title` and `text`, or text with a passage a line; either may be .gz."""
    out: Path
    """The folder to make."""
    dense: str | None = None
    """An embedding model (sentence-transformers) by name or path; without one, the index goes by words (BM25)."""

    def run(self) -> None:
        """Build it, or go on where an earlier build was stopped."""
        from toolformer.tools.index_build import build_index

        build_index(self.passages, self.out, self.dense)


@dataclass(frozen=True)
class VerifyIndex:
    """Read a whole search index and say whether it is as it was built."""

    folder: tyro.conf.Positional[Path]
    """The index."""

    def run(self) -> None:
        """Print what it holds."""
        from toolformer.tools.search_index import SearchIndex

        print(SearchIndex.open(self.folder, verify=True).identity)


@dataclass(frozen=True)
class Index:
    """Search indexes over passages of your own."""

    command: (
        Annotated[BuildIndex, tyro.conf.subcommand("build")] | Annotated[VerifyIndex, tyro.conf.subcommand("verify")]
    )

    def run(self) -> None:
        """Run the command under this one."""
        self.command.run()


@dataclass(frozen=True)
class Annotate:
    """Find the calls that help a model, in a corpus of plain text."""

    corpus: tyro.conf.Positional[str]
    """A .jsonl, .parquet or .txt file, a folder, a dataset's name, or "-" for standard input."""
    out: Path
    """The folder to write. The same command again goes on where it was stopped."""
    tools: str = "calculator,dates,qa,wiki"
    """Their names, with commas, as `toolformer tools` lists them."""
    model: str = "builtin"
    """The model that judges the calls: the one to be finetuned. By name or path."""
    sampler: str | None = None
    """Another model that proposes and samples the calls."""
    lesson: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """A TOML file with a lesson of your own for one of the tools; may be given several times."""
    limit: int | None = None
    """Stop after so many documents."""
    passage_tokens: int = 1024
    """Longer documents are cut at sentence ends."""
    shard_size: int = 128
    """Texts that are annotated and written together."""
    method: Annotated[Method, tyro.conf.arg(name="")] = field(default_factory=Method)
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Annotate, showing how it goes."""
        from toolformer.data_gen import annotate, load_lesson
        from toolformer.data_gen.progress import Display

        with Display() as display:
            annotate(
                self.corpus,
                make_tools(self.settings, self.tools.split(",")),
                self.out,
                model=self.model,
                sampler=self.sampler,
                lessons=[load_lesson(path) for path in self.lesson],
                method=self.method,
                passage_tokens=self.passage_tokens,
                shard_size=self.shard_size,
                limit=self.limit,
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

    def run(self) -> None:
        """Write it and say where it is."""
        from toolformer.data_gen.report import write_report

        print(write_report(self.folder, self.out, limit=self.limit))


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


@dataclass(frozen=True)
class Bench:
    """Time the annotator against a plain rendering of the method, and check that both keep the same calls."""

    what: tyro.conf.Positional[Literal["annotate"]]
    """What to measure."""
    corpus: Path | None = None
    """Texts to annotate; by default, those that come with the built-in model."""
    tools: str = "calculator,dates,qa"
    """Their names, with commas."""
    model: str = "builtin"
    """A causal model by name or path."""
    texts: int = 64
    """How many, of about 100 words each."""
    plain_texts: int = 8
    """How many of them the plain rendering, which is slow, gets."""
    positions: int = 5
    """k, for every lesson."""
    samples: int = 5
    """m, for every lesson."""
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Run both and print what came out."""
        from toolformer.data_gen.bench import bench_annotate

        print(
            bench_annotate(
                self.corpus or Path(str(files("toolformer.builtin") / "corpus.jsonl")),
                make_tools(self.settings, self.tools.split(",")),
                self.model,
                texts=self.texts,
                plain_texts=self.plain_texts,
                positions=self.positions,
                samples=self.samples,
            )
        )


Command = (
    Annotated[ListTools, tyro.conf.subcommand("tools")]
    | Annotated[CallTool, tyro.conf.subcommand("call")]
    | Annotated[Annotate, tyro.conf.subcommand("annotate")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Index, tyro.conf.subcommand("index")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. What went wrong is one line on standard error: exit status 2, or 130 after Ctrl-C."""
    try:
        _run(arguments)
        sys.stdout.flush()
    except ToolformerError as error:
        print(f"toolformer: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("toolformer: stopped; annotate and index build go on where they were when run again", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`toolformer tools | head -1`): no error, and nothing more to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: Sequence[str] | None) -> None:
    command: ListTools | CallTool | Annotate | Report | Export | Index | Bench = tyro.cli(
        Command,
        prog="toolformer",
        description="Teach a language model to use tools from plain text alone.",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    command.run()


if __name__ == "__main__":
    main()
