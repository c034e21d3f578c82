"""The method's settings, beyond what each lesson says. Light: the command line makes flags of them."""

from dataclasses import dataclass
from typing import Literal

Prune = Literal["after", "before"]


@dataclass(frozen=True)
class Method:
    """How the calls are found and judged, beyond what each lesson says."""

    seed: int = 0
    """Decides all sampling."""
    in_place: bool = False
    """Score a call where it will stand, instead of before the whole text as in the paper."""
    prune: Prune = "after"
    """Drop hopeless places after the cut to the k likeliest, as the paper would, or before, so that others move up."""
