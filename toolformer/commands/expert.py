"""`toolformer expert`: adapters that answer as tools."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from toolformer.commands.flags import LoadingFlags, Often
from toolformer.commands.stopping import stopping
from toolformer.commands.streams import check_stdin, check_text, printable
from toolformer.errors import ToolError, ToolformerError
from toolformer.expert import PROMPT, Expert
from toolformer.finetune.config import ExpertConfig
from toolformer.loading import Loading


@dataclass(frozen=True)
class TrainExpert:
    """Train an expert on inputs and the outputs that are right.

    What it can learn, and how it is asked: docs/experts.md.
    """

    pairs: tyro.conf.Positional[Path]
    """JSON lines with `input` and `output`."""
    out: Path
    """The folder to write. Run the same command again to resume."""
    model: str = "builtin"
    """The base model, by name or path; of an adapter, the model that it belongs to."""
    prompt: str = PROMPT.replace("\n", "\\n")
    """What stands around an input, with {input} in its place and \\n for a new line."""
    loading: LoadingFlags = field(default_factory=Loading)
    config: Annotated[ExpertConfig, Often("rank", "learning_rate", "epochs", "batch_size", "max_length", "pack")] = (
        field(default_factory=ExpertConfig)
    )

    def run(self) -> None:
        """Train, showing how it goes."""
        from toolformer.finetune import read_exchanges, train_expert
        from toolformer.finetune.train_display import Display

        with stopping(f"the same command goes on with {self.out} where it was"), Display() as display:
            train_expert(
                read_exchanges(self.pairs),
                self.out,
                model=self.model,
                prompt=self.prompt.replace("\\n", "\n"),
                config=self.config,
                loading=self.loading,
                on_progress=display.show,
            )


@dataclass(frozen=True)
class AskExpert:
    """Ask an expert by itself, for a text or each line of standard input."""

    adapter: tyro.conf.Positional[str]
    """The expert's folder."""
    text: tyro.conf.Positional[str] = "-"
    """The input; with "-" or nothing, each line of standard input."""
    loading: LoadingFlags = field(default_factory=Loading)

    def run(self) -> None:
        """Print its answer, a line for each line."""
        if self.text == "-":
            check_stdin()
        from toolformer.expert import checked
        from toolformer.hf import load
        from toolformer.hf.source import find

        base, _ = find(self.adapter, self.loading)
        expert = Expert("Expert", self.adapter).with_model(load(base.name, **vars(self.loading)))
        if self.text != "-":
            print(printable(expert(check_text(self.text))))
            return
        failed = 0
        for number, written in enumerate(expert.written(line.rstrip("\n") for line in sys.stdin), 1):
            try:
                print(printable(checked(written)).replace("\n", " "))
            except ToolError as error:
                failed += 1
                print()
                print(f"toolformer: line {number}: {error}", file=sys.stderr)
        if failed:
            raise ToolformerError(f"{failed} of the lines had no answer")


@dataclass(frozen=True)
class Experts:
    """Train an expert, an adapter that answers as a tool, or ask one."""

    command: Annotated[TrainExpert, tyro.conf.subcommand("train")] | Annotated[AskExpert, tyro.conf.subcommand("ask")]

    def run(self) -> None:
        """Run the command under this one."""
        self.command.run()
