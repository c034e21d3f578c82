"""By which probability a call opens: a threshold and a cost for each tool, and the file that keeps them beside a model.

The evidence for a call is the log-odds of its opening, divided by the temperature: how much likelier the model finds it
to call than not to, in nats. A call opens where the evidence, less the tool's cost, reaches the log-odds of the tool's
threshold. So the cost counts as it does in the filter (`data_gen/filter.py`), where the gain of a call, less the cost,
must reach the filtering threshold: both compare going on with the call to going on without it, in nats. A cost of 0.7
nats asks for a call that is twice as likely.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from toolformer.errors import DataError
from toolformer.own_json import made_of, read_own
from toolformer.version import __version__
from toolformer.whole_file import whole_file

FILE = "calling.json"
"""In the folder of a model, beside its weights."""


@dataclass(frozen=True)
class Bar:
    """What a call of one tool must reach."""

    threshold: float
    """Probability of the opening, between 0 and 1."""
    cost: float = 0.0
    """What the call costs, in nats."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"a threshold is between 0 and 1, not {self.threshold}")
        if not math.isfinite(self.cost):
            raise ValueError(f"a cost is a number, not {self.cost}")

    @property
    def needed(self) -> float:
        """The least evidence that opens a call."""
        return log_odds(self.threshold) + self.cost


@dataclass(frozen=True)
class Thresholds:
    """When a model calls which tool."""

    other: Bar
    """What a call of a tool that is not listed must reach."""
    tools: Mapping[str, Bar] = field(default_factory=dict)
    temperature: float = 1.0
    """Above 1, the model is less certain than it says."""

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"a temperature is above 0, not {self.temperature}")

    def evidence(self, opening: float) -> float:
        """What the log-odds of an opening say, in nats."""
        return opening / self.temperature

    def needed(self, tool: str) -> float:
        """The least evidence that opens a call of this tool."""
        return self.tools.get(tool, self.other).needed

    def lowest(self, tools: Iterable[str]) -> float:
        """The least evidence that opens a call of any of these tools."""
        return min(map(self.needed, tools), default=math.inf)

    def at(self, threshold: float) -> Self:
        """The same with one threshold for all tools. Their costs and the temperature stay."""
        tools = {name: replace(bar, threshold=threshold) for name, bar in self.tools.items()}
        return replace(self, other=replace(self.other, threshold=threshold), tools=tools)


@dataclass(frozen=True)
class _Kept:
    """What is in the file."""

    toolformer: str
    model: str
    """The fingerprint of the model that the thresholds were found for."""
    thresholds: Thresholds


def write_thresholds(folder: Path, model: str, thresholds: Thresholds) -> None:
    """Put the thresholds of the model with this fingerprint into its folder."""
    with whole_file(folder / FILE) as file:
        file.write(json.dumps(asdict(_Kept(__version__, model, thresholds)), indent=1).encode() + b"\n")


def read_thresholds(folder: Path, model: str | None) -> Thresholds | None:
    """What `write_thresholds` wrote for this very model; None where there is no such file. With None as the model,
    nobody can say which weights are asked, and what is there is taken."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        kept = made_of(_Kept, read_own(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}): calibrate the model again, or remove the file") from error
    if model is not None and kept.model != model:
        raise DataError(
            f"{path} was found for other weights ({kept.model[:40]}, not {model}): calibrate the model again, or "
            "remove the file"
        )
    return kept.thresholds


def log_odds(probability: float) -> float:
    """How much likelier than not, in nats."""
    if probability <= 0 or probability >= 1:
        return math.inf if probability > 0 else -math.inf
    return math.log(probability) - math.log1p(-probability)
