"""The command `toolformer`: thin. Each command is a dataclass of `toolformer.commands` whose fields are its flags."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Protocol

import tyro

from toolformer.commands.annotate import Annotate, Export, Report
from toolformer.commands.bench import Bench
from toolformer.commands.demo import Demo
from toolformer.commands.eval import Eval
from toolformer.commands.index import Index
from toolformer.commands.talk import Chat, Generate
from toolformer.commands.tools import CallTool, ListTools
from toolformer.commands.train import Train
from toolformer.errors import ToolformerError


class Runs(Protocol):
    """What every command is."""

    def run(self) -> None:
        """Do it, and print what came out."""
        ...


Command = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[ListTools, tyro.conf.subcommand("tools")]
    | Annotated[CallTool, tyro.conf.subcommand("call")]
    | Annotated[Annotate, tyro.conf.subcommand("annotate")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Chat, tyro.conf.subcommand("chat")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
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
        goes_on = "demo, annotate, train and index build go on where they were when run again"
        print(f"toolformer: stopped; {goes_on}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`toolformer tools | head -1`): no error, and nothing more to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: Sequence[str] | None) -> None:
    given = sys.argv[1:] if arguments is None else arguments
    # A preset of training decides the other flags' defaults, so it is looked for beforehand.
    training = Annotated[Train, tyro.conf.subcommand("train", default=Train.defaults(given))]
    command: Runs = tyro.cli(
        Command | training,
        prog="toolformer",
        description="Teach a language model to use tools from plain text alone.",
        args=given,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    command.run()


if __name__ == "__main__":
    main()
