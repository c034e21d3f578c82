"""Of what rules propose, the likeliest calls that are likely enough; worked by hand on a scripted model."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.fakes import ScriptedLM
from tests.unit.test_annotator import PAPER, TextLM
from toolformer.calls import Call
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.rank import TEXTS, Ranker
from toolformer.data_gen.records import Candidate, Document, EncodedText, Place, Rejected

LESSON = replace(
    PAPER, positions=2, demonstrations=("1 and 2 are {1 + 2} 3.", "2 less 1 is {2 - 1} 1.", "2 by 2 is {2 * 2} 4.")
)
KNOWN = {"1 + 2": -1.0, "2 - 1": -2.0, "2 * 2": -6.0}
"""What the model finds of the demonstrations: a mean of -3, a standard deviation of sqrt(14 / 3)."""
LEAST = -3.0 - math.sqrt(14 / 3)
SHORT = Call("Calculator", "1 + 1")
"""As long as those of the demonstrations."""


def model(said: dict[str, float], asked: list[tuple[str, str]] | None = None) -> ScriptedLM:
    known = KNOWN | said

    def writes(behind: str, call: str) -> float:
        if asked is not None:
            asked.append((behind, call))
        return known[call.removeprefix(" [Calculator(").removesuffix(")]")]

    return TextLM(writes=writes)


def candidates(text: str, *calls: tuple[int, str], id_: str = "d") -> list[Candidate]:
    encoded = ScriptedLM().encode(text)
    one = EncodedText(Document(id_, text), encoded, ())
    return [Candidate(Place(one, "Calculator", at, None), Call("Calculator", said, "9")) for at, said in calls]


def ranked(said: dict[str, float], some: Sequence[Candidate], lesson: Lesson = LESSON) -> tuple[list[str], list[str]]:
    rejected: list[Rejected] = []
    kept = Ranker(model(said), {"Calculator": lesson}).rank(some, rejected)
    assert all(one.stage == "rank" for one in rejected)
    return [one.call.input for one in kept], [f"{one.call and one.call.input}: {one.reason}" for one in rejected]


def test_the_likeliest_call_at_a_place_goes_on() -> None:
    some = candidates("it is 18 all", (5, "9 * 2"), (5, "12 + 6"), (8, "1"))
    assert ranked({"9 * 2": -3.0, "12 + 6": -2.5, "1": -4.0}, some) == (
        ["12 + 6", "1"],
        ["9 * 2: another call is likelier at this place"],
    )


def test_what_is_likely_the_demonstrations_say() -> None:
    ranker = Ranker(model({}), {"Calculator": LESSON})
    assert ranker.least(SHORT) == pytest.approx(LEAST)
    some = candidates("it is 18 all", (5, "a"), (8, "b"))
    assert ranked({"a": LEAST + 1e-6, "b": LEAST - 1e-6}, some) == (
        ["a"],
        ["b: the model would hardly write it there"],
    )


def test_a_longer_call_may_be_less_likely_by_what_a_token_of_the_demonstrations_costs() -> None:
    """Theirs have 20 tokens each, which are characters here, and cost -9 in all."""
    more = 4 * -9 / 60
    some = candidates("it is 18 all", (5, "1 + 2 + 3"), (8, "2 * 3 * 4"))
    assert ranked({"1 + 2 + 3": LEAST + more + 1e-6, "2 * 3 * 4": LEAST + more - 1e-6}, some) == (
        ["1 + 2 + 3"],
        ["2 * 3 * 4: the model would hardly write it there"],
    )
    assert Ranker(model({}), {"Calculator": LESSON}).least(Call("Calculator", "1")) == pytest.approx(LEAST)


def test_each_demonstration_is_weighed_behind_the_others_at_its_own_place() -> None:
    asked: list[tuple[str, str]] = []
    Ranker(model({}, asked), {"Calculator": LESSON}).least(SHORT)
    written = [
        "1 and 2 are [Calculator(1 + 2)] 3.", "2 less 1 is [Calculator(2 - 1)] 1.", "2 by 2 is [Calculator(2 * 2)] 4."
    ]  # fmt: skip
    assert asked == [
        (f"Output: {written[1]}\n\nOutput: {written[2]}\n\nOutput: 1 and 2 are", " [Calculator(1 + 2)]"),
        (f"Output: {written[0]}\n\nOutput: {written[2]}\n\nOutput: 2 less 1 is", " [Calculator(2 - 1)]"),
        (f"Output: {written[0]}\n\nOutput: {written[1]}\n\nOutput: 2 by 2 is", " [Calculator(2 * 2)]"),
    ]


def test_a_call_is_weighed_behind_all_demonstrations_and_the_text_up_to_its_place() -> None:
    asked: list[tuple[str, str]] = []
    ranker = Ranker(model({"9 * 2": -1.0}, asked), {"Calculator": LESSON})
    ranker.rank(candidates("it is 18", (5, "9 * 2")), [])
    behind, call = asked[0]
    assert behind.endswith("2 by 2 is [Calculator(2 * 2)] 4.\n\nOutput: it is")
    assert call == " [Calculator(9 * 2)]"  # its result is not part of it


def test_a_demonstration_that_cannot_be_written_does_not_count() -> None:
    assert Ranker(model({"2 * 2": -math.inf}), {"Calculator": LESSON}).least(SHORT) == pytest.approx(-2.0)
    none = dict.fromkeys(KNOWN, -math.inf)
    assert Ranker(model(none), {"Calculator": LESSON}).least(SHORT) == -math.inf
    # Then anything possible will do, and the impossible does not.
    some = candidates("it is 18 all", (5, "a"), (8, "b"))
    assert ranked(none | {"a": -math.inf, "b": -99.0}, some) == (
        ["b"], ["a: the model would hardly write it there"]
    )  # fmt: skip


def test_a_loss_that_is_no_number_is_not_likely() -> None:
    some = candidates("it is 18 all", (5, "a"))
    assert ranked({"a": math.nan}, some)[0] == []


def test_a_demonstration_that_ends_with_its_call_says_nothing_of_a_place() -> None:
    lesson = replace(LESSON, demonstrations=("1 and 2 are {1 + 2} 3.", "2 less 1 is {2 - 1}"))
    assert Ranker(model({}), {"Calculator": lesson}).least(SHORT) == -1.0


def test_of_many_places_the_likeliest_stay_in_their_order() -> None:
    some = candidates("a b c d e", (1, "p"), (3, "q"), (5, "r"), (7, "s"))
    said = {"p": -2.0, "q": -4.0, "r": -3.0, "s": -1.0}
    assert ranked(said, some) == (
        ["p", "s"],
        ["r: more than 2 places in this text", "q: more than 2 places in this text"],
    )
    # Every text has as many places as its lesson allows.
    other = candidates("a b c d e", (1, "p"), (3, "q"), id_="other")
    assert ranked(said, [*some, *other])[0] == ["p", "s", "p", "q"]


def test_equal_calls_are_decided_by_place_and_input_not_by_order() -> None:
    some = candidates("a b c d e", (5, "q"), (5, "p"), (1, "s"), (3, "r"))
    said = dict.fromkeys("pqrs", -2.0)
    assert ranked(said, some)[0] == ["s", "r"]
    assert set(ranked(said, some[::-1])[0]) == {"s", "r"}
    lesson = replace(LESSON, positions=9)
    assert set(ranked(said, some, lesson)[0]) == set(ranked(said, some[::-1], lesson)[0]) == {"p", "r", "s"}


def test_nothing_to_rank_asks_nothing() -> None:
    asked: list[tuple[str, str]] = []
    assert Ranker(model({}, asked), {"Calculator": LESSON}).rank([], []) == []
    assert asked == []


def test_many_texts_are_asked_some_at_a_time_and_answered_in_their_order() -> None:
    said = {f"{n}": -2.0 - n / 1000 for n in range(2 * TEXTS + 3)}
    some = [one for n in range(2 * TEXTS + 3) for one in candidates(f"a {n}", (1, f"{n}"), id_=f"{n}")]
    assert ranked(said, some) == ([f"{n}" for n in range(2 * TEXTS + 3)], [])
