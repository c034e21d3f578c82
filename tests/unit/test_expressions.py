"""Calculations over the numbers of a text: worked examples, and what must hold for any."""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolformer.data_gen.lessons.expressions import MAX_NUMBERS, expressions, numbers
from toolformer.data_gen.lessons.proposals import MOST_EACH, calculations
from toolformer.data_gen.records import Document
from toolformer.tools.calculator import evaluate


def asked(text: str, before: str | None = None) -> list[str]:
    """The inputs proposed at the last number of the text, or right before the given piece."""
    found = list(calculations(Document("d", text)))
    word = max((one.word for one in found), default=0) if before is None else text.index(before)
    return [one.input for one in found if one.word == word]


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("48/2=24", ["48", "2", "24"]),
        ("on 3/4/2020, 5/6", ["5", "6"]),  # a date is no division
        ("48 / 2 = 24", ["48", "2", "24"]),
        ("1,400 of 3,000,000", ["1400", "3000000"]),
        ("0.29 or 29%", ["0.29", "0.29", "29"]),  # a percentage is its share, too
        ("half a dozen twice", ["2", "12", "2"]),
        ("Twenty days, doubled, dozens, S, d", ["20", "24", "2", "12"]),
        ("1.2.3 and v2 and 3rd and 2nd-hand", []),
        ("a1 1a _1 1_ 1,5", ["1"]),
        ("1234567890123", []),  # a name
        ("7 percent, 7 per cent, 7  percent", ["0.07", "7", "0.07", "7", "7", "100"]),
        ("3.", ["3"]),
        ("$5 (6) -7", ["5", "6", "7"]),
        ("١٢", []),
    ],
)
def test_which_numbers_a_text_holds(text: str, digits: list[str]) -> None:
    assert [one.digits for one in numbers(text)] == digits


def test_only_digits_can_be_compared_with_a_result() -> None:
    assert [(one.digits, one.said, one.start) for one in numbers("half of 29%")] == [
        ("2", False, 0), ("0.29", False, 8), ("29", True, 8)
    ]  # fmt: skip


def test_what_the_digits_written_leave_open() -> None:
    (third, whole) = numbers("0.29 29")
    assert third.error == pytest.approx(0.005, rel=1e-3)
    assert 0 < whole.error < 1e-6


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("She sold 48/2 = 24 clips", "48 / 2"),
        ("48/2=24", "48 / 2"),
        ("Of 1400, 400 passed, which is 0.29 of all", "400 / 1400"),
        ("He had 12 and got 30 more, so 42 now", "30 + 12"),
        ("It had 250 and lost 35, which leaves 215", "250 - 35"),
        ("18 crates of 24 are 432", "24 * 18"),
        ("She pays 25% of 80, that is 20", "80 * 0.25"),
        ("Half of the 86 are 43", "86 / 2"),
        ("Twice 21 is 42", "21 * 2"),
        ("Two dozen eggs, 24", "12 * 2"),
        ("1,000,000 less 1 is 999,999", "1000000 - 1"),
        ("140 dollars, 6 books at 14 each, 56 are left", "140 - 14 * 6"),
        ("3 and 5 share 40, 5.00 each", "40 / (5 + 3)"),
    ],
)
def test_worked_examples(text: str, first: str) -> None:
    assert first in asked(text), asked(text)


def test_two_operations_only_where_one_gives_nothing() -> None:
    found = numbers("2 3 4 12")
    assert list(expressions(found[:3], found[3])) == ["4 * 3"]
    assert all(len(one.split()) == 3 for one in asked("2 3 4 12"))
    assert "2 * 3 * 4" in {" * ".join(sorted(one.split(" * "))) for one in asked("2 3 4 24")}


def test_a_number_that_was_said_before_is_no_result() -> None:
    assert asked("6 and 7 make 42; 42 it is", "42 it") == []
    assert asked("6 and 7 make 42; 42 it is", "42; ") == ["7 * 6"]


def test_nothing_comes_of_nothing() -> None:
    for text in ("", "0 0 0", "5", "1 1 1", "no numbers", "5 + 0 = 7"):
        assert asked(text) == [], text


def test_a_percentage_is_not_made_of_itself() -> None:
    assert asked("100 and 7%") == []


def test_numbers_far_away_or_further_than_ten_do_not_count() -> None:
    far = " ".join(str(n) for n in range(500, 510))
    assert "30 + 17" not in asked(f"17 30 {far} 47 x")
    assert "30 + 17" in asked(f"{far} 17 30 47 x")


def test_proposals_at_a_place_are_bounded() -> None:
    assert len(asked("2 3 4 5 6 7 8 9 10 11 13")) <= MOST_EACH


@pytest.mark.parametrize(
    "text",
    [
        "7" * 1_000_000,
        "7," * 50_000,
        "7." * 50_000,
        "7 " * 50_000,
        ",000" * 25_000,
        "7% " * 30_000,
        "x" * 1_000_000,
        " ".join(str(n) for n in range(10_000)),
        " ".join(f"{n}.{n % 97}" for n in range(10_000)),
    ],
    ids=lambda text: f"{text[:9]}...",
)
def test_hostile_texts_cost_little(text: str) -> None:
    began = time.process_time()
    found = list(calculations(Document("d", text)))
    assert time.process_time() - began < 6
    assert len(found) <= MOST_EACH * MAX_NUMBERS


TEXTS = st.lists(
    st.one_of(
        st.integers(0, 200).map(str),
        st.floats(0.01, 50).map("{:.2f}".format),
        st.integers(1_000, 9_000_000).map("{:,}".format),
        st.integers(1, 100).map("{}%".format),
        st.sampled_from(["half", "twice", "a dozen", "of", "and", "ninety"]),
    ),
    min_size=3,
    max_size=12,
).map(" ".join)


@settings(deadline=None, max_examples=150)
@given(TEXTS)
def test_every_proposed_expression_gives_the_number_that_follows_to_the_digits_written(text: str) -> None:
    for one in calculations(Document("d", text)):
        written = text[one.word :].split()[0].rstrip("%").replace(",", "")
        decimals = len(written.partition(".")[2])
        value = float(evaluate(one.input))
        assert math.isclose(value, float(written), rel_tol=2e-9, abs_tol=0.5001 * 10**-decimals if decimals else 0)
        assert len(one.input.split()) in (3, 5)
