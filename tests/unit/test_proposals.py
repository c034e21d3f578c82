"""What rules write into a text: dates, today, searches and questions; and that no text makes them slow."""

import datetime
import time
from dataclasses import replace

import pytest

from tests.unit.test_annotator import PAPER
from toolformer import DocumentFacts
from toolformer.data_gen.lessons.proposals import PROPOSALS, Proposed, dates, queries, questions, today
from toolformer.data_gen.records import Document
from toolformer.tools.dates import Dates

DATED = DocumentFacts(datetime.date(2019, 3, 3))


def at(found: list[Proposed], text: str) -> dict[str, list[str]]:
    """The inputs by the word that they stand before."""
    by_word: dict[str, list[str]] = {}
    for one in found:
        by_word.setdefault(text[one.word :].split()[0].strip(".,"), []).append(one.input)
    return by_word


def test_weekdays_of_the_dates_before_them_the_nearest_first() -> None:
    text = "From July 4, 2021 to 5 August 2021 and 2021-09-01, a Wednesday, not May 1, 2022"
    found = at(list(dates(Document("d", text))), text)
    assert found == {"Wednesday": ["weekday of 2021-09-01", "weekday of 5 August 2021", "weekday of July 4, 2021"]}
    dated = at(list(dates(Document("d", text, DATED))), text)
    assert dated["Wednesday"][-1] == "weekday of today"


def test_days_between_dates_and_dates_some_time_away() -> None:
    text = "From March 1, 2020 to April 5, 2020 it took 35 days. Two weeks later, on April 19, they left."
    found = at(list(dates(Document("d", text))), text)
    assert found["35"] == ["days between March 1, 2020 and April 5, 2020"]
    assert found["April"][:2] == ["35 days before April 5, 2020", "35 days after April 5, 2020"] or found["April"]
    assert "Two weeks after April 5, 2020" in found["April"]
    assert Dates()("Two weeks after April 5, 2020") == "April 19, 2020"


def test_days_are_named_by_their_distance_from_the_texts_own() -> None:
    text = "The day before yesterday was a Friday. In 3 weeks, on a Sunday, it will be March 24, not April."
    found = at(list(dates(Document("d", text, DATED))), text)
    assert found["Friday"][:2] == ["weekday of today", "weekday of the day before yesterday"]
    assert "weekday of 3 weeks after today" in found["Sunday"]
    assert {"2 days before today", "3 weeks after today"} <= set(found["March"]) & set(found["April"])
    assert at(list(dates(Document("d", text))), text) == {}


def test_every_input_about_dates_is_one_that_the_tool_takes() -> None:
    text = (
        "On May 2, 2020, a Saturday, and 3 June 2020. A month before, one year after, 12 Days later, 1,234 days on, "
        "it was June 15 or 2021-01-31, a Sunday."
    )
    proposed = list(dates(Document("d", text, DATED)))
    assert len(proposed) > 20
    for one in proposed:
        assert Dates().bind(DATED)(one.input)


def test_the_nearest_dates_count_and_no_more_than_four() -> None:
    text = " ".join(f"May {day}, 2020" for day in range(1, 9)) + " a Friday"
    found = at(list(dates(Document("d", text))), text)
    assert found["Friday"] == [f"weekday of May {day}, 2020" for day in (8, 7, 6, 5)]


def test_the_calendar_is_asked_before_days_months_and_years_of_a_dated_text() -> None:
    text = "This Friday in May 2021 at 10 of 12345"
    assert [(text[one.word :].split()[0], one.input) for one in today(Document("d", text, DATED))] == [
        ("Friday", ""), ("May", ""), ("2021", "")
    ]  # fmt: skip
    assert list(today(Document("d", text))) == []


LIMA = "Lima is the capital of Peru. Its founder, in 1535, was Francisco Pizarro, and Peru is in South America."


def test_searches_before_what_is_new() -> None:
    found = at(list(queries(Document("d", LIMA))), LIMA)
    assert found == {"Peru": ["Lima"], "1535": ["Lima"], "Francisco": ["Lima"], "South": ["Lima", "Peru"]}


def test_questions_ask_for_what_the_sentence_says_next() -> None:
    found = at(
        list(questions(Document("d", "The capital of Peru is Lima. Ann was born in Rome"))),
        "The capital of Peru is Lima. Ann was born in Rome",
    )
    assert found["Lima"] == [f"{word} is the capital of Peru?" for word in ("What", "Who", "Where")]
    assert found["Rome"] == ["Ann was born in?"]


def test_behind_a_question_stands_what_it_asks_for() -> None:
    text = "Who wrote Dune? The answer is Frank Herbert. He wrote Soul Catcher."
    found = at(list(questions(Document("d", text))), text)
    assert found["Frank"] == ["Who wrote Dune?"]
    assert found["Soul"] == ["He wrote?"]
    assert at(list(queries(Document("d", text))), text)["Frank"] == ["Dune"]


def test_a_sentence_that_says_too_little_or_too_much_asks_nothing() -> None:
    assert list(questions(Document("d", "Then Lima"))) == []
    assert list(questions(Document("d", "then " * 30 + "in Lima"))) == []
    assert list(questions(Document("d", "x" * 2000 + " is in the Lima"))) == []


def test_a_rule_of_ones_own_proposes_for_its_lesson() -> None:
    def shout(document: Document) -> list[Proposed]:
        return [Proposed(document.text.index("!"), "why?")]

    lesson = replace(PAPER, propose=shout)
    assert list(lesson.proposed(Document("d", "oh!"))) == [Proposed(2, "why?")]


HOSTILE = [
    "7" * 1_000_000,
    "7 " * 30_000,
    "1" + ",000" * 25_000,
    "A" * 1_000_000,
    "Aa " * 30_000,
    "A-" * 50_000,
    "A'" * 50_000,
    "A is " * 20_000,
    "Ab of " * 15_000,
    " " * 1_000_000,
    "a\n" * 40_000,
    "aa. " * 25_000,
    "(" * 1_000_000,
    '"Aa" said. ' * 8_000,
    "May 1, 2020, a Monday, five days " * 1_000,
    " ".join(f"May {n % 28 + 1}, {1000 + n} Monday {n} weeks" for n in range(800)),
    " ".join(f"N{n:x}" for n in range(2000)).replace("0", "o"),
    "\ud800" * 10_000,
    "",
]


@pytest.mark.parametrize("rule", [name for name in PROPOSALS if name != "calculations"])
def test_no_text_costs_more_than_its_length(rule: str) -> None:
    for text in HOSTILE:
        began = time.process_time()
        found = sum(1 for _ in PROPOSALS[rule](Document("d", text, DATED)))
        assert time.process_time() - began < 3, text[:40]
        assert found <= 5 * len(text), text[:40]


def test_what_stands_in_a_bracket_behind_its_own_name_is_not_asked_about() -> None:
    text = "Sands Central (Chinese: Jin) is a resort in Macau."
    assert {text[one.word :].split()[0] for one in queries(Document("d", text))} == {"Jin)", "Macau."}
