"""The calls of several annotated folders of one corpus, text by text: what was found in any of them.

As within one run (merge.py), there is one call at a place, the one that gains most, and a call that is there again a
few words on counts once. Places with nothing but white space between them are one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from toolformer.data_gen.annotated_folder import KeptCall, KeptText
from toolformer.lm import WINDOW

_PIECE = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class TogetherText:
    """A text with the calls of all folders, in the order of their places."""

    id: str
    text: str
    calls: tuple[KeptCall, ...]


def together(folders: Iterable[Iterable[KeptText]]) -> list[TogetherText]:
    """The texts that kept a call in any folder, in the order in which they come first."""
    calls: dict[tuple[str, str], list[KeptCall]] = {}
    for folder in folders:
        for one in folder:
            calls.setdefault((one.id, one.text), []).extend(one.calls)
    return [TogetherText(name, text, united(text, some)) for (name, text), some in calls.items()]


def united(text: str, calls: Iterable[KeptCall]) -> tuple[KeptCall, ...]:
    """The calls of one text, without those that must give way to one that gains more."""
    kept: list[KeptCall] = []
    for one in sorted(calls, key=_rank):
        if not any(_gives_way(text, one, other) for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: one.start))


def _gives_way(text: str, one: KeptCall, other: KeptCall) -> bool:
    begin, end = sorted((one.start, other.start))
    between = text[begin:end]
    if not between.strip():
        return True
    return one.call.gist == other.call.gist and len(_PIECE.findall(between)) < len(WINDOW)


def _rank(one: KeptCall) -> tuple[float, str, str, int]:
    """Largest gain first; equal gains by name, so that the order in which folders come does not matter."""
    return (-(one.numbers.gain or 0.0), one.call.tool, one.call.input, one.start)
