"""The command `toolformer`. Each of its commands is a dataclass whose fields are its flags.

They are in `toolformer.commands`, except for the one that completes them all in a shell.
"""

import contextlib
import functools
import inspect
import io
import operator
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TextIO

import tyro

from toolformer.commands.annotate import Annotate, Export, Merge, Report
from toolformer.commands.bench import Bench
from toolformer.commands.bootstrap import Bootstrap
from toolformer.commands.calibrate import Calibrate
from toolformer.commands.dedup import Dedup
from toolformer.commands.demo import Demo
from toolformer.commands.distil import Distil
from toolformer.commands.doctor import Doctor
from toolformer.commands.eval import Eval
from toolformer.commands.expert import Experts
from toolformer.commands.export_model import ExportModel
from toolformer.commands.fetch import Fetch
from toolformer.commands.flags import MARKERS, RULES
from toolformer.commands.help import ALL, asks_for_help, page
from toolformer.commands.index import Index
from toolformer.commands.mcp import Mcp
from toolformer.commands.prefer import Prefer
from toolformer.commands.serve import Serve
from toolformer.commands.streams import settle_streams
from toolformer.commands.talk import Chat, Generate
from toolformer.commands.tools import CallTool, ListTools
from toolformer.commands.train import Train
from toolformer.errors import ConfigError, ToolformerError, unknown_name
from toolformer.version import __version__


class Runs(Protocol):
    """What every command is."""

    def run(self) -> None:
        """Do it, and print what came out."""


_FILES = {
    "bash": ("complete -F", "complete -o default -F"),
    "zsh": ("  _describe ", '  [[ -z "$completions" ]] && _files || _describe '),
    "fish": ("--no-files ", ""),
}
"""What lets a shell offer files where tyro knows nothing to offer, as for a corpus."""


@dataclass(frozen=True)
class Completion:
    """Print a shell script that completes commands and flags.

    For bash, put this into ~/.bashrc: eval "$(toolformer completion bash)"

    For zsh, write it into a folder of $fpath: toolformer completion zsh > FOLDER/_toolformer

    For fish, put this into config.fish: toolformer completion fish | source
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """bash, zsh or fish."""

    def run(self) -> None:
        """Print the script. It is made from the commands as they are now: make it again after an upgrade."""
        with contextlib.redirect_stdout(io.StringIO()) as script, contextlib.suppress(SystemExit):
            parse_any(["--tyro-print-completion", self.shell])
        with_files = script.getvalue().replace(*_FILES[self.shell])
        print(with_files.replace("'--help']", f"'--help', '{ALL}']"), end="")


COMMANDS: dict[str, dict[str, type[Runs]]] = {
    "Setup": {"doctor": Doctor, "demo": Demo, "fetch": Fetch, "completion": Completion},
    "Tools": {"tools": ListTools, "call": CallTool, "index": Index, "mcp": Mcp},
    "Corpora with calls": {"dedup": Dedup, "annotate": Annotate, "merge": Merge, "report": Report, "export": Export},
    "Models that call tools": {
        "train": Train,
        "bootstrap": Bootstrap,
        "prefer": Prefer,
        "distil": Distil,
        "expert": Experts,
        "calibrate": Calibrate,
        "export-model": ExportModel,
        "generate": Generate,
        "chat": Chat,
        "serve": Serve,
    },
    "Accuracy and speed": {"eval": Eval, "bench": Bench},
}
"""Every command by its name, as `toolformer --help` lists them. What each does is the first line of its docstring."""

_HELP = """\
usage: toolformer COMMAND ..., or toolformer --version
Teach a language model to use tools from plain text alone.
COMMAND --help explains the common flags, --help-all all; --json prints JSON.
{commands}

Exit status (0 is success)
  1    a bug in toolformer, with a traceback: please report it
  2    failure: standard error says why and what to do
  130  stopped by Ctrl-C; what was written stays

Environment
  NO_COLOR            disables colours; files and pipes never get any
  HF_HUB_OFFLINE=1    fetches nothing from the Hugging Face hub
  TOOLFORMER_CACHE    the folder of models from elsewhere
  TOOLFORMER_CONTACT  your mail address or page, which Wikipedia asks for
  OPENAI_API_KEY, TOOLFORMER_API_KEY  keys of a server that is asked; of serve"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. What went wrong is said on standard error, with the exit status that the help names."""
    if arguments is None:
        settle_streams()
    try:
        _run([*(sys.argv[1:] if arguments is None else arguments)])
        sys.stdout.flush()
    except ToolformerError as error:
        print(f"toolformer: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        go_on = "demo, annotate, train, bootstrap, prefer, distil, expert train and index build"
        print(f"toolformer: stopped; {go_on} go on where they were when run again", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`toolformer tools | head -1`): no error, and nothing more to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        # A file or a disk that is not as it should be: where in the code that showed is of no use to who owns it.
        told = f"{error.filename}: {error.strerror}" if error.filename else " ".join(str(error).split())
        print(f"toolformer: {told}", file=sys.stderr)
        sys.exit(2)


def _run(given: list[str]) -> None:
    if given[:1] == ["help"]:
        given = [*given[1:], "--help"]
    first = given[0] if given else "--help"
    if first in ("-h", "--help", ALL):
        print(overview(), file=sys.stdout if given else sys.stderr)
        sys.exit(0 if given else 2)
    if first == "--version":
        print(f"toolformer {__version__}")
        return
    by_name = {name: command for group in COMMANDS.values() for name, command in group.items()}
    if first not in by_name:
        raise ConfigError(unknown_name("command", first, by_name))
    kind, words, prog = by_name[first], given[1:], f"toolformer {first}"
    if asks_for_help(words):
        print(page(kind, words, prog, _default(kind, words), colours=_coloured(sys.stdout)))
        return
    command: Runs = _parse(kind, words, prog)
    command.run()


def overview() -> str:
    """What `toolformer --help` prints."""
    lines = []
    for title, commands in COMMANDS.items():
        lines.append(f"\n{title}")
        lines += [f"  {name:<12} {(inspect.getdoc(one) or '').partition(chr(10))[0]}" for name, one in commands.items()]
    return _HELP.format(commands="\n".join(lines))


def parse_any(given: Sequence[str]) -> Runs:
    """The command that these words are, whichever it is: what a shell's completion is made of."""
    every = [Annotated[one, tyro.conf.subcommand(name)] for group in COMMANDS.values() for name, one in group.items()]
    command: Runs = _parse(functools.reduce(operator.or_, every), given, prog="toolformer")
    return command


def _parse(kind: Any, given: Sequence[str], prog: str) -> Any:
    # tyro itself asks only whether standard output is a terminal, also for what it writes to standard error.
    tyro._experimental_options["ansi_codes"] = _coloured(sys.stdout) and _coloured(sys.stderr)
    return tyro.cli(kind, prog=prog, args=given, default=_default(kind, given), config=MARKERS, registry=RULES)


def _default(kind: Any, given: Sequence[str]) -> Any:
    """A preset of training decides the other flags' defaults, so it is looked for beforehand."""
    return Train.defaults(given) if kind is Train else tyro.MISSING_NONPROP


def _coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


if __name__ == "__main__":
    main()
