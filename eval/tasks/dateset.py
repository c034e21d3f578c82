"""Dateset, made as the paper's Appendix D says: 500 days that are today, and for each a past and a future day within
four years fill the templates of its Table 11. The same examples every time, as many of each template as there.
"""

import datetime
import random
from collections.abc import Callable, Iterator

from dateutil.relativedelta import relativedelta

from toolformer.eval.examples import Example, Splits, splits
from toolformer.eval.tasks.questions import asked

Day = datetime.date
Question = tuple[str, tuple[str, ...]]
"""What is asked, and what would be right."""

DAYS = 500
_FIRST = Day(2010, 1, 1)
_RANGE = 365 * 12
_YEARS = 4
_PARTS = ("day of the week", "day of the month", "month", "year")
_UNITS = ("days", "weeks", "months", "years")
_NEAR = (
    ("the day before yesterday", -2, "was"),
    ("yesterday", -1, "was"),
    ("today", 0, "is"),
    ("tomorrow", 1, "is"),
    ("the day after tomorrow", 2, "is"),
)
_MONDAY, _THURSDAY = 0, 3
_FIXED = {
    "New Year's Day": (1, 1),
    "Juneteenth": (6, 19),
    "Independence Day": (7, 4),
    "Veterans Day": (11, 11),
    "Christmas Day": (12, 25),
}
_FLOATING = {
    "Martin Luther King Jr. Day": (1, _MONDAY, 3),
    "Presidents' Day": (2, _MONDAY, 3),
    "Memorial Day": (5, _MONDAY, -1),
    "Labor Day": (9, _MONDAY, 1),
    "Columbus Day": (10, _MONDAY, 2),
    "Thanksgiving": (11, _THURSDAY, 4),
}
"""The federal holidays of the United States: a day of a month, or which Monday or Thursday of it."""
HOLIDAYS = (*_FIXED, *_FLOATING)


def dateset(**_: object) -> Splits:
    """All 9,400 of them; no data is read."""
    return splits(_examples(), "Dateset", 9_400)


def _examples() -> Iterator[Example]:
    draw = random.Random("Dateset")  # nothing but this seed decides
    days = [_FIRST + datetime.timedelta(draw.randrange(_RANGE)) for _ in range(DAYS)]
    number = 0
    for kind, (size, makers) in enumerate(_TEMPLATES, 1):
        for make in makers:
            made = 0
            while made < size // len(makers):
                today = draw.choice(days)
                question = make(today, draw)
                if question is None:
                    continue
                plain = asked(f"dateset-{number:04}", question[0], question[1])
                yield Example(
                    plain.id, plain.prompt, plain.answers, "lama", group=f"template {kind}", date=today.isoformat()
                )
                made, number = made + 1, number + 1


Maker = Callable[[Day, random.Random], Question | None]
"""A question for a day, or None where it cannot be asked on that day."""


def _away(draw: random.Random) -> datetime.timedelta:
    return datetime.timedelta(draw.randint(1, 365 * _YEARS))


def _how_long(past: bool) -> Maker:
    def make(today: Day, draw: random.Random) -> Question:
        away = _away(draw)
        asks = f"ago was {_long(today - away)}" if past else f"are there until {_long(today + away)}"
        return f"How many days {asks}?", (str(away.days),)

    return make


def _was_it(part: str, unit: str) -> Maker:
    def make(today: Day, draw: random.Random) -> Question | None:
        count = between(today - _away(draw), today, unit)
        return (f"What {part} was it {count} {unit} ago?", _said(back(today, count, unit), part)) if count else None

    return make


def _will_it_be(part: str) -> Maker:
    def make(today: Day, draw: random.Random) -> Question:
        away = _away(draw)
        return f"What {part} will it be in {away.days} days?", _said(today + away, part)

    return make


def _weekday(past: bool) -> Maker:
    def make(today: Day, draw: random.Random) -> Question:
        day = today - _away(draw) if past else today + _away(draw)
        return f"What day of the week {'was' if past else 'is'} it on {_long(day)}?", _said(day, "day of the week")

    return make


def _near(part: str, name: str, away: int, verb: str) -> Maker:
    return lambda today, _: (f"What {part} {verb} it {name}?", _said(today + datetime.timedelta(away), part))


def _holiday(part: str) -> Maker:
    def make(today: Day, draw: random.Random) -> Question:
        name = draw.choice(HOLIDAYS)
        day = holiday(name, today.year)
        return f"What {part} {'was' if day < today else 'is'} {name} this year?", _said(day, part)

    return make


def _until_holiday(unit: str) -> Maker:
    def make(today: Day, draw: random.Random) -> Question | None:
        name = draw.choice(HOLIDAYS)
        day = holiday(name, today.year)
        asks = "ago was" if day < today else "are there until"
        count = between(min(day, today), max(day, today), unit)
        return (f"How many {unit} {asks} {name} this year?", (str(count),)) if day != today else None

    return make


_TEMPLATES: tuple[tuple[int, list[Maker]], ...] = (
    (400, [_how_long(True), _how_long(False)]),
    (800, [_was_it(part, unit) for part in _PARTS for unit in _UNITS]),
    (800, [_will_it_be(part) for part in _PARTS]),
    (400, [_weekday(True), _weekday(False)]),
    (4000, [_near(part, *near) for part in _PARTS for near in _NEAR]),
    (1800, [_holiday(part) for part in _PARTS[:3]]),
    (1200, [_until_holiday(unit) for unit in _UNITS]),
)
"""Table 11: how many there are of each template, shared by its variants."""


def _said(day: Day, part: str) -> tuple[str, ...]:
    if part == "day of the month":
        suffix = "th" if day.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
        return str(day.day), f"{day.day}{suffix}"
    return (day.strftime({"day of the week": "%A", "month": "%B", "year": "%Y"}[part]),)


def _long(day: Day) -> str:
    return f"{day:%B} {day.day}, {day.year}"


def between(early: Day, late: Day, unit: str) -> int:
    """The whole days, weeks, months or years from one day to another."""
    if unit in ("days", "weeks"):
        return (late - early).days // (7 if unit == "weeks" else 1)
    months = (late.year - early.year) * 12 + late.month - early.month - (late.day < early.day)
    return months // (12 if unit == "years" else 1)


def back(day: Day, count: int, unit: str) -> Day:
    """So long before a day; from a day that a shorter month lacks, its last."""
    earlier: Day = day - relativedelta(**{unit: count})
    return earlier


def holiday(name: str, year: int) -> Day:
    """The day of a federal holiday."""
    if name in _FIXED:
        return Day(year, *_FIXED[name])
    month, weekday, which = _FLOATING[name]
    days = [Day(year, month, 1) + datetime.timedelta(n) for n in range(31)]
    fitting = [day for day in days if day.month == month and day.weekday() == weekday]
    return fitting[which if which < 0 else which - 1]
