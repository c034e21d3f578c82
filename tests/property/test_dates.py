"""Dates agrees with `datetime`, reads what it writes, and refuses everything else with a ToolError."""

import calendar
import contextlib
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolformer.errors import ToolError
from toolformer.tools.dates import Dates, written

ask = Dates(clock=lambda: datetime.date(2026, 11, 20))
WORDS = [
    *(
        "days",
        "between",
        "and",
        "until",
        "since",
        "from",
        "before",
        "after",
        "in",
        "ago",
        "weekday",
        "of",
        "the",
        "year",
    ),
    *("10", "3,000", "a", "two", "months", "day", "+", "-", "minus", "today", "March 1, 2020", "2020-02-29", "31", "0"),
    *("0000-01-01", "03/04/2020", "13th", "Monday", "?", ".", "/", "\0", "٣"),
]
# Years below 100 are written without the zeros that would tell them from short ones, and so are not read.
DATES = st.dates(min_value=datetime.date(100, 1, 1))


@given(DATES)
def test_reads_its_own_answers(date: datetime.date) -> None:
    assert ask(f"0 days after {written(date)}") == written(date)
    assert ask(f"{date.isoformat()} + 0 days") == written(date)
    assert ask(written(date)) == ask(date.isoformat()) == ask(date.isoformat().replace("-", "/"))


@given(DATES, DATES)
def test_days_between_lead_from_one_to_the_other(start: datetime.date, end: datetime.date) -> None:
    days = int(ask(f"days from {written(start)} to {written(end)}"))
    assert days == (end - start).days
    assert ask(f"days between {written(end)} and {written(start)}") == str(abs(days))
    if abs(days) < 10**7:
        assert ask(f"{written(start)} {'+' if days >= 0 else '-'} {abs(days)} days") == written(end)


@given(DATES, st.integers(1, 2_000))
def test_a_month_later_is_in_the_month_that_many_later(date: datetime.date, months: int) -> None:
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    question = f"{months} months after {written(date)}"
    if year > 9999:
        with pytest.raises(ToolError, match="outside the years"):
            ask(question)
    else:
        day = min(date.day, calendar.monthrange(year, month + 1)[1])
        assert ask(question) == written(datetime.date(year, month + 1, day))


@given(st.one_of(st.text(max_size=250), st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join)))
def test_raises_nothing_but_tool_error(text: str) -> None:
    with contextlib.suppress(ToolError):
        assert ask(text)
