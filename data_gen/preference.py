"""Pairs of what a finetuned model should write and what it should not, for training on preferences.

    a better call     chosen: a kept call; rejected: another call at its place that gained less, or had no result
    restraint         chosen: the text's next words; rejected: a call that gained nothing there, and the same words

A place is left out where a dropped call's result is what the text says next: whether a call belongs there was not
decided. Calls are spelled with the added tokens of a finetuned model, whose tokenizer reads them as training wrote
them; a pair whose text, input or result holds such a marker itself is left out, since it would be read as one.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toolformer.calls import Call, CallSyntax
from toolformer.data_gen.annotated_folder import KeptText, RejectedCall
from toolformer.data_gen.undecided import says_what_follows

WORDS = 8
"""Words of the text behind a place where no call belongs."""
_NEXT = re.compile(rf"(?:\s*\S+){{1,{WORDS}}}")


@dataclass(frozen=True)
class Preference:
    """Two ways in which a text could go on."""

    prompt: str
    chosen: str
    rejected: str


def preferences(text: KeptText, dropped: Sequence[RejectedCall]) -> Iterator[Preference]:
    """The pairs of one text, in the order of their places."""
    if _holds_marker(text.text) or any(_holds_marker(_said(one.call)) for one in text.calls):
        return
    at: dict[int, list[RejectedCall]] = defaultdict(list)
    for one in dropped:
        if one.input is not None and one.start <= len(text.text) and not _holds_marker(_said(_call(one))):
            at[one.start].append(one)
    kept = {one.start: one.call for one in text.calls}
    for start in sorted({*at, *kept}):
        before = _annotated(text, start)
        if start in kept:
            if (other := _worse(at[start], kept[start])) is not None:
                yield Preference(before, _spelled(kept[start]), _spelled(other))
        elif (other := _useless(at[start])) is not None:
            following = _following(text, start)
            yield Preference(before, following, _spelled(other) + following)


def _annotated(text: KeptText, end: int) -> str:
    """The text up to a place, with the calls that stand before it."""
    said, begin = "", 0
    for one in text.calls:
        if one.start >= end:
            break
        said += text.text[begin : one.start] + _spelled(one.call)
        begin = one.start
    return said + text.text[begin:end]


def _following(text: KeptText, start: int) -> str:
    """The next words, up to the next call at most."""
    end = min((one.start for one in text.calls if one.start > start), default=len(text.text))
    words = _NEXT.match(text.text[start:end])
    return words.group() if words else text.text[start:end]


def _holds_marker(said: str) -> bool:
    return any(marker in said for marker in CallSyntax.TOKENS.control_tokens)


def _said(call: Call) -> str:
    return f"{call.input} {call.result or ''}"


def _spelled(call: Call) -> str:
    return "".join(part.text for part in CallSyntax.TOKENS.parts(call))


def _worse(others: Sequence[RejectedCall], kept: Call) -> Call | None:
    """Of the other calls at a kept call's place, the one that came closest."""
    calls = [one for one in others if _call(one).gist != kept.gist]
    return _call(max(calls, key=_gain)) if calls else None


def _useless(others: Sequence[RejectedCall]) -> Call | None:
    """Of the calls at a place that kept none, the one that came closest; None where nothing was decided.

    Only the filter finds calls useless. One that gave way to the same call nearby, or was never scored, may be good.
    """
    useless = [one for one in others if one.stage == "filter"]
    if not useless or any(one.stage == "merge" or says_what_follows(one) for one in others):
        return None
    return _call(max(useless, key=_gain))


def _gain(one: RejectedCall) -> tuple[float, str]:
    """How close a call came; equal ones by name, so that the order of the file does not matter."""
    return (-math.inf if one.numbers.gain is None else one.numbers.gain), f"{one.tool} {one.input}"


def _call(one: RejectedCall) -> Call:
    return Call(one.tool, one.input or "", one.result)
