"""Does the result say what the text says next? Worked examples."""

from dataclasses import replace

import pytest

from tests.fakes import ScriptedLM
from toolformer.calls import Call
from toolformer.data_gen.match import match, says_next, shares
from toolformer.data_gen.records import By, Candidate, Document, Place, Rejected, Text


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


def candidate(result: str, by: By, text: str = "It is 29 of 100") -> Candidate:
    encoded = ScriptedLM().encode(text)
    place = Place(Text(Document("d", text), encoded, ()), "Calculator", 5, None)
    return Candidate(place, Call("Calculator", "x", result), by=by)


def test_what_a_model_wrote_goes_on_whatever_it_says_unless_asked() -> None:
    all_ = [candidate("29", "rule"), candidate("30", "rule"), candidate("100", "rule"), candidate("100", "model")]
    all_ += [candidate("31", "model")]
    rejected: list[Rejected] = []
    assert match(all_, rejected) == [all_[0], all_[3], all_[4]]
    assert [(one.stage, one.reason, one.call) for one in rejected] == [
        ("match", "the result is not what the text says next", all_[n].call) for n in (1, 2)
    ]
    assert match(all_, rejected := [], all_of_them=True) == [all_[0], all_[3]]
    assert [one.call for one in rejected] == [all_[n].call for n in (1, 2, 4)]


def test_a_long_result_is_one_pass() -> None:
    big = candidate("1 " * 20_000, "model")
    assert match([big], []) == [big]
    assert match([replace(big, by="rule")], []) == []
