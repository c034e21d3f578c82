"""The method's settings, beyond what each lesson says. Light: the command line makes flags of them."""

from dataclasses import dataclass
from typing import Literal

Prune = Literal["after", "before"]
Threshold = Literal["auto", "lesson"]


@dataclass(frozen=True)
class Method:
    """How calls are found and judged, for all lessons."""

    seed: int = 0
    """Random seed of the samples."""
    filtering_threshold: Threshold = "auto"
    """The gain that keeps a call: estimated for each tool from decoys (auto), or the lesson's own number (lesson)."""
    everywhere: bool = False
    """Look at all places, as the paper does, instead of only those where the lesson allows a result."""
    match: bool = False
    """Score only calls whose result shares a word or a number with the following words."""
    in_place: bool = False
    """Score a call in its place, not before the whole text as the paper does."""
    chain: int = 1
    """Rounds over each text: after the first, the calls that it kept stand in it, so that a call can use their
    results."""
    prune: Prune = "after"
    """Drop hopeless places after selecting the k likeliest, as the paper would, or before, so that others move up."""


PAPER = Method(filtering_threshold="lesson", everywhere=True)
"""Schick et al. 2023."""
