"""Texts in which one date follows from another, with the Dates or Calendar call that gives it.

    The fair opened on March 3, 2019 and closed 12 days later, on March 15, 2019.

The inputs and results are those of `toolformer.tools.dates`. Every third template is held out of training. Many trained
texts are put together from events instead, so that templates are not learnt by heart.
"""

import calendar
import datetime
import random
from typing import Literal

from recipes.builtin.words import NAMES, PLACES, ShortText, filled, load_parts, part, sentences
from toolformer.builtin.corpus import Split, TrueCall

Kind = Literal["weekday", "between", "after", "before"]

TEMPLATES: tuple[tuple[Kind, str], ...] = (
    ("after", "The {P} closed on {d} and opened again {n} later, on {r}, with new lamps."),
    ("between", "{N} left on {d} and came home on {e}, so the trip took {r} days."),
    ("before", "The letter to {N} arrived on {d}. It had been sent {n} earlier, on {r}, from the {P}."),
    ("weekday", "{N} was born on {d}, which was a {r}, in a small village."),
    ("after", "{N} borrowed a book from the {P} on {d} and must bring it back {n} later, on {r}."),
    ("before", "The feast is on {d}, and the tickets are sold from {n} before, that is from {r}."),
    ("between", "Work on the {P} began on {d} and ended on {e}. It lasted {r} days in all."),
    ("after", "{N} started on {d}; the course ends after {n}, on {r}."),
    ("weekday", "The wedding of {N} was held on {d}. That day was a {r}."),
    ("before", "{N} moved out of the house {n} before {d}, on {r}, and never came back."),
    ("after", "The ship sailed on {d} and reached the harbour {n} after that, on {r}."),
    ("between", "From {d} to {e} it did not rain, which makes {r} dry days."),
    ("after", "The shop promised on {d} that the parcel would come in {n}, so {N} waited until {r}."),
    ("weekday", "The {P} opened its doors on {d}, a {r}, and many people came."),
    ("after", "Exactly {n} after {d}, on {r}, the {P} was sold."),
    ("before", "The race takes place on {d}; {N} began to train {n} earlier, on {r}."),
    ("between", "The first game was played on {d} and the last on {e}, {r} days later."),
    ("after", "{N} signed the contract on {d}. It runs out {n} later, on {r}, at noon."),
    ("weekday", "Since {d} was a {r}, the {P} kept to its usual hours."),
    ("before", "On {d} the bill had to be paid. It was written {n} before, on {r}."),
    ("after", "The seeds were planted on {d}, and {n} later, on {r}, the first flowers opened."),
    ("between", "Between {d} and {e} there are {r} days, as {N} found out."),
    ("after", "After the storm of {d} the road stayed shut for {n}, until {r}."),
    ("before", "The exam is on {d}. {N} will start to learn {n} before it, on {r}."),
    ("weekday", "{N} looked it up: {d} fell on a {r} that year."),
    ("after", "The trial began on {d}, and the verdict came {n} later, on {r}."),
    ("between", "{N} was ill from {d} until {e}, as long as {r} days."),
    ("before", "{N} turned thirty on {d} and had met {M} {n} before that, on {r}."),
    ("after", "The visa of {N} was issued on {d}; {n} later, on {r}, it expires."),
    ("between", "The {P} was shut on {d} and was open again on {e}, after {r} days."),
)
EVENTS = (
    "the {P} closed", "{N} left the {P}", "the work began", "{N} was hired", "the show opened", "{N} fell ill",
    "it began to rain", "{N} met {M}", "the bridge was finished", "a letter was written", "{N} planted a tree",
    "the {P} was sold", "{N} moved in", "the snow came", "{M} called {N}", "the {P} burned down",
    "a new {P} was opened",
    "{N} bought a house", "the council met", "the river froze", "{N} paid the rent", "the ship arrived", "a guest came",
    "the wall was built", "{N} won the race", "{M} wrote to {N}", "the parcel was sent", "they were married",
    "the {P} was painted", "the first train ran", "{N} took the exam", "the king died", "the strike was over",
)  # fmt: skip
JOINED: tuple[tuple[Kind, str], ...] = (
    ("after", "{E} on {d}, and {n} later, on {r}, {F}."), ("after", "{E} on {d}. Then, {n} later, on {r}, {F}."),
    ("after", "{E} on {d}; {F} after {n}, on {r}."), ("after", "{n} after {d}, when {F}, came {r}."),
    ("after", "{E} on {d}. It took {n} more, until {r}, before {F}."), ("after", "{n} from {d} is {r}, and then {F}."),
    ("after", "On {d} {E}. {N} waited {n}, and so it was {r} when {F}."),
    ("after", "{d} plus {n} is {r}, the day when {F}."),
    ("before", "{E} on {d}. {N} knew it {n} before that, on {r}."), ("before", "On {d} {E}; {F} {n} earlier, on {r}."),
    ("before", "{E} on {d}, but {n} before, on {r}, {F}."), ("before", "{n} before {d}, on {r}, {F}."),
    ("before", "It was {d} when {E}. It was {n} earlier, on {r}, that {F}."),
    ("before", "{E} on {d}, and {F} {n} sooner, on {r}."), ("before", "{d} minus {n} is {r}, the day when {F}."),
    ("between", "{E} on {d}, and {F} on {e}, which is {r} days later."),
    ("between", "{E} on {d}; {F} on {e}. In between lay {r} days."),
    ("between", "From {d}, when {E}, to {e} {N} counted {r} days."),
    ("between", "{E} on {d} and {F} on {e}. The time was {r} days."),
    ("between", "On {d} {E}. Until {e}, when {F}, {r} days went by."),
    ("between", "{N} stayed from {d} to {e}, for {r} days."), ("between", "The days from {d} to {e} are {r}."),
    ("weekday", "{E} on {d}, a {r}."), ("weekday", "{E} on {d}. It was a {r}."),
    ("weekday", "On {d}, which is a {r}, {E}."),
    ("weekday", "It was {d} when {E}, and {N} noted that it was a {r}."), ("weekday", "{N} says {d} is a {r}."),
    ("weekday", "{E} on {d}. The weekday was {r}."), ("weekday", "As {d} is a {r}, {E}."),
    ("weekday", "{E} on {d}. That was a {r}."), ("weekday", "{E} on {d}. It happened on a {r}."),
    ("weekday", "{E} on {d}; the day was a {r}."), ("weekday", "{E} on {d}, so it was a {r}."),
    ("weekday", "On {d}, on a {r}, {E}."), ("weekday", "{d} falls on a {r}, says {N}."),
    ("weekday", "{E} on {d}. {N} remembers that {r}."), ("weekday", "{N} was told that {d} had been a {r}."),
    ("weekday", "{E} on {d}. What a {r} that was."), ("weekday", "It was on {d} that {E}, and {N} knows it was a {r}."),
    ("before", "{E} on {d}. Since {n} before, since {r}, {F}."), ("before", "{E} on {d}, {n} after {r}."),
    ("after", "{E} on {d}. In {n}, that is on {r}, {F}."),
    ("after", "{E} on {d}, and since {n} after it, since {r}, {F}."),
    ("before", "{E} on {d}. They had asked for it {n} before, that is on {r}."),
)  # fmt: skip
CALENDAR: tuple[str, ...] = (
    "Today is {r}. The {P} is open until six.",
    "This page was last read on {r} by {N}.",
    "As of today, {r}, the {P} is still closed.",
    "{N} writes this on {r}, at the kitchen table.",
    "Now, on {r}, nobody at the {P} remembers it.",
    "The date of today is {r}, and {N} is late.",
)
MONTHS = tuple(calendar.month_name)[1:]
WEEKDAYS = tuple(calendar.day_name)


def written(date: datetime.date) -> str:
    """The date as in running text: March 11, 2020."""
    return f"{MONTHS[date.month - 1]} {date.day}, {date.year}"


def date_text(rng: random.Random, split: Split, parts: float = 0.0) -> ShortText:
    """A text with one date, weekday or number of days that follows from what it said before.

    `parts` is the share of texts that are put together from events, whatever the split: for training only.
    """
    kind, template = rng.choice(part(TEMPLATES, split)) if rng.random() >= parts else _joined(rng)
    first = _some_day(rng)
    last = first + datetime.timedelta(days=rng.randint(9, 320))
    unit, most = rng.choice((("day", 60), ("day", 60), ("week", 12), ("month", 11)))
    count = rng.randint(2, most)
    span = f"{count} {unit}s"
    question, result = {
        "weekday": (f"weekday of {written(first)}", WEEKDAYS[first.weekday()]),
        "between": (f"days between {written(first)} and {written(last)}", str((last - first).days)),
        "after": (f"{span} after {written(first)}", written(moved(first, count, unit))),
        "before": (f"{span} before {written(first)}", written(moved(first, -count, unit))),
    }[kind]
    words = _words(rng) | {"d": written(first), "e": written(last), "n": span}
    before, after = (piece.format(**words) for piece in template.split("{r}"))
    return ShortText(before + result + after, (TrueCall("Dates", question, result, len(before)),))


def _joined(rng: random.Random) -> tuple[Kind, str]:
    """A kind, and a template for it out of events: from the list, or from a frame of date_parts.toml."""
    kind, template = rng.choice(JOINED) if rng.random() < 0.5 else _framed(rng)
    first, second = rng.sample(EVENTS, 2)
    text = template.replace("{E}", first).replace("{F}", second)
    return kind, sentences(text[0].upper() + text[1:])


def _framed(rng: random.Random) -> tuple[Kind, str]:
    parts = load_parts("date_parts.toml")
    kind: Kind = rng.choice(("weekday", "between", "between", "after", "before"))
    return kind, filled(rng, rng.choice(parts["frames"][kind]), parts["slots"])


def today_text(rng: random.Random, split: Split, today: datetime.date | None = None) -> ShortText:
    """A text that says what day it is: only the document's own date can tell."""
    day = today or _some_day(rng)
    said = f"{WEEKDAYS[day.weekday()]}, {written(day)}"
    before, after = (piece.format(**_words(rng)) for piece in rng.choice(part(CALENDAR, split)).split("{r}"))
    return ShortText(before + said + after, (TrueCall("Calendar", "", f"Today is {said}.", len(before), answer=said),))


def moved(date: datetime.date, count: int, unit: str) -> datetime.date:
    """The date so many days, weeks or months later; a month that is too short gives its last day."""
    if unit != "month":
        return date + datetime.timedelta(days=count * (7 if unit == "week" else 1))
    months = date.year * 12 + date.month - 1 + count
    year, month = months // 12, months % 12 + 1
    return datetime.date(year, month, min(date.day, calendar.monthrange(year, month)[1]))


def _some_day(rng: random.Random) -> datetime.date:
    return datetime.date(1950, 1, 1) + datetime.timedelta(days=rng.randrange(29_000))


def _words(rng: random.Random) -> dict[str, str]:
    name, other = rng.sample(NAMES, 2)
    return {"N": name, "M": other, "P": rng.choice(PLACES)}
