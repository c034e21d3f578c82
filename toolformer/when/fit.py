"""From places where need is known: the temperature of the opening, and each tool's threshold. Of numbers alone."""

import math
from collections.abc import Sequence

from toolformer.decode.trigger import Bar, Thresholds, log_odds
from toolformer.when.places import NEAR, Place

FEWEST = 5
"""Of a tool that was needed less often, nothing is fitted: its threshold is that of all tools together."""
_LEAST, _MOST = 0.1, 10.0
"""The temperature is between these."""
_CERTAIN = 30.0
"""No evidence counts for more nats than this."""


def fit(places: Sequence[Place], calls_at_most: float | None = None) -> Thresholds:
    """What the places say. Each tool gets the threshold with the best F1 of its calls against need.

    With `calls_at_most`, all tools have one: the lowest at which at most this share of the texts has a call.
    """
    found = temperature(places)
    if calls_at_most is not None:
        return Thresholds(Bar(share_threshold(places, found, calls_at_most)), {}, found)
    needed = [place.needed for place in places]
    tools = sorted({name for name in needed if name and needed.count(name) >= FEWEST})
    bars = {tool: Bar(f1_threshold(places, found, tool)) for tool in tools}
    return Thresholds(Bar(f1_threshold(places, found)), bars, found)


def temperature(places: Sequence[Place]) -> float:
    """The one at which the openings' probabilities say best where a call is needed: the least negative log-likelihood.

    It has one minimum over the inverse temperature, which is found by thirds.
    """
    said = [(_evidence(one, 1.0), bool(one.needed)) for one in places]
    low, high = 1 / _MOST, 1 / _LEAST
    while high - low > 1e-3:
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if _surprise(said, a) <= _surprise(said, b) else (a, high)
    return round(2 / (low + high), 3)


def _surprise(said: Sequence[tuple[float, bool]], inverse: float) -> float:
    return sum(math.log1p(math.exp((-one if needed else one) * inverse)) for one, needed in said)


def f1_threshold(places: Sequence[Place], found: float, tool: str | None = None) -> float:
    """The probability from which on calls have the best F1 against need: of one tool, or of all.

    It lies in the middle, in log-odds, between the last call that is made and the first one that is not.
    """
    callable_ = sorted(_callable(places, tool), key=lambda one: -one.probability)
    needed = sum(bool(one.needed) if tool is None else one.needed == tool for one in places)
    hits, best, cut = 0, 0.0, 0
    for made, one in enumerate(callable_, 1):
        hits += one.right
        last = made == len(callable_) or callable_[made].probability < one.probability
        if last and (f1 := 2 * hits / (made + needed)) > best:
            best, cut = f1, made
    return _between(callable_, cut, found)


def share_threshold(places: Sequence[Place], found: float, share: float) -> float:
    """The lowest probability that the opening reaches, somewhere, in at most this share of the texts."""
    nearest: dict[int, Place] = {}
    for one in _callable(places, None):
        if one.text not in nearest or one.probability > nearest[one.text].probability:
            nearest[one.text] = one
    ordered = sorted(nearest.values(), key=lambda one: -one.probability)
    cut = min(len(ordered), int(share * len({one.text for one in places}) + 1e-9))
    while 0 < cut < len(ordered) and ordered[cut].probability == ordered[cut - 1].probability:
        cut -= 1  # equal ones cannot be told apart
    return _between(ordered, cut, found)


def _callable(places: Sequence[Place], tool: str | None) -> list[Place]:
    """The places where the model could call the tool, or any."""
    return [one for one in places if one.rank < NEAR and (one.tool == tool if tool else one.tool)]


def _between(ordered: Sequence[Place], cut: int, found: float) -> float:
    """The probability that parts the first so many places from the others."""
    if not ordered:
        return 0.5
    above = _evidence(ordered[cut - 1], found) if cut else _evidence(ordered[0], found) + 2
    below = _evidence(ordered[cut], found) if cut < len(ordered) else above - 2
    return min(max(calibrated((above + below) / 2), 1e-9), 1 - 1e-9)


def calls_by(places: Sequence[Place], thresholds: Thresholds, tool: str | None = None) -> list[Place]:
    """The calls that the thresholds let the model make."""
    there = _callable(places, tool)
    return [one for one in there if _evidence(one, thresholds.temperature) >= thresholds.needed(one.tool)]


def calls_at(places: Sequence[Place], k: int) -> list[Place]:
    """The calls where the opening is among the k likeliest tokens."""
    return [one for one in places if one.tool and one.rank < k]


def probability(place: Place, found: float) -> float:
    """Of the opening, at this temperature."""
    return calibrated(_evidence(place, found))


def calibrated(evidence: float) -> float:
    """The probability with these log-odds."""
    return 1 / (1 + math.exp(-evidence))


def _evidence(place: Place, found: float) -> float:
    return min(max(log_odds(place.probability), -_CERTAIN), _CERTAIN) / found
