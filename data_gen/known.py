"""Which of the kept calls are right, where a corpus knows: it may say in a column of its own which calls are.

    {"text": "Tom has 24 clips and finds 48 more: 72.",
     "calls": [{"start": 36, "input": "24 + 48", "result": "72"}]}

`start` is the character at which the result stands in the text. `tool`, other inputs that are `also` right, and, for
tools that answer in sentences, the words that give it away (`answer`) may be said. Nobody who writes, judges or learns
calls ever sees this: it is for measuring alone.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from toolformer.calls import Call
from toolformer.data_gen.annotated_folder import KeptCall, KeptText
from toolformer.errors import DataError

_BETWEEN = re.compile(r"[^\w.,;:!?]{0,4}")
"""What may stand between the place of a call and the result: white space, and signs such as $."""
_NUMBER = re.compile(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?")


@dataclass(frozen=True)
class KnownCall:
    """A call that is right for its text."""

    start: int
    input: str
    result: str
    tool: str | None = None
    also: tuple[str, ...] = ()
    answer: str = ""

    def allows(self, call: Call) -> bool:
        """Whether a call is this one, in whatever words, orders and spaces."""
        if self.tool not in (None, call.tool):
            return False
        result = call.result or ""
        if self.answer:
            return self.answer.casefold() in result.casefold()
        asked = {_gist(one) for one in (self.input, *self.also)}
        return _value(result) == _value(self.result) and _gist(call.input) in asked


@dataclass(frozen=True)
class KnownText:
    """A text and all calls that are right for it."""

    id: str
    text: str
    calls: tuple[KnownCall, ...]


@dataclass(frozen=True)
class Share:
    """So many of the kept calls are in texts whose calls are known, and so many of those are right."""

    known: int
    right: int


def judge(kept: Iterable[KeptText], known: Iterable[KnownText]) -> Share:
    """How many of the kept calls are right: where a known call's result begins at the place, and the two say the same.

    The same result, and in the input the same numbers, or where there are none, the same words.
    """
    by_document: dict[str, list[KeptText]] = defaultdict(list)
    for text in kept:
        for name in {text.id, text.id.rpartition("#")[0]} - {""}:
            by_document[name].append(text)
    judged = right = 0
    for document in known:
        for text in by_document.get(document.id, ()):
            offset = document.text.find(text.text)
            if offset >= 0:
                judged += len(text.calls)
                right += sum(_right(one, offset, document) for one in text.calls)
    return Share(judged, right)


def _right(one: KeptCall, offset: int, document: KnownText) -> bool:
    place = offset + one.start
    return any(_side_by_side(document.text, place, known.start) and known.allows(one.call) for known in document.calls)


def _side_by_side(text: str, place: int, start: int) -> bool:
    return _BETWEEN.fullmatch(text[min(place, start) : max(place, start)]) is not None


def _gist(asked: str) -> tuple[str, ...]:
    """The numbers of an input, or else its words, in any order."""
    found = [str(float(one.replace(",", ""))) for one in _NUMBER.findall(asked)]
    return tuple(sorted(found or re.findall(r"\w+", asked.casefold())))


def _value(result: str) -> float | tuple[str, ...]:
    """What a result says: a number, however it is written, or words."""
    try:
        return float(result.replace(",", ""))
    except ValueError:
        return tuple(re.findall(r"\w+", result.casefold()))


def known_calls(value: object, place: str) -> tuple[KnownCall, ...]:
    """What a row says of its calls. What else stands with a call is not looked at; `place` is for an error."""
    if not isinstance(value, list):
        raise DataError(f'{place}: the known calls are no list; name another column as known, or none with ""')
    return tuple(_known(one, place) for one in value)


def _known(one: object, place: str) -> KnownCall:
    said: dict[str, Any] = one if isinstance(one, dict) else {}
    start, words = said.get("start"), [said.get(name) for name in ("input", "result")]
    if not isinstance(start, int) or not all(isinstance(word, str) for word in words):
        raise DataError(
            f"{place}: a known call is {str(one)[:60]!r}, where it should be "
            '{"start": the character where its result begins, "input": "...", "result": "..."}'
        )
    others = said.get("also") or []
    also = tuple(str(other) for other in (others if isinstance(others, list) else [others]))
    return KnownCall(start, said["input"], said["result"], said.get("tool"), also, str(said.get("answer") or ""))
