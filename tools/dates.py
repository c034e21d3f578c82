"""Calendar and Dates: what day it is, and arithmetic on days.

    Calendar()                                        Today is Friday, November 20, 2026.
    Dates(weekday of July 4, 2021)                    Sunday
    Dates(days between March 1, 2020 and April 5, 2020)   35
    Dates(days until December 25, 2026)               35
    Dates(10 days after March 1, 2020)                March 11, 2020
    Dates(2020-01-31 + 1 month)                       February 29, 2020
    Dates(weekday of 10 days ago)                     Tuesday

"Today" is the document's date where the tool is bound to a dated document, and what the clock says at the moment of the
call otherwise. Years run from 1 to 9999, all of them in the Gregorian calendar, also where people then used another.
Nothing here depends on the locale.
"""

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from dateutil.relativedelta import relativedelta

from toolformer.errors import ToolError
from toolformer.tool import DocumentFacts, Tool, Traits
from toolformer.tools.number_text import plain

MAX_CHARS = 200
"""Longer questions about dates are refused."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

Clock = Callable[[], datetime.date]


def written(date: datetime.date) -> str:
    """The date as in running text: March 11, 2020."""
    return f"{MONTHS[date.month - 1]} {date.day}, {date.year}"


def _clock_of(facts: DocumentFacts, otherwise: Clock) -> Clock:
    date = facts.date
    return otherwise if date is None else lambda: date


@dataclass(frozen=True)
class Calendar:
    """Says what day it is. Takes no input: a question put to it is refused, not ignored."""

    clock: Clock = datetime.date.today

    name: ClassVar[str] = "Calendar"
    description: ClassVar[str] = "Says today's date. Takes no input."
    traits: ClassVar[Traits] = Traits(in_process=True)

    def bind(self, facts: DocumentFacts) -> Tool:
        """The calendar of a document: its date is today. Of an undated document: this calendar."""
        return Calendar(_clock_of(facts, self.clock))

    def __call__(self, text: str, /) -> str:
        """Today's date in a sentence."""
        if text.strip():
            raise ToolError(f"it takes no input, found {text.strip()[:40]!r}; Dates answers questions about dates")
        today = self.clock()
        return f"Today is {WEEKDAYS[today.weekday()]}, {written(today)}."


@dataclass(frozen=True)
class Dates:
    """Answers three questions: the weekday of a date, the days between two, the date some time from one."""

    clock: Clock = datetime.date.today

    name: ClassVar[str] = "Dates"
    description: ClassVar[str] = (
        "Works with dates: weekday of July 4, 2021; days between two dates; 10 days after March 1, 2020."
    )
    # Not remembered: an answer may depend on today, and working it out again is faster than looking it up.
    traits: ClassVar[Traits] = Traits(in_process=True)

    def bind(self, facts: DocumentFacts) -> Tool:
        """The tool in which today is the document's date, if it has one."""
        return Dates(_clock_of(facts, self.clock))

    def __call__(self, text: str, /) -> str:
        """The answer: a weekday, a number of days, or a date."""
        if len(text) > MAX_CHARS:
            raise ToolError(f"the question has {len(text):,} characters; {MAX_CHARS} are allowed")
        question = " ".join(plain(text).split()).rstrip("?.= ")
        for pattern, answer in _FORMS:
            if match := pattern.fullmatch(question):
                return answer(match, self.clock())
        if not question:
            raise ToolError(f"the input is empty; {_USAGE}")
        return WEEKDAYS[_date(question, self.clock()).weekday()]


_USAGE = (
    "ask for the weekday of July 4, 2021, the days between March 1, 2020 and April 5, 2020, "
    "or 10 days after March 1, 2020"
)
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SPAN = r"(?P<number>\d{1,3}(?:,\d{3})+|\d{1,7}|an?|" + "|".join(_NUMBERS) + r") (?P<unit>day|week|month|year)s?"


def _weekday(match: re.Match[str], today: datetime.date) -> str:
    return WEEKDAYS[_date(match["date"], today).weekday()]


def _days_between(match: re.Match[str], today: datetime.date) -> str:
    return str(abs((_date(match["end"], today) - _date(match["start"], today)).days))


def _days_from(match: re.Match[str], today: datetime.date) -> str:
    """Negative where the end comes first."""
    ends = match.groupdict()
    return str((_date(ends.get("end", "today"), today) - _date(ends.get("start", "today"), today)).days)


def _date_moved(match: re.Match[str], today: datetime.date) -> str:
    return written(_moved(match, today))


def _moved(match: re.Match[str], today: datetime.date) -> datetime.date:
    parts = match.groupdict()
    back = parts.get("direction", "").casefold() in ("-", "minus", "before", "ago")
    word = parts["number"].casefold().replace(",", "")
    number = int(word) if word.isdigit() else 1 if word in ("a", "an") else _NUMBERS.index(word)
    return _shifted(_date(parts.get("date", "today"), today), -number if back else number, parts["unit"])


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


_SHIFTS = (
    _form(rf"(?P<date>.+?) (?P<direction>[-+]|plus|minus) ?{_SPAN}"),
    _form(rf"{_SPAN} (?P<direction>before|after|from) (?P<date>.+)"),
    _form(rf"{_SPAN} (?P<direction>ago)"),
    _form(rf"in {_SPAN}"),
)
"""How a date is written by its distance from another one, or from today."""
_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], datetime.date], str]], ...] = (
    (_form(r"(?:what |which |the )*(?:weekday|day of the week|day)(?: is| was| of| on| for)+ (?P<date>.+)"), _weekday),
    (_form(r"(?:how many |number of |the )*days between (?P<start>.+) and (?P<end>.+)"), _days_between),
    (_form(r"(?:how many |number of |the )*days from (?P<start>.+) (?:to|until|till) (?P<end>.+)"), _days_from),
    (_form(r"(?:how many |number of |the )*days (?:until|till|to) (?P<end>.+)"), _days_from),
    (_form(r"(?:how many |number of |the )*days since (?P<start>.+)"), _days_from),
    *((shift, _date_moved) for shift in _SHIFTS),
    (_form(r"(?P<end>.+) - (?P<start>.+)"), _days_from),
)


def _shifted(date: datetime.date, number: int, unit: str) -> datetime.date:
    """The date so much later. A day that its month does not have becomes the month's last: January 31 + 1 month."""
    try:
        shifted: datetime.date = date + relativedelta(**{f"{unit.casefold()}s": number})
    except (ValueError, OverflowError):
        raise ToolError("the answer lies outside the years 1 to 9999") from None
    return shifted


_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_DAY = r"(?:the )?(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{3,4})"
_WEEKDAY = rf"(?:(?P<weekday>{'|'.join(WEEKDAYS)}),? )?"
_WRITTEN = (
    _form(rf"{_WEEKDAY}{_MONTH} {_DAY},? {_YEAR}"),
    _form(rf"{_WEEKDAY}{_DAY}(?: of)? {_MONTH},? {_YEAR}"),
    _form(rf"{_WEEKDAY}(?P<year>\d{{4}})([-/])(?P<month>\d{{1,2}})\3(?P<day>\d{{1,2}})"),
)
_AMBIGUOUS = _form(r"\d{1,2}([-/.])\d{1,2}\1(?:\d{2}|\d{4})")
_RELATIVE = {
    "today": 0, "now": 0, "tomorrow": 1, "yesterday": -1, "the day after tomorrow": 2, "the day before yesterday": -2,
}  # fmt: skip


def _date(text: str, today: datetime.date) -> datetime.date:
    """The date that is written there, or so long before or after one; only spellings with one meaning are read."""
    if (days := _RELATIVE.get(text.casefold())) is not None:
        # A clock may return a datetime, which cannot be subtracted from a date.
        return _shifted(datetime.date(today.year, today.month, today.day), days, "day")
    if match := next(filter(None, (pattern.fullmatch(text) for pattern in _SHIFTS)), None):
        return _moved(match, today)
    match = next(filter(None, (pattern.fullmatch(text) for pattern in _WRITTEN)), None)
    if match is None:
        if _AMBIGUOUS.fullmatch(text):
            raise ToolError(f"which number in {text} is the month? Write 2020-03-04 or March 4, 2020")
        raise ToolError(f"{text[:60]!r} is no date; write July 4, 2021 or 2021-07-04. In all, {_USAGE}")
    try:
        date = datetime.date(int(match["year"]), _month(match["month"]), int(match["day"]))
    except ValueError:
        raise ToolError(f"there is no {text}; months have 28 to 31 days, and years run from 1 to 9999") from None
    weekday = WEEKDAYS[date.weekday()]
    if match["weekday"] and match["weekday"].casefold() != weekday.casefold():
        raise ToolError(f"{written(date)} is a {weekday}, not a {match['weekday']}")
    return date


def _month(text: str) -> int:
    """The month's number; a name may be cut after three letters or more."""
    if text.isdigit():
        return int(text)
    for number, name in enumerate(MONTHS, 1):
        if name.casefold().startswith(text.casefold()):
            return number
    raise ToolError(f"{text!r} is no month; write January, February, …")
