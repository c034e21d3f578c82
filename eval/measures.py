"""How well a score tells what is so: AUROC, calibration error, risk and accuracy over coverage. Of numbers alone.

Examples with the same score cannot be told apart, so they are always taken together: no figure depends on their order.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean

BINS = 10

Curve = list[tuple[float, float]]


def auroc(scores: Sequence[float], hits: Sequence[bool]) -> float | None:
    """How often a hit has a higher score than a miss; equal scores count half. None without both."""
    right, pairs, misses_below = 0.0, hits.count(True) * hits.count(False), 0
    for group in reversed(_descending(scores)):
        hit = sum(hits[place] for place in group)
        right += hit * (misses_below + (len(group) - hit) / 2)
        misses_below += len(group) - hit
    return right / pairs if pairs else None


def binned(probabilities: Sequence[float]) -> dict[int, list[int]]:
    """Which examples have a probability in which tenth, from below; empty tenths are left out."""
    bins: dict[int, list[int]] = defaultdict(list)
    for place, probability in enumerate(probabilities):
        bins[min(int(probability * BINS), BINS - 1)].append(place)
    return dict(sorted(bins.items()))


def calibration_error(probabilities: Sequence[float], hits: Sequence[bool]) -> float | None:
    """The mean distance, over the examples, of their bin's mean probability and its share of hits. None of nothing."""
    if not probabilities:
        return None
    gaps = [
        abs(fmean(probabilities[place] for place in bin_) - fmean(hits[place] for place in bin_)) * len(bin_)
        for bin_ in binned(probabilities).values()
    ]
    return sum(gaps) / len(probabilities)


def risk_coverage(scores: Sequence[float], losses: Sequence[float]) -> Curve:
    """The mean loss of the examples with the highest scores, over their share of all."""
    groups = _descending(scores)
    sizes = accumulate(len(group) for group in groups)
    sums = accumulate(sum(losses[place] for place in group) for group in groups)
    return [(size / len(scores), total / size) for size, total in zip(sizes, sums, strict=True)]


def area(curve: Curve) -> float | None:
    """The mean height of a curve of steps, each as wide as the coverage it adds. None of an empty one."""
    if not curve:
        return None
    befores = [0.0, *(share for share, _ in curve)]
    return sum((share - before) * height for before, (share, height) in zip(befores, curve, strict=False))


def accuracy_over_calls(scores: Sequence[float], without: Sequence[bool], with_call: Sequence[bool]) -> Curve:
    """Accuracy over the share of examples with a call, if the examples with the highest scores get one."""
    gains = [risen - plain for risen, plain in zip(with_call, without, strict=True)]
    groups = _descending(scores)
    sizes = accumulate((len(group) for group in groups), initial=0)
    sums = accumulate((sum(gains[place] for place in group) for group in groups), initial=sum(without))
    return (
        [(size / len(scores), total / len(scores)) for size, total in zip(sizes, sums, strict=True)] if scores else []
    )


def fewest(curve: Curve, accuracy: float) -> float | None:
    """The smallest share of calls with at least this accuracy; None if no share has it."""
    return next((share for share, reached in curve if reached >= accuracy - 1e-9), None)


def f1(precision: float | None, recall: float | None) -> float | None:
    """The harmonic mean; None where one of them is not defined."""
    if precision is None or recall is None:
        return None
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _descending(scores: Sequence[float]) -> list[list[int]]:
    """The places of equal scores together, the highest first."""
    groups: dict[float, list[int]] = defaultdict(list)
    for place, score in enumerate(scores):
        groups[score].append(place)
    return [groups[score] for score in sorted(groups, reverse=True)]
