"""A text that kept calls, read again with them in place, so that the next call can build on their results.

A model reads the calls as training will write them, among the text's ids. Rules read the results alone, in brackets:
a result's number or name is then one that stands before the place, like any other of the text.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from toolformer.calls import Call
from toolformer.chains import uses
from toolformer.data_gen.records import Annotated, Candidate, Document, EncodedText, Rejected
from toolformer.lm import Encoded, Ids


def with_calls(encoded: Encoded, calls: Sequence[Candidate], write: Callable[[Call], Ids]) -> Encoded:
    """The encoded text with calls among its ids."""
    ids: list[int] = []
    starts: list[int] = []
    before = 0
    for one in calls:
        # Before the token that covers the place, and all tokens of its character.
        token = bisect_left(encoded.starts, encoded.starts[encoded.token_at(one.place.start)])
        written = write(one.call)
        ids += [*encoded.ids[before:token], *written]
        starts += [*encoded.starts[before:token], *[encoded.starts[token]] * len(written)]
        before = token
    return Encoded((*ids, *encoded.ids[before:]), (*starts, *encoded.starts[before:]))


def with_results(text: EncodedText) -> tuple[Document, Sequence[int | None]]:
    """What a rule reads, and where each character of it stands in the text: None for those of a result."""
    whole = text.document.text
    if not text.calls:
        return text.document, range(len(whole))
    pieces, places, end = [], list[int | None](), 0
    for one in text.calls:
        shown = f" ({one.call.result}) "
        pieces += [whole[end : one.place.start], shown]
        places += [*range(end, one.place.start), *[None] * len(shown)]
        end = one.place.start
    return replace(text.document, text="".join([*pieces, whole[end:]])), [*places, *range(end, len(whole))]


def uses_of(annotated: Annotated) -> list[tuple[int, ...]]:
    """For each call of a text, the earlier ones in whose results something of its input stood first."""
    before: list[str | Call] = []
    found, end = [], 0
    for one in annotated.calls:
        before.append(annotated.document.text[end : one.place.start])
        found.append(uses(before, one.call.input))
        before.append(one.call)
        end = one.place.start
    return found


def latest(rejected: Iterable[Rejected], again: Sequence[Rejected], kept: Iterable[Annotated]) -> list[Rejected]:
    """What was rejected, with what came of it in a later round: a call that is tried again ends in its last record."""
    tried = {_key(one) for one in again} | {_key(call) for one in kept for call in one.calls}
    return [*(one for one in rejected if _key(one) not in tried), *again]


def _key(one: Rejected | Candidate) -> tuple[str, str, int, tuple[str, str] | str]:
    asked = one.call.gist if one.call else one.reason if isinstance(one, Rejected) else ""
    return one.place.text.document.id, one.place.tool, one.place.start, asked
