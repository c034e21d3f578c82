import datetime
import time

import pytest

from toolformer.errors import ToolError
from toolformer.tool import Bindable, DocumentFacts, Tool, traits_of
from toolformer.toolbox import ResultMemory, Toolbox
from toolformer.tools.dates import MAX_CHARS, Calendar, Dates, written

DAY = datetime.date(2026, 11, 20)
ask = Dates(clock=lambda: DAY)


class Clock:
    """A clock that is set by hand."""

    def __init__(self, today: datetime.date) -> None:
        self.today = today

    def __call__(self) -> datetime.date:
        return self.today


def test_the_calendar_says_the_day_in_a_sentence() -> None:
    assert Calendar(clock=lambda: DAY)("") == "Today is Friday, November 20, 2026."
    assert Calendar(clock=lambda: datetime.date(800, 12, 25))(" \n") == "Today is Monday, December 25, 800."


def test_the_calendar_asks_the_clock_at_every_call() -> None:
    clock = Clock(DAY)
    with Toolbox([Calendar(clock)], memory=ResultMemory()) as box:
        assert box.run("Calendar", "") == "Today is Friday, November 20, 2026."
        clock.today += datetime.timedelta(days=1)
        assert box.run("Calendar", "") == "Today is Saturday, November 21, 2026."


def test_without_a_clock_it_is_today() -> None:
    before = written(datetime.date.today())
    said = Calendar()("")
    assert before in said or written(datetime.date.today()) in said


def test_the_calendar_of_a_document_has_its_date() -> None:
    clock = Clock(DAY)
    calendar = Calendar(clock)
    dated = calendar.bind(DocumentFacts(date=datetime.date(2019, 7, 4)))
    assert dated("") == "Today is Thursday, July 4, 2019."
    assert calendar.bind(DocumentFacts())("") == "Today is Friday, November 20, 2026."
    assert calendar("") == "Today is Friday, November 20, 2026."
    clock.today = datetime.date(2027, 1, 1)
    assert dated("") == "Today is Thursday, July 4, 2019."


def test_the_calendar_refuses_questions() -> None:
    with pytest.raises(ToolError, match="takes no input, found 'tomorrow'; Dates"):
        Calendar()("tomorrow")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("weekday of July 4, 2021", "Sunday"),
        ("weekday of 2021-07-04", "Sunday"),
        ("day of the week of July 4, 2021", "Sunday"),
        ("What day of the week was July 4, 2021?", "Sunday"),
        ("what day is today", "Friday"),
        ("July 4, 2021", "Sunday"),
        ("2021-07-04", "Sunday"),
        ("2021/7/4", "Sunday"),
        ("4 July 2021", "Sunday"),
        ("the 4th of July, 2021", "Sunday"),
        ("jul. 4th 2021.", "Sunday"),
        ("Sept 5, 2020", "Saturday"),
        ("Sunday, July 4, 2021", "Sunday"),
        ("２０２１-０７-０４", "Sunday"),
        ("2021−07−04", "Sunday"),
        ("July\u00a04,\u00a02021", "Sunday"),
        ("tomorrow", "Saturday"),
        ("Tomorrow", "Saturday"),
        ("yesterday", "Thursday"),
        ("weekday of the day after tomorrow", "Sunday"),
        ("weekday of the day before yesterday", "Wednesday"),
        ("weekday of 10 days ago", "Tuesday"),
        ("weekday of 3 weeks after yesterday", "Thursday"),
        ("what day was 2 years before March 1, 2020", "Thursday"),
        ("February 29, 2000", "Tuesday"),
        ("January 1, 9999", "Friday"),
        ("0001-01-01", "Monday"),
        ("December 25, 800", "Monday"),
    ],
)
def test_weekdays(question: str, answer: str) -> None:
    assert ask(question) == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("days between March 1, 2020 and April 5, 2020", "35"),
        ("days between April 5, 2020 and March 1, 2020", "35"),
        ("the number of days between 2020-02-28 and 2020-03-01", "2"),
        ("How many days between March 1, 2020 and March 1, 2020?", "0"),
        ("days from March 1, 2020 to April 5, 2020", "35"),
        ("days from April 5, 2020 until March 1, 2020", "-35"),
        ("days until December 25, 2026", "35"),
        ("days until November 1, 2026", "-19"),
        ("days since 1 January 2026", "323"),
        ("2020-04-05 - 2020-03-01", "35"),
        ("March 1, 2020 - April 5, 2020", "-35"),
        ("days between 0001-01-01 and 9999-12-31", "3652058"),
    ],
)
def test_days_between(question: str, answer: str) -> None:
    assert ask(question) == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("March 1, 2020 + 10 days", "March 11, 2020"),
        ("2020-03-01 +10 days", "March 11, 2020"),
        ("March 1, 2020 plus 1 day", "March 2, 2020"),
        ("10 days after March 1, 2020", "March 11, 2020"),
        ("30 days from 2020-03-01", "March 31, 2020"),
        ("3 weeks before April 1, 2020", "March 11, 2020"),
        ("Two weeks after the 1st of March, 2020", "March 15, 2020"),
        ("a year before February 29, 2020", "February 28, 2019"),
        ("4 years after February 29, 2020", "February 29, 2024"),
        ("2020-01-31 + 1 month", "February 29, 2020"),
        ("2021-01-31 + 1 month", "February 28, 2021"),
        ("2020-03-31 - 1 month", "February 29, 2020"),
        ("2020-11-30 + 14 months", "January 30, 2022"),
        ("2020-01-15 − 1 month", "December 15, 2019"),
        ("2020-12-15 minus 24 months", "December 15, 2018"),
        ("1,000 days after January 1, 2020", "September 27, 2022"),
        ("10 days ago", "November 10, 2026"),
        ("10 Days Ago", "November 10, 2026"),
        ("March 1, 2020 MINUS one day", "February 29, 2020"),
        ("zero days after March 1, 2020", "March 1, 2020"),
        ("in twelve months", "November 20, 2027"),
        ("3 days from now", "November 23, 2026"),
        ("0 days after March 1, 2020", "March 1, 2020"),
        ("a day after 2 weeks before today", "November 7, 2026"),
    ],
)
def test_dates_some_time_away(question: str, answer: str) -> None:
    assert ask(question) == answer


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("", "the input is empty; ask for the weekday"),
        ("   ? ", "the input is empty"),
        ("03/04/2020", "which number in 03/04/2020 is the month. Write 2020-03-04 or March 4, 2020"),
        ("days between 3.4.20 and 2020-01-01", "which number in 3.4.20 is the month"),
        ("July 4", "'July 4' is no date; write July 4, 2021 or 2021-07-04"),
        ("July 4, 21", "is no date"),
        ("Foo 4, 2020", "'Foo' is no month"),
        ("February 30, 2021", "there is no February 30, 2021"),
        ("2021-13-01", "there is no 2021-13-01"),
        ("0000-01-01", "years run from 1 to 9999"),
        ("Monday, November 20, 2026", "November 20, 2026 is a Friday, not a Monday"),
        ("9999-12-31 + 1 day", "outside the years 1 to 9999"),
        ("0001-01-01 - 1 month", "outside the years 1 to 9999"),
        ("9,999,999 years after today", "outside the years 1 to 9999"),
        ("9999999 weeks ago", "outside the years 1 to 9999"),
        ("99999999999 days ago", "is no date"),
        ("2.5 days after March 1, 2020", "is no date"),
        ("days between March 1, 2020", "is no date"),
        ("next Friday", "'next Friday' is no date"),
        ("\0", r"'\\x00' is no date"),
        ("x" * (MAX_CHARS + 1), "the question has 201 characters; 200 are allowed"),
    ],
)
def test_what_has_no_single_meaning_is_refused(question: str, reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        ask(question)


def test_today_is_the_documents() -> None:
    box = Toolbox([ask], memory=ResultMemory())
    dated = box.bind(DocumentFacts(date=datetime.date(2020, 2, 28)))
    assert dated.run("Dates", "days until March 1, 2020") == "2"
    assert dated.run("Dates", "tomorrow") == "Saturday"
    assert box.run("Dates", "days until December 25, 2026") == "35"
    assert box.bind(DocumentFacts()).run("Dates", "in 2 days") == "November 22, 2026"


def test_a_clock_may_tell_the_time_too() -> None:
    noon = Dates(clock=lambda: datetime.datetime(2026, 11, 20, 12, 30))
    assert noon("days until December 25, 2026") == "35"
    assert noon("in a week") == "November 27, 2026"
    assert noon("yesterday") == "Thursday"


def test_answers_that_depend_on_today_are_not_remembered() -> None:
    for tool in (Calendar(), Dates()):
        assert isinstance(tool, Tool)
        assert isinstance(tool, Bindable)
        assert traits_of(tool).in_process
        assert not traits_of(tool).remember


@pytest.mark.parametrize(
    "piece", ["what ", "days between and ", "1 day from ", "a - ", " plus 1 day", "the ", "is ", "1"]
)
def test_hostile_questions_take_no_time(piece: str) -> None:
    question = (piece * MAX_CHARS)[:MAX_CHARS]
    start = time.process_time()
    with pytest.raises(ToolError):
        ask(question)
    assert time.process_time() - start < 0.05
