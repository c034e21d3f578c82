"""What is known of each round, when to stop, which round is the best, and the table that says so."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from toolformer.own_json import made_of
from toolformer.screen import span

_LONGEST = 1e12
"""Seconds that no run takes."""
GROWTH = 0.05
"""By so much, at least, the calls of all rounds together have to grow for a round to count as a gain."""


@dataclass(frozen=True)
class Round:
    """One round: what was annotated, and, once it is trained, what came of it."""

    number: int
    texts: int
    """Texts that were annotated; passages of long ones count by themselves."""
    texts_with_calls: int
    calls: Mapping[str, int]
    """Calls that this round kept, by tool."""
    together_texts: int
    together: int
    """Texts with calls, and calls, of this round and all before it: what the model learns from."""
    thresholds: Mapping[str, float]
    known: int = 0
    """Calls of this round in texts whose right calls are known."""
    right: int = 0
    """Those of them that are right."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Tokens annotated, and learnt from, by the runs that ended each stage."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """What those runs took."""
    model: str | None = None
    """Its folder, once it is trained."""
    before: Mapping[str, float] = field(default_factory=dict)
    """Perplexities of the held-out texts, without and with calls, of the base model."""
    perplexity: Mapping[str, float] = field(default_factory=dict)
    """The same of this round's model. All rounds are measured on the same texts with the same calls."""

    @property
    def calls_a_text(self) -> float:
        """What this round kept."""
        return sum(self.calls.values()) / self.texts

    @property
    def share_right(self) -> float | None:
        """Of the calls that could be looked at, those that are right; None if there is none."""
        return self.right / self.known if self.known else None

    @property
    def loss(self) -> float | None:
        """The held-out loss of texts with calls, in nats a token; None if nothing was held out."""
        return math.log(self.perplexity["calls"]) if "calls" in self.perplexity else None

    def settings(self) -> dict[str, Any]:
        """As plain data, with the figures that follow from the others."""
        return {**asdict(self), "calls_a_text": round(self.calls_a_text, 4), "share_right": self.share_right}

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "Round":
        """What `settings` wrote."""
        if isinstance(said, dict):  # with figures that follow from others
            said = {name: said[name] for name in said if name in cls.__dataclass_fields__}
        one = made_of(cls, said)
        if one.texts < 1 or any(value <= 0 for value in one.perplexity.values()):
            raise ValueError("a round has one text at least, and perplexities above 0")
        if not all(0 <= value < _LONGEST for value in one.seconds.values()):
            raise ValueError(f"'seconds' of round {one.number} cannot be right")
        return one


def why_ended(rounds: Sequence[Round], most: int) -> str | None:
    """Why no further round is begun, if so.

    A round gains something if all rounds together have 5% more calls a text than without it, or if its model's loss on
    the held-out texts with calls is lower than that of the model before. The first that gains nothing is the last.
    """
    if len(rounds) > 1:
        before, last = rounds[-2:]
        more = last.together / last.texts >= (1 + GROWTH) * before.together / before.texts
        better = last.loss is not None and before.loss is not None and last.loss < before.loss
        if not more and not better:
            return f"round {last.number} gained nothing: hardly a new call, and no lower loss on held-out calls"
    return "all rounds are done" if len(rounds) >= most else None


def best(rounds: Sequence[Round]) -> Round:
    """The round whose model has the lowest loss on held-out texts with calls; the last, where nothing was held out."""
    measured = [one for one in rounds if one.loss is not None]
    return min(measured, key=lambda one: one.loss or 0.0) if measured else rounds[-1]


HEAD = ("round", "texts", "calls", "a text", "right", "together", "ppl calls", "ppl plain", "time")


def table(rounds: Sequence[Round]) -> Iterator[str]:
    """A line for each round, under a head."""
    rows = [HEAD, *(_cells(one) for one in rounds)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def _cells(one: Round) -> tuple[str, ...]:
    return (
        str(one.number),
        f"{one.texts_with_calls:,}",
        f"{sum(one.calls.values()):,}",
        f"{one.calls_a_text:.2f}",
        "" if one.share_right is None else f"{one.share_right:.0%}",
        f"{one.together:,}",
        *(f"{one.perplexity[name]:.4g}" if name in one.perplexity else "" for name in ("calls", "plain")),
        span(sum(one.seconds.values())),
    )
