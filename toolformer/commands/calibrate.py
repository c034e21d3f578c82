"""`toolformer calibrate`: when a finetuned model should call."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from toolformer.commands.annotate import Rows
from toolformer.commands.flags import LoadingFlags, Often
from toolformer.errors import ConfigError
from toolformer.loading import Loading


@dataclass(frozen=True)
class Calibrate:
    """Find from which probability on a finetuned model should call.

    The thresholds are written beside the model, which then calls by them: docs/when.md.
    """

    model: tyro.conf.Positional[Path]
    """A folder of `toolformer train`."""
    corpus: Path
    """A folder of `toolformer annotate`, with texts that the model has not learnt."""
    plain: str | None = None
    """The corpus that was annotated: of it, the texts that kept no call count as well."""
    calls_at_most: str | None = None
    """Let at most this share of the texts have a call, such as 30%. By default, each tool gets the threshold with the
    best F1 of its calls against need."""
    cost: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A tool's cost in nats, as TOOL=NATS: its calls must be so much likelier. May be given several times."""
    json: bool = False
    """Print one line of JSON instead of the table."""
    rows: Annotated[Rows, Often()] = field(default_factory=Rows)
    loading: LoadingFlags = field(default_factory=Loading)

    def run(self) -> None:
        """Find the thresholds, write them, and show what they are worth."""
        from toolformer.data_gen.documents import read_corpus
        from toolformer.when.calibrating import calibrate

        plain = read_corpus(self.plain, **asdict(self.rows)) if self.plain else ()
        measured = calibrate(
            self.model,
            self.corpus,
            plain,
            calls_at_most=None if self.calls_at_most is None else _share(self.calls_at_most),
            costs=dict(map(_cost, self.cost)),
            loading=self.loading,
        )
        print(json.dumps(asdict(measured)) if self.json else "\n".join(measured.table()))


def _share(said: str) -> float:
    number = said.strip().removesuffix("%")
    try:
        return float(number) / (100 if said.strip().endswith("%") else 1)
    except ValueError as error:
        raise ConfigError(f"--calls-at-most is a share, such as 30% or 0.3, not {said!r}") from error


def _cost(said: str) -> tuple[str, float]:
    tool, _, number = said.partition("=")
    try:
        return tool.strip(), float(number)
    except ValueError as error:
        raise ConfigError(f"--cost is a tool and its nats, such as QA=0.5, not {said!r}") from error
