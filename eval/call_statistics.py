"""What the calls did: accuracy with and without them, how often which tool, and whether the decision was right.

Everything is counted from outcomes; nothing here asks a model.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from toolformer.eval.measures import binned, calibration_error
from toolformer.eval.outcomes import Outcome

RESAMPLES = 1000
NEAR = 30
"""A call whose opening was among so many likeliest tokens, and was not made, is worth a lesson."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Share:
    """A mean of some examples, and the interval that 95% of resamples of them fall into. Where all are alike, so are
    all resamples: that interval says nothing of the examples nobody asked."""

    value: float
    low: float
    high: float
    count: int

    def json(self) -> Json:
        """As it is written."""
        return {"value": _r(self.value), "low": _r(self.low), "high": _r(self.high), "count": self.count}


def share(values: Sequence[float], seed: int = 0) -> Share | None:
    """The mean with its bootstrap interval (percentiles); None of nothing. The same seed gives the same interval."""
    if not values:
        return None
    import numpy

    data = numpy.asarray(values, dtype=float)
    draw = numpy.random.default_rng(seed)
    if set(data.tolist()) <= {0.0, 1.0}:
        # How many of n draws hit a right example is binomial: no need to draw them one by one.
        means = draw.binomial(len(data), data.mean(), RESAMPLES) / len(data)
    else:
        means = numpy.array([data[draw.integers(0, len(data), len(data))].mean() for _ in range(RESAMPLES)])
    low, high = numpy.percentile(means, [2.5, 97.5])
    return Share(float(data.mean()), float(low), float(high), len(data))


def statistics(outcomes: Sequence[Outcome], seed: int = 0) -> Json:
    """Accuracy over all, with call, without; how often which tool was called, and what came to nothing."""
    called = [one for one in outcomes if one.called]
    plain = [one for one in outcomes if not one.called]
    tools = Counter(tool for one in outcomes for tool in one.tools)
    undone = [call for one in outcomes for call in one.calls if call.undone]
    return {
        "examples": len(outcomes),
        "accuracy": _json(share([one.score for one in outcomes], seed)),
        "accuracy_with_call": _json(share([one.score for one in called], seed)),
        "accuracy_without_call": _json(share([one.score for one in plain], seed)),
        "called": _json(share([float(one.called) for one in outcomes], seed)),
        "called_by_tool": {tool: _r(count / len(outcomes)) for tool, count in sorted(tools.items())},
        "calls_per_example": _r(fmean(sum(not c.undone for c in one.calls) for one in outcomes)) if outcomes else 0.0,
        "undone_calls": len(undone),
        "undone_by_tool": dict(sorted(Counter(call.tool or "no tool" for call in undone).items())),
        "prompts_cut": sum(one.cut > 0 for one in outcomes),
        "normalised": normalised(outcomes),
        "groups": _groups(outcomes),
    }


def _groups(outcomes: Sequence[Outcome]) -> Json:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.group].append(one)
    return {
        name: {
            "examples": len(members),
            "accuracy": _r(fmean(one.score for one in members)),
            "called": _r(fmean(one.called for one in members)),
        }
        for name, members in sorted(groups.items())
        if len(groups) > 1
    }


def normalised(outcomes: Sequence[Outcome]) -> float | None:
    """The mean over groups of how far accuracy gets from chance (0) to perfect (1); None without any chance."""
    if not any(one.chance for one in outcomes):
        return None
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.group].append(one)
    means = []
    for members in groups.values():
        chance = fmean(one.chance for one in members)
        means.append((fmean(one.score for one in members) - chance) / (1 - chance))
    return _r(fmean(means))


CASES = {
    "called and right": "the call was worth it, or did no harm",
    "called and wrong": "a bad tool or a bad call",
    "not called and right": "no call was needed",
    "not called and wrong": f"a call was not among the {NEAR} likeliest tokens anywhere: should learn to ask",
    "undecided": f"not called and wrong, with a call among the {NEAR} likeliest tokens: worth a lesson",
}


def case(outcome: Outcome) -> str:
    """Which of `CASES` an example is. A call that was undone was called for nothing."""
    if outcome.calls:
        return "called and right" if outcome.right else "called and wrong"
    if outcome.right:
        return "not called and right"
    return "undecided" if 0 <= outcome.rank < NEAR else "not called and wrong"


def cases(outcomes: Sequence[Outcome]) -> Json:
    """How many examples are which case."""
    counts = Counter(map(case, outcomes))
    return {name: counts[name] for name in CASES}


def mended(without: Sequence[Outcome], most: Sequence[Outcome]) -> set[str]:
    """The examples that a tool mends: wrong with calls disabled, right with a call where calls come most easily."""
    wrong = {one.id for one in without if not one.right}
    return {one.id for one in most if one.called and one.right and one.id in wrong}


def against_oracle(outcomes: Sequence[Outcome], mends: set[str]) -> Json:
    """How well calling agrees with an oracle that calls exactly where a tool mends the answer."""
    called = {one.id for one in outcomes if one.called}
    hits = len(called & mends)
    return {
        "mendable": len(mends),
        "called": len(called),
        "precision": _r(hits / len(called)) if called else None,
        "recall": _r(hits / len(mends)) if mends else None,
    }


def calibration(outcomes: Sequence[Outcome], mends: set[str]) -> Json:
    """Of examples whose call had some probability: how many does a tool mend? And the mean distance of the two."""
    seen = [one for one in outcomes if one.rank >= 0]
    probabilities, hits = [one.probability for one in seen], [one.id in mends for one in seen]
    rows: list[Json] = [
        {
            "bin": number,
            "probability": _r(fmean(probabilities[place] for place in places)),
            "mended": _json(share([float(hits[place]) for place in places])),
        }
        for number, places in binned(probabilities).items()
    ]
    error = calibration_error(probabilities, hits)
    return {"bins": rows, "error": None if error is None else _r(error)}


def vote(answers: Sequence[str]) -> int:
    """Which of several answers stands for all: the first of those given most often. Who says nothing has no vote."""
    counts = Counter(answer for answer in answers if answer)
    return answers.index(max(counts, key=lambda one: counts[one])) if counts else 0


def _json(one: Share | None) -> Json | None:
    return None if one is None else one.json()


def _r(value: float) -> float:
    return round(value, 6)
