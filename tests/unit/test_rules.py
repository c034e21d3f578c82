"""Which texts are worth a lesson: the paper's rules with worked examples, and texts made to be slow."""

import datetime
import time

import pytest

from toolformer import DocumentFacts
from toolformer.data_gen.lessons.rules import RULES
from toolformer.data_gen.records import Document

TODAY = DocumentFacts(datetime.date(2019, 5, 17))


def wants(rule: str, text: str, name: str = "d", facts: DocumentFacts = TODAY) -> bool:
    return RULES[rule](Document(name, text, facts))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Out of 1400 participants, 400 (or 29%) passed the test.", True),  # the paper's: 400 / 1400 = 0.2857
        ("The number in the next term is 18 + 12 x 3 = 54.", True),  # the paper's: an equals sign before a number
        ("From 312 and 145 we get 457.", True),
        ("From 312 and 145 we get 458.", False),
        ("Of 500, 43 left and 457 stayed.", True),
        ("7 rows of 12 are 84.", True),
        ("At 1,234.5 each, 2 cost 2,469.", True),
        ("10 of 30 is 0.33.", True),
        ("10 of 30 is 0.34.", False),
        ("10 of 30 is 33 percent.", True),
        ("7 by 3 is 2.", False),  # only what is written with decimals may be rounded
        ("The 5 had 1 and again 5.", False),  # nothing follows from 1 x 5
        ("The 5 had 0 and again 5.", False),
        ("457 comes before 312 and 144.", False),
        ("It equals 7.", True),
        ("She had 215 eggs, filled 2 trays with 20 each, and kept 175.", True),
        ("She had 215 eggs, filled 2 trays with 20 each, and kept 176.", False),
        ("a total of $ 1,000", True),
        ("an average of some", False),
        ("Only 312 and 145.", False),
        ("version 1.2.3 of 3rd kg400", False),
        ("312 " + "word " * 97 + "145 457.", True),
        ("312 " + "word " * 98 + "145 457.", False),  # the first and the last are 100 words apart
    ],
)
def test_numbers(text: str, wanted: bool) -> None:
    assert wants("numbers", text) is wanted


def test_one_in_a_hundred_of_the_other_texts_with_three_numbers_by_its_id() -> None:
    chosen = [wants("numbers", "5 and 90 and 700", str(number)) for number in range(5_000)]
    assert chosen == [wants("numbers", "5 and 90 and 700", str(number)) for number in range(5_000)]
    assert 25 <= sum(chosen) <= 75
    assert not any(wants("numbers", "5 and 90", str(number)) for number in range(5_000))


def test_dated() -> None:
    assert wants("dated", "x")
    assert not wants("dated", "x", facts=DocumentFacts(url="https://example.org"))
    assert not wants("dated", " \n")


def test_any() -> None:
    assert wants("any", "x")
    assert not wants("any", " \n")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Opened on May 17, 2019, a Friday.", True),
        ("From 2019-05-17 to 2019-06-01.", True),
        ("It rained ten days after 17 May.", True),
        ("It closed on the 3rd of June and opened 10 days later.", True),
        ("On May 17, 2019 it rained.", False),
        ("She may 5 times, on Friday.", False),
        ("Marketing 10 years, on Friday.", False),
    ],
)
def test_dates(text: str, wanted: bool) -> None:
    assert wants("dates", text, facts=DocumentFacts()) is wanted


def test_a_texts_own_date_is_one_of_its_days() -> None:
    dated = DocumentFacts(date=datetime.date(2020, 1, 2))
    for text in ("It rained two weeks ago.", "It is a Friday.", "On May 17, 2019 it rained."):
        assert (wants("dates", text, facts=DocumentFacts()), wants("dates", text, facts=dated)) == (False, True)
    assert not wants("dates", "It rained.", facts=dated)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("We have 3x - 7 = 11.", True),
        ("y = x^2", True),
        ("E = mc²", True),
        ("the derivative of it", True),
        ("We - that is, I - came.", False),
        ('<a class="b">', False),
        ("5 + 6 = 11", False),
    ],
)
def test_formulas(text: str, wanted: bool) -> None:
    assert wants("formulas", text) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The sign said wer nicht wagt, der nicht gewinnt and they laughed.", True),
        ("At the request of the US military, 应美军要求，国民党军 opened the road.", True),
        ("The words Τὸ γνῶθι σαυτόν were written there.", True),
        ("Wer nicht wagt, der nicht gewinnt.", False),  # all of it is German
        ("The rest is wer nicht wagt, der nicht gewinnt.", False),  # no English behind it
        ("The café and the naïve fiancée were there.", False),
        ("The match between José García and João Souza was long and they knew that.", False),
    ],
)
def test_foreign(text: str, wanted: bool) -> None:
    assert wants("foreign", text) is wanted


HOSTILE = {
    "digits": "7",
    "numbers": "7 ",
    "many numbers": " ".join(str(3**n % 9973) for n in range(2_000)),
    "thousands": "123,",
    "decimals": "1.",
    "percents": "1 % ",
    "equals": "= ",
    "sums": "a+",
    "powers": "x^",
    "months": "May ",
    "letters": "a",
    "spaces": " ",
    "english": "the ",
    "foreign": "the der nicht ist die ",
    "accents": "é ",
    "cyrillic": "д",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_a_megabyte_made_to_be_slow(unit: str) -> None:
    wants("foreign", "The sign said wer nicht wagt, der nicht gewinnt and they laughed.")  # loads the classifier
    text = "=" + "the " + (unit * (1_000_000 // len(unit)))[:1_000_000] + " the"
    for rule in RULES:
        start = time.process_time()
        wants(rule, text)
        assert time.process_time() - start < 1, rule
