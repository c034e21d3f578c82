"""Rules that propose calls: they look at the text before a place and write inputs whose answer may be what follows.

They propose too much, on purpose: whether the answer agrees with the text is seen when the tool has run (`match.py`),
which of several the model would write there it says itself (`rank.py`), and whether the result helps it, too.
"""

import bisect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from toolformer.chains import FUNCTION_WORDS
from toolformer.data_gen.lessons.expressions import calculated
from toolformer.data_gen.lessons.places import MONTHS, WEEKDAYS
from toolformer.data_gen.records import Document

MOST_EACH = 24
"""Proposals at one place, at most."""
SENTENCE = 1000
"""Characters of a sentence that are looked at: those right before a place."""
NEAR_DATES = 4
"""Dates before a place that are tried, the nearest first."""
CLAUSE = 24
"""Words of a sentence that make a question, at most."""


@dataclass(frozen=True)
class Proposed:
    """An input of the tool, and where in the text its call would stand: before the word that begins at `word`."""

    word: int
    input: str


Propose = Callable[[Document], Iterable[Proposed]]


def calculations(document: Document) -> Iterator[Proposed]:
    """Expressions of up to two operations over the numbers nearby whose value is the number that follows."""
    for number, found in calculated(document.text):
        for expression in islice(found, MOST_EACH):
            yield Proposed(number.start, expression)


_DATE = re.compile(
    rf"(?:{MONTHS}) [0-9]{{1,2}},? [0-9]{{4}}\b|\b[0-9]{{1,2}} (?:{MONTHS}) [0-9]{{4}}\b"
    r"|\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b"
)
_SPAN = re.compile(
    r"\b(?P<number>[0-9]{1,4}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve) "
    r"(?P<unit>day|week|month|year)s?\b",
    re.IGNORECASE,
)
_AWAY = re.compile(r"\b(?:[Tt]he day (?P<two>after tomorrow|before yesterday)|[Tt]omorrow|[Yy]esterday)\b")
_WEEKDAY = re.compile(rf"\b(?:{WEEKDAYS})\b")
_DAYS = re.compile(r"(?<![\w,.])[0-9]{1,3}(?:,[0-9]{3}){0,2}(?= days?\b)")
_DAY = re.compile(rf"\b(?:{MONTHS}) [0-9]{{1,2}}\b(?!,? [0-9]{{4}})")
_MONTH = re.compile(rf"\b(?:{MONTHS})\b")


def dates(document: Document) -> Iterator[Proposed]:
    """Weekdays of the dates nearby, days between two of them, and dates some time from one.

    In a text whose date is known, today is such a date, and so are days that are named by their distance from it.
    """
    text, today = document.text, ["today"] if document.facts.date else []
    written = [(match.end(), match.group()) for match in _DATE.finditer(text)]
    spans = [(match.end(), match.group()) for match in _SPAN.finditer(text)]
    away = [match for match in _AWAY.finditer(text) if today]
    named = [(match.end(), match.group().lower()) for match in away]
    spans = sorted([*spans, *((match.end(), "2 days" if match["two"] else "1 day") for match in away)])

    def near(at: int) -> list[str]:
        return _nearest(written, at) + today

    for match in _WEEKDAY.finditer(text):
        at = match.start()
        shifted = [f"{span} {way} today" for span in _nearest(spans, at) for way in ("before", "after") if today]
        yield from (Proposed(at, f"weekday of {date}") for date in near(at) + _nearest(named, at) + shifted)
    for match in _DAYS.finditer(text):
        pairs = combinations(near(match.start()), 2)
        yield from (Proposed(match.start(), f"days between {first} and {then}") for then, first in pairs)
    days = {match.start() for match in (_MONTH if today else _DAY).finditer(text)}
    for at in sorted({end - len(date) for end, date in written} | days):
        for date in near(at):
            for span in _nearest(spans, at):
                yield from (Proposed(at, f"{span} {way} {date}") for way in ("before", "after"))


def _nearest(found: Sequence[tuple[int, str]], at: int) -> list[str]:
    """Of what was found, each with its end, the different ones that end before a place, the nearest first."""
    behind = bisect.bisect_right(found, at, key=lambda one: one[0])
    return [*dict.fromkeys(said for _, said in reversed(found[max(0, behind - 4 * NEAR_DATES) : behind]))][:NEAR_DATES]


_TODAY = re.compile(rf"\b(?:(?:{WEEKDAYS})\b|(?:{MONTHS})\b|[0-9]{{4}}\b)")


def today(document: Document) -> Iterator[Proposed]:
    """The calendar's one input, before a weekday, a month or a year, in a text whose date is known."""
    if document.facts.date is not None:
        yield from (Proposed(match.start(), "") for match in _TODAY.finditer(document.text))


PLACES_MOST = 32
"""Names of a text that are asked about, at most."""
_NAME = re.compile(r"\b[^\W\d_a-z][\w'’-]*(?:(?: of| de| van| von| the)? [^\W\d_a-z][\w'’-]*)*|\b[0-9][0-9,]*\b")
_SENTENCE = re.compile(r"(?<=[\w\"')\]]{2}[.!?])\s+(?=[^\W\d_a-z\"'])|\n+")
_TOPIC = re.compile(r"(?:The |An? )?([^?]{2,60}?)(?:,? (?:is|was|are|were)\b| \(|, )", re.DOTALL)
_COPULA = re.compile(r"(.*\S) (is|was|are|were)", re.DOTALL)
_QUESTION = ("What", "Who", "Where")


def queries(document: Document) -> Iterator[Proposed]:
    """Before a name or a number that is new: what the text is about, and the name before it."""
    topic = _TOPIC.match(document.text)
    for at, before, question in islice(_new_names(document.text), PLACES_MOST):
        words = (match.group() for match in _NAME.finditer(f"{question} {before}"))
        names = [word for word in words if not word[0].isdigit() and word.casefold() not in FUNCTION_WORDS]
        told = topic is not None and topic.end() <= at and topic.group(1).casefold() not in FUNCTION_WORDS
        asked = [topic.group(1)] if topic and told else []
        asked += names[-1:]
        yield from (Proposed(at, query) for query in dict.fromkeys(filter(None, asked)))


def questions(document: Document) -> Iterator[Proposed]:
    """The sentence so far as questions: "The capital of Peru is" asks what the capital of Peru is.

    Behind a question, the question itself.
    """
    for at, before, question in islice(_new_names(document.text), PLACES_MOST):
        words = (question or before).split()
        if len(words) < 2 or len(words) > CLAUSE or len(before) > SENTENCE // 2:
            continue
        clause = " ".join(words)
        asked = [clause if question else f"{clause}?"]
        if not question and (match := _COPULA.fullmatch(clause)):
            asked = [f"{word} {match[2]} {_lowered(match[1])}?" for word in _QUESTION]
        yield from (Proposed(at, question) for question in asked)


def _new_names(text: str) -> Iterator[tuple[int, str, str]]:
    """Where a name or a number stands that the text has not said yet; its sentence up to there; and the sentence before
    that one, if it is a question."""
    said: set[str] = set()
    begin, last = 0, ""
    for end in [*(match.start() for match in _SENTENCE.finditer(text)), len(text)]:
        question = last if last.endswith("?") else ""
        for match in _NAME.finditer(text, begin, end):
            before, word = text[max(begin, match.start() - SENTENCE) : match.start()].strip(), match.group()
            first = word.split()[0].casefold()
            # What follows a bracket at once is another name or spelling of what stands before it.
            if before and before[-1] not in "([" and first not in said and first not in FUNCTION_WORDS:
                yield match.start(), before, question
            said.update(word.casefold().split())
        last, begin = text[max(begin, end - SENTENCE) : end].strip(), end


def _lowered(clause: str) -> str:
    """A clause as it stands inside of a question: its article loses its capital letter."""
    first, _, rest = clause.partition(" ")
    return f"{first.lower() if first.casefold() in FUNCTION_WORDS else first} {rest}".strip()


PROPOSALS: dict[str, Propose] = {
    "calculations": calculations,
    "dates": dates,
    "today": today,
    "queries": queries,
    "questions": questions,
}
"""The rules by the names that lessons call them by."""
