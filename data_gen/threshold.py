"""How much must a result gain? Found from decoys, for one model, tokenizer and tool.

Every scored call is scored once more with the result of another call of its tool, one that is not what the text says
next: of weekdays, every seventh would be right. What such a decoy gains is what chance looks like. τ_f is the smallest
gain at which, of the calls that reach it, the estimated share of chance is at most 5%: decoys that reach it over calls
that do. Proteomics finds its thresholds so (target-decoy).
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from toolformer.data_gen.match import says_next
from toolformer.data_gen.records import Candidate
from toolformer.data_gen.score import Scorer
from toolformer.data_gen.workers import in_order
from toolformer.own_json import made_of

SHARE = 0.05
"""The estimated share of chance among the calls above the threshold, at most."""
LEAST = 0.05
"""No threshold is lower: below, a gain says nothing that anybody would notice. Nats."""
ENOUGH = 300
"""Scored calls of a tool from which on its threshold is known well enough."""
MOST = 600
"""Of more, the first ones are taken: each costs a decoy."""
FEWEST = 60
"""With fewer, nothing is estimated."""
DECOYS = 300
"""Of fewer calls, each has several decoys, about so many together: a tail of few decoys is a matter of luck."""
TOGETHER = 100
"""Decoys that are scored together, so that several scorers can share them."""
LOWEST, WIDTH, BINS = -1.0, 0.125, 24
"""Of the histograms: from -1 to 2 nats."""


@dataclass(frozen=True)
class Threshold:
    """A tool's threshold and what it was found from."""

    value: float
    candidates: int
    share: float | None
    """The estimated share of chance among the candidates above it; None if it was not estimated."""
    kept: int
    """Candidates above it."""
    found: bool
    """False where there were too few candidates, and the value is the lesson's number."""
    gains: tuple[int, ...] = ()
    """Candidates by their gain, from -1 to 2 nats; what is beyond counts in the outermost."""
    decoys: tuple[int, ...] = ()
    """The same of their decoys, of which a call may have several."""

    def settings(self) -> dict[str, object]:
        """As plain data."""
        return {**asdict(self), "gains": list(self.gains), "decoys": list(self.decoys)}

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "Threshold":
        """What `settings` wrote; a ValueError if it did not."""
        one = made_of(cls, said)
        if not math.isfinite(one.value):
            raise ValueError("no threshold")
        return one


def find_thresholds(
    scored: Mapping[str, Sequence[Candidate]], scorers: Sequence[Scorer], given: Mapping[str, float]
) -> dict[str, Threshold]:
    """Each tool's threshold; that of the lesson (`given`) where there are too few candidates. Scorers share decoys."""
    found: dict[str, Threshold] = {}
    for tool, number in given.items():
        some = scored.get(tool, ())[:MOST]
        results = [one.call.result or "" for one in some]
        if len(some) < FEWEST or len(set(results)) < 2:
            kept = sum(one.gain >= number for one in some)
            found[tool] = Threshold(float(number), len(some), None, kept, found=False)
        else:
            pairs = [(one, other) for one, others in zip(some, _others(some), strict=True) for other in others]
            parts = [pairs[at : at + TOGETHER] for at in range(0, len(pairs), TOGETHER)]
            gains = [gain for one in in_order(scorers, parts, _decoys) for gain in one]
            found[tool] = threshold([one.gain for one in some], gains)
    return found


def _decoys(scorer: Scorer, pairs: Sequence[tuple[Candidate, str]]) -> list[float]:
    return scorer.decoys([one for one, _ in pairs], [result for _, result in pairs])


def threshold(gains: Sequence[float], decoys: Sequence[float]) -> Threshold:
    """The smallest gain of a candidate at which the share of decoys is low enough; above all of them if none is. Where
    there are more decoys than candidates, each counts for less."""
    targets, chance = sorted(gains), sorted(decoys)
    each = len(targets) / len(chance)
    value, share, kept = max(targets[-1], chance[-1], LEAST) + 2e-3, 0.0, 0
    for rank in range(len(targets) - 1, -1, -1):
        if targets[rank] < LEAST:
            break
        reached = len(targets) - bisect.bisect_left(targets, targets[rank])
        by_chance = each * (len(chance) - bisect.bisect_left(chance, targets[rank]))
        if by_chance <= SHARE * reached:
            value, share, kept = targets[rank], by_chance / reached, reached
    # Just below, so that a gain that differs by rounding is on the same side.
    value = max(LEAST, math.floor(1000 * value - 0.5) / 1000)
    return Threshold(value, len(gains), share, kept, True, _histogram(gains), _histogram(decoys))


def _others(scored: Sequence[Candidate]) -> list[list[str]]:
    """For each call the results of others: of those behind it, half of the way round, the next that differ and that the
    text does not say; where there is none, the next that differs."""
    results = [one.call.result or "" for one in scored]
    count = len(results)
    others = []
    for n, one in enumerate(scored):
        order = (results[(n + count // 2 + step) % count] for step in range(count))
        differ = dict.fromkeys(result for result in order if result != results[n])
        wrong = (result for result in differ if not says_next(result, one.place.following))
        others.append([*islice(wrong, math.ceil(DECOYS / count))] or [next(iter(differ))])
    return others


def _histogram(values: Sequence[float]) -> tuple[int, ...]:
    counts = [0] * BINS
    for value in values:
        clipped = min(max(value, LOWEST), LOWEST + WIDTH * (BINS - 0.5))
        counts[int((clipped - LOWEST) / WIDTH)] += 1
    return tuple(counts)
