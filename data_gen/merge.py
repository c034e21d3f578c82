"""One text with the calls of all tools: at most one at a place, the largest gain first.

A result helps a little before its place as well, since the window of the loss reaches over it: the same call is often
kept at several neighbouring places. Only the one that gains most says where the model should learn to make it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from toolformer.calls import CallSyntax
from toolformer.data_gen.records import Annotated, Candidate, Document, EncodedText, Rejected
from toolformer.lm import WINDOW


def merge(helpful: Iterable[Candidate], texts: Sequence[EncodedText], rejected: list[Rejected]) -> list[Annotated]:
    """The texts that kept a call which they had not before, in their own order."""
    calls: dict[str, list[Candidate]] = defaultdict(list)
    for one in helpful:
        calls[one.place.text.document.id].append(one)
    annotated = []
    for text in texts:
        kept: dict[int, Candidate] = {}
        for one in sorted(calls.get(text.document.id, ()), key=_rank):
            if reason := _beaten(one, kept) or _again(one):
                rejected.append(Rejected(one.place, "merge", reason, one.call, one.losses))
            else:
                kept[one.place.position] = one
        if kept:
            calls_of_text = sorted([*text.calls, *kept.values()], key=lambda one: one.place.start)
            annotated.append(Annotated(text.document, tuple(calls_of_text)))
    return annotated


def _beaten(one: Candidate, kept: dict[int, Candidate]) -> str:
    """Why the call must give way to one that gains more, if it must."""
    position = one.place.position
    if position in kept:
        return "another call at this place gains more"
    near = range(position - len(WINDOW) + 1, position + len(WINDOW))
    if any(at in kept and kept[at].call == one.call for at in near):
        return "the same call gains more at a place nearby"
    return ""


def _again(one: Candidate) -> str:
    """Why a call of a later round adds nothing, if so."""
    stands = any(other.call.gist == one.call.gist for other in one.place.text.calls)
    return "the same call stands in the text already" if stands else ""


def annotate_text(document: Document, calls: Iterable[Candidate], syntax: CallSyntax) -> str:
    """The text with its calls written into it."""
    pieces, end = [], 0
    for one in calls:
        pieces += [document.text[end : one.place.start], syntax.format(one.call)]
        end = one.place.start
    return "".join([*pieces, document.text[end:]])


def _rank(one: Candidate) -> tuple[float, str, str, int]:
    """Largest gain first; equal gains by name, so that the order in which calls came does not matter."""
    return (-one.gain, one.call.tool, one.call.input, one.place.position)
