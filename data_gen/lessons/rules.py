"""Which texts are worth a lesson: the paper's rules. Each looks at one document and says yes or no.

They are cheap on purpose: a text that a rule lets through wrongly costs one proposing pass, nothing else.
"""

import hashlib
import itertools
import re
from collections.abc import Callable, Sequence

from toolformer.data_gen.records import Document

_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w])|(?<![\w.,])\d+(?:\.\d+)?(?!\w)")
_EQUALS = re.compile(r"(?:=|\bequals|\bequal to|\btotal of|\baverage of)\s*[^\w\s]?\s*\d", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_DATE = re.compile(rf"\b\d{{4}}-\d\d-\d\d\b|\b{_MONTH}\s+\d{{1,2}}\b|\b\d{{1,2}}\s+{_MONTH}", re.IGNORECASE)
_CAPITAL = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+|\b\d{3,4}\b")

WINDOW = 100
"""Words among which three numbers have to stand for the calculator's first rule."""


def any_text(document: Document) -> bool:
    """Every text."""
    return bool(document.text.strip())


def numbers(document: Document) -> bool:
    """Three numbers close together of which one follows from two others, or an equals-like phrase before a number.

    Of the other texts with three numbers, one in a hundred, chosen by the document's id.
    """
    text = document.text
    if _EQUALS.search(text):
        return True
    places = [match.start() for match in _WORD.finditer(text)]
    found = [(match.start(), float(match.group().replace(",", ""))) for match in _NUMBER.finditer(text)]
    if len(found) < 3:
        return False
    starts = iter(places)
    word, next_start, values = 0, next(starts, None), []
    for start, value in found:
        while next_start is not None and next_start <= start:
            word, next_start = word + 1, next(starts, None)
        values.append((word, value))
    return _one_follows(values) or hashlib.sha256(document.id.encode("utf-8", "replace")).digest()[0] * 100 < 256


def _one_follows(values: Sequence[tuple[int, float]]) -> bool:
    """Whether among some three numbers within the window, one is the sum, difference, product or quotient of the others."""
    for place, (word, value) in enumerate(values[2:], 2):
        near = [other for at, other in values[max(0, place - 20) : place] if word - at < WINDOW]
        for one, other in itertools.combinations(near, 2):
            results = {one + other, abs(one - other), one * other}
            results |= {one / other if other else one, other / one if one else other}
            # What the text gives rounded, the operation need only match to the last digit given.
            if any(result != 0 and abs(result - value) <= 0.005 * max(1.0, abs(result) * 0.01) for result in results):
                return True
    return False


def dated(document: Document) -> bool:
    """The document's own date is known."""
    return document.facts.date is not None


def dates(document: Document) -> bool:
    """A date is written in the text."""
    return _DATE.search(document.text) is not None


def facts(document: Document) -> bool:
    """A name or a year stands within a sentence: something that can be asked for."""
    return _CAPITAL.search(document.text) is not None


RULES: dict[str, Callable[[Document], bool]] = {
    "any": any_text,
    "numbers": numbers,
    "dated": dated,
    "dates": dates,
    "facts": facts,
}
