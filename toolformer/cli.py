"""The command `toolformer`: thin. Flags come from dataclasses; each command imports what it needs when it runs."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from toolformer.catalog import CATALOG, ToolSettings, make_tools
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


Command = (
    Annotated[ListTools, tyro.conf.subcommand("tools")]
    | Annotated[CallTool, tyro.conf.subcommand("call")]
    | Annotated[Index, tyro.conf.subcommand("index")]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. What went wrong is one line on standard error: exit status 2, or 130 after Ctrl-C."""
    command: ListTools | CallTool | Index = tyro.cli(
        Command,
        prog="toolformer",
        description="Teach a language model to use tools from plain text alone.",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    try:
        command.run()
        sys.stdout.flush()
    except ToolformerError as error:
        print(f"toolformer: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("toolformer: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`toolformer tools | head -1`): no error, and nothing more to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
