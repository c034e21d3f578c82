"""At which places of a text a tool's result could stand. Each rule looks at a text and an offset, and says yes or no.

A call stands before a whole word, or better before the space in front of it, so that its result and the word begin
alike. Inside of a word, all rules but "any" say no.
"""

import re
from collections.abc import Callable

from toolformer.chains import FUNCTION_WORDS

Where = Callable[[str, int], bool]

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
SHORT_MONTHS = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
WEEKDAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_BEFORE = re.compile(r"\s*+[$€£¥(\"'“‘-]{0,2}+")
"""What may stand between a place and its word: the result is written without it."""
_NUMBER = re.compile(r"[0-9]|\.[0-9]")
_DATE = re.compile(rf"[0-9]|(?:{MONTHS}|{WEEKDAYS})\b")
_NAME = re.compile(r"[^\W\d_a-z][\w'’.-]*|[0-9]")
_WORD = re.compile(r"\w+")


def anywhere(text: str, at: int) -> bool:  # noqa: ARG001 - one signature for all
    """At every place, as in the paper."""
    return True


def number(text: str, at: int) -> bool:
    """Before a number."""
    return _stands_before(_NUMBER, text, at)


def date(text: str, at: int) -> bool:
    """Before a date, a month, a weekday or a number."""
    return _stands_before(_DATE, text, at)


def name(text: str, at: int) -> bool:
    """Before a word with a capital letter, or a number."""
    return _stands_before(_NAME, text, at)


def word(text: str, at: int) -> bool:
    """Before a word that says something: a number, a name, or any but words such as "the" and "of"."""
    start = word_start(text, at)
    match = None if start is None else _WORD.match(text, start)
    return match is not None and match.group().casefold() not in FUNCTION_WORDS


def word_start(text: str, at: int) -> int | None:
    """Where the word begins that a call at this place would stand before; None for a place inside of a word."""
    if at and not text[at - 1].isspace() and not text[at : at + 1].isspace():
        return None
    gap = _BEFORE.match(text, at)
    return gap.end() if gap else at


def _stands_before(pattern: re.Pattern[str], text: str, at: int) -> bool:
    start = word_start(text, at)
    return start is not None and pattern.match(text, start) is not None


PLACES: dict[str, Where] = {"any": anywhere, "number": number, "date": date, "name": name, "word": word}
"""The rules by the names that lessons call them by."""
