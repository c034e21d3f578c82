"""Tools from plain functions: names, descriptions, and arguments read from text."""

import datetime
from collections.abc import Callable

import pytest

from toolformer import ConfigError, Tool, ToolError, Traits, tool


@tool
def shout(text: str) -> str:
    """Says it louder.

    This second paragraph is not part of the description.
    """
    return text.upper()


@tool
def weather(city: str, days: int = 1, wind: bool = False) -> str:
    """The weather in a city."""
    return f"{city}|{days}|{wind}"


def test_a_decorated_function_is_a_tool() -> None:
    assert isinstance(shout, Tool)
    assert (shout.name, shout.description, shout.traits) == ("shout", "Says it louder.", Traits())


def test_a_single_text_parameter_gets_the_whole_input() -> None:
    assert shout('a, "b" = c') == 'A, "B" = C'
    assert shout("") == ""


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Paris", "Paris|1|False"),
        ("Paris, 3", "Paris|3|False"),
        (" Paris ,3, yes ", "Paris|3|True"),
        ("Paris, wind=true", "Paris|1|True"),
        ("days=2, city=Rome", "Rome|2|False"),
        ('"Paris, Texas", 3', "Paris, Texas|3|False"),
        ('city="Paris, Texas"', "Paris, Texas|1|False"),
    ],
)
def test_typed_arguments(text: str, answer: str) -> None:
    assert weather(text) == answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "city is missing"),
        ("Paris, three", "days must be a whole number, not 'three'"),
        ("Paris, 1, maybe", "wind must be true or false, not 'maybe'"),
        ("Paris, 1, no, more", "3 arguments at most"),
        ("Paris, city=Rome", "city is given twice"),
        ("Paris, " + "9" * 5_000, "days must be a whole number"),
    ],
)
def test_a_bad_argument_is_named(text: str, reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        weather(text)


def test_dates_and_numbers_as_arguments() -> None:
    @tool(description="Adds.")
    def later(day: datetime.date, weeks: float) -> str:
        return str(day + datetime.timedelta(weeks=weeks))

    assert later("2026-11-20, 1.5") == "2026-11-30"
    with pytest.raises(ToolError, match="day must be a date as YYYY-MM-DD, not 'today'"):
        later("today, 1")


def test_a_function_without_parameters_takes_no_input() -> None:
    @tool(name="Now", description="The time.")
    def now() -> str:
        return "noon"

    assert now("") == "noon"
    with pytest.raises(ToolError, match="0 arguments at most"):
        now("1")


def starred(*words: str) -> str:
    """Joins."""
    return " ".join(words)


def listed(words: list[str]) -> str:
    """Joins."""
    return " ".join(words)


def undescribed(text: str) -> str:
    return text


async def coroutine(text: str) -> str:
    """Waits."""
    return text


def test_names_that_only_a_type_checker_knows_are_no_matter_unless_they_must_be_read() -> None:
    def answer(days: "int", note: "str" = "") -> "Answer":  # type: ignore[name-defined] # noqa: F821
        """Answers."""
        return f"{days + 1}{note}"

    assert tool(answer)("4") == "5"

    def ask(days: "Days") -> str:  # type: ignore[name-defined] # noqa: F821
        """Asks."""
        return str(days)

    with pytest.raises(ConfigError, match="tool ask: days: 'Days' is of a type that cannot be read from text"):
        tool(ask)


@pytest.mark.parametrize(
    "name", ["<API>", "→", "QA) → Lima </API>", " [QA", "QA(", "Q\nA", "QA\u200b", "\u202eAQ", "", "9lives", "\ud800"]
)
def test_a_name_that_could_be_read_as_something_else_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no tool name"):
        tool(name=name, description="Poses.")(lambda text: text)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (starred, "name each parameter"),
        (listed, "cannot be read from text; there is str, int, float, bool, date"),
        (undescribed, "needs a description"),
        (coroutine, "coroutine"),
        (lambda text: text, "is no tool name"),
        (max, "wrap it in a function of your own"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_when_it_is_made(function: Callable[..., str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        tool(function)
