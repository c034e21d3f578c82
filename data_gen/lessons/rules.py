"""Which texts are worth a lesson. Each rule looks at one document and says yes or no.

Those for numbers, dated and foreign texts are the paper's (its appendix A), where it counts tokens we count words; the
others are ours. They are cheap on purpose, linear in the text, and may be wrong: a text let through in vain costs a
proposing pass, one held back costs its calls.
"""

import bisect
import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from toolformer.data_gen.lessons.expressions import MAX_NUMBERS, calculated
from toolformer.data_gen.lessons.foreign import holds_foreign
from toolformer.data_gen.records import Document

WINDOW = 100
"""Words among which three numbers have to stand."""
NEAR = 20
"""Of these, how many numbers before the last one are tried."""
FEW = 30
"""Numbers of a text that may be results for which two operations are tried: they give nearly any later one."""


def any_text(document: Document) -> bool:
    """Every text with a word in it."""
    return bool(document.text.strip())


def numbers(document: Document) -> bool:
    """Numbers that belong together: the three cases of the paper, and a fourth.

    Three numbers close together of which one is the sum, difference, product or quotient of two before it, up to the
    digits it is written with; or "=", "equals", "equal to", "total of" or "average of" before a number; or, for one in
    a hundred of the other texts, any three numbers. Which one that is, the document's id decides. Ours is a number that
    a calculation of two operations gives, without which problems of two steps would teach nothing.
    """
    if _EQUALS.search(document.text):
        return True
    found = list(itertools.islice(_numbers(document.text), MAX_NUMBERS))
    if len(found) < 3:
        return False
    return _one_follows(found) or _one_in_a_hundred(document.id) or _two_steps(document.text)


def dated(document: Document) -> bool:
    """The document's own date is known, from its date column or its address."""
    return document.facts.date is not None and any_text(document)


def dates(document: Document) -> bool:
    """A day is written in the text or is the text's own, and another, a weekday or a length of time, which may follow
    from it."""
    days = len(list(itertools.islice(_DAY.finditer(document.text), 2))) + (document.facts.date is not None)
    return days > 1 or (days == 1 and _TIME.search(document.text) is not None)


def formulas(document: Document) -> bool:
    """An equation or a power with a letter in it, or a word from algebra."""
    return _FORMULA.search(document.text) is not None


def foreign(document: Document) -> bool:
    """Words of another language between English ones."""
    return holds_foreign(document.text)


def _two_steps(text: str) -> bool:
    """Whether a number follows from three before it, such as `78 - 20 * 2`, and from no two of them."""
    firsts = (next(found, "") for _, found in itertools.islice(calculated(text), FEW))
    return any(len(first.split()) == 5 for first in firsts)  # three numbers and two operators


_EQUALS = re.compile(r"(?:=|\bequals|\bequal to|\btotal of|\baverage of)\s*+(?:[^\w\s]\s*+)?[0-9]", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<![\w.,])(?P<whole>[0-9]{1,3}(?:,[0-9]{3})++|[0-9]++)(?:\.(?P<decimals>[0-9]++))?(?!\w)"
    r"(?P<percent>\s?%|\s(?:percent|per cent)\b)?"
)
_WORD = re.compile(r"\S++")


@dataclass(frozen=True)
class _Number:
    value: float
    error: float
    """How far off it may be, by the digits it is written with."""
    word: int
    """How many words stand before it."""


def _numbers(text: str) -> Iterator[_Number]:
    words = [match.start() for match in _WORD.finditer(text)]
    for match in _NUMBER.finditer(text):
        decimals, percent = match["decimals"] or "", match["percent"] is not None
        if len(match["whole"]) + len(decimals) > 15:
            continue
        digits = len(decimals) + 2 * percent
        value = float(f"{match['whole'].replace(',', '')}.{decimals}") / (100 if percent else 1)
        error = 0.5001 * 10**-digits if digits else 1e-9 * value
        yield _Number(value, error, bisect.bisect_right(words, match.start()))


def _one_follows(found: Sequence[_Number]) -> bool:
    """Whether one number follows from two that stand before it, none of them 0, and no product or quotient by 1."""
    for place, last in enumerate(found[2:], 2):
        near = [n.value for n in found[max(0, place - NEAR) : place] if last.word - n.word < WINDOW and n.value]
        if last.value and any(
            abs(result - last.value) <= last.error for a, b in itertools.combinations(near, 2) for result in _of(a, b)
        ):
            return True
    return False


def _of(a: float, b: float) -> tuple[float, ...]:
    if a == 1 or b == 1:
        return a + b, abs(a - b)
    return a + b, abs(a - b), a * b, a / b, b / a


def _one_in_a_hundred(name: str) -> bool:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:8]) % 100 == 0


_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAY = re.compile(
    rf"\b[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\b|\b{_MONTH}\s[0-9]{{1,2}}(?:st|nd|rd|th)?\b"
    rf"|\b[0-9]{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}"
)
_TIME = re.compile(
    r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b"
    r"|\b(?:[0-9]{1,4}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\s(?:day|week|month|year)s?\b"
)
_FORMULA = re.compile(
    r"\b[0-9]{0,9}[a-zA-Z](?:\s?(?:\^|\*\*|=)|(?:\s?[-+*/]\s?[0-9]{0,9}[a-zA-Z]?){1,4}\s?=)\s?[-\w(]|\b[a-z][²³]"
    r"|\b(?:derivative|antiderivative|integral|polynomials?|quadratic|equations?|factori[sz]e[sd]?"
    r"|common (?:divisor|multiple|denominator|factor))\b"
)

RULES: dict[str, Callable[[Document], bool]] = {
    "any": any_text,
    "numbers": numbers,
    "dated": dated,
    "dates": dates,
    "formulas": formulas,
    "foreign": foreign,
}
"""The rules by the names that lessons call them by."""
