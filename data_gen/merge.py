"""One text with the calls of all tools: at most one at a place, the largest gain first."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from toolformer.calls import CallSyntax
from toolformer.data_gen.records import Annotated, Document, Rejected, Scored, Text


def merge(selected: Iterable[Scored | Rejected], texts: Sequence[Text]) -> Iterator[Annotated | Rejected]:
    """The texts that kept a call, in their own order. What was rejected before comes first."""
    calls: dict[str, dict[int, Scored]] = defaultdict(dict)
    for record in selected:
        if isinstance(record, Rejected):
            yield record
            continue
        at = calls[record.place.text.document.id]
        best = at.setdefault(record.place.position, record)
        if best is not record:
            winner, loser = (record, best) if _rank(record) < _rank(best) else (best, record)
            at[record.place.position] = winner
            yield Rejected(loser.place, "merge", "another call at this place gains more", loser.call, loser.losses)
    for text in texts:
        if kept := calls.get(text.document.id):
            yield Annotated(text.document, tuple(kept[position] for position in sorted(kept)))


def annotate_text(document: Document, calls: Iterable[Scored], syntax: CallSyntax) -> str:
    """The text with its calls written into it."""
    pieces, end = [], 0
    for one in calls:
        pieces += [document.text[end : one.place.start], syntax.format(one.call)]
        end = one.place.start
    return "".join([*pieces, document.text[end:]])


def _rank(one: Scored) -> tuple[float, str, str]:
    """Largest gain first; equal gains by name, so that the order in which calls came does not matter."""
    return (-one.losses.gain, one.call.tool, one.call.input)
