"""Does the result say what the text says next? Worked examples."""

from dataclasses import replace

import pytest

from tests.fakes import ScriptedLM
from toolformer.calls import Call
from toolformer.data_gen.lessons import builtin_lessons
from toolformer.data_gen.match import match, names, says_next, shares
from toolformer.data_gen.records import Candidate, Document, EncodedText, Place, Rejected


@pytest.mark.parametrize(
    ("result", "following", "fits"),
    [
        ("0.29", " 0.29 of all", True),
        ("0.29", " 0.3 of all", True),  # the digits that the text writes decide
        ("0.29", " 0.2 of all", False),
        ("0.29", " 29% of all", False),
        ("1400", " 1,400 people", True),
        ("14", " 1,400 people", False),
        ("1400", " $1400", True),
        ("35", " 350", False),
        ("35", " the 35 of them", True),  # words that say nothing are passed over
        ("35", " people and 35 cats", False),  # others are not
        ("Wednesday", " Wednesday, it rained", True),
        ("Wednesday", " a wednesday", True),
        ("Wednesday", " Thursday or Wednesday", False),
        ("April 15, 2020", " April 15, 2020, at noon", True),
        ("April 16, 2020", " April 15, 2020, at noon", False),  # of a date, the day as well
        ("April", " April 15", True),  # a result without any number may leave it out
        ("May 6, 2021", " May 6, 2021", True),
        ("June 6, 2021", " May 6, 2021", False),
        ("Today is Friday, May 6, 2021.", " Friday", True),
        ("Scranton, Pennsylvania", " Scranton", True),
        ("Pennsylvania", " Scranton", False),
        ("the", " the", False),  # nothing is said
        ("", " 29", False),
        ("29", "", False),
        ("29", " ...", False),
        ("35", " 35th", True),
        ("Élan", " élan", True),
    ],
)
def test_the_result_says_what_comes_next(result: str, following: str, fits: bool) -> None:
    assert says_next(result, following) is fits


def test_only_the_next_few_words_are_looked_at() -> None:
    assert shares("Lima", " big old grey far away, the Lima")
    assert not shares("Lima", " big old grey far away, yes Lima")
    assert not shares("Lima", " " + "x" * 90 + " Lima")
    assert not shares("the of", " the of a")
    assert shares("in Lima, Peru", " Peru")


LESSONS = builtin_lessons()


def candidate(result: str, text: str = "It is 29 of 100") -> Candidate:
    encoded = ScriptedLM().encode(text)
    place = Place(EncodedText(Document("d", text), encoded, ()), "Calculator", 5, None)
    return Candidate(place, Call("Calculator", "x", result))


def test_all_calls_go_on_unless_they_are_ranked_or_have_to_share_a_word() -> None:
    all_ = [candidate("29"), candidate("30"), candidate("100")]
    rejected: list[Rejected] = []
    assert (match(all_, LESSONS, rejected), rejected) == (all_, [])
    assert match(all_, LESSONS, rejected, shared=True) == [all_[0], all_[2]]
    reason = "the result is not what the text says next"
    assert [(one.stage, one.reason, one.call) for one in rejected] == [("match", reason, all_[1].call)]
    assert match(all_, LESSONS, [], ranked=True) == all_[:1]


@pytest.mark.parametrize(
    ("result", "asked", "named"),
    [
        ("Lima: Lima is the capital of Peru.", "Lima", True),
        ("Mohd Zamri Ramli: Mohamad Zamri bin Ramli is a footballer.", "Zamri Bin Morshidi", False),
        ("The Battle of the Alnwick", "the battle of Alnwick", True),  # articles and such do not count
        ("Alnwick: a battle", "Battle of Alnwick", False),  # but the order does
        ("Limassol is a city", "Lima", False),
        ("Lima", "", False),
    ],
)
def test_a_result_names_what_was_asked_for(result: str, asked: str, named: bool) -> None:
    assert names(result, asked) is named


def test_a_page_about_something_else_goes_no_further_where_rules_propose() -> None:
    text = "Zamri Bin Morshidi is a Malaysian."
    place = Place(EncodedText(Document("d", text), ScriptedLM().encode(text), ()), "WikiSearch", 23, None)
    result = "Mohd Zamri Ramli: Mohamad Zamri bin Ramli is Malaysian footballer."
    one = Candidate(place, Call("WikiSearch", "Zamri Bin Morshidi", result))
    rejected: list[Rejected] = []
    assert match([one], LESSONS, rejected, ranked=True) == []
    assert [record.reason for record in rejected] == ["the result is about something else"]
    assert match([one], LESSONS, []) == [one]
    right = replace(one, call=replace(one.call, result="Zamri bin Morshidi: he is a Malaysian footballer"))
    assert match([right], LESSONS, [], ranked=True) == [right]


def test_a_long_result_is_one_pass() -> None:
    big = candidate("1 " * 20_000)
    assert match([big], LESSONS, []) == [big]
    assert match([big], LESSONS, [], ranked=True) == []
