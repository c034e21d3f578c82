"""How much a result must gain, found from decoys: worked by hand."""

import math
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import ScriptedLM
from tests.unit.test_annotator import TextLM
from toolformer.calls import Call, CallSyntax
from toolformer.data_gen import Document
from toolformer.data_gen.records import Candidate, EncodedText, Losses, Place
from toolformer.data_gen.score import Scorer
from toolformer.data_gen.threshold import (
    BINS,
    FEWEST,
    LEAST,
    MOST,
    SHARE,
    TOGETHER,
    Threshold,
    _others,
    find_thresholds,
    threshold,
)

# 40 calls from 0.61 to 1.00, and 20 from 0.01 to 0.20 that are worth nothing.
GAINS = [0.6 + n / 100 for n in range(1, 41)] + [n / 100 for n in range(1, 21)]


def test_the_smallest_gain_at_which_chance_has_a_twentieth() -> None:
    # Of 60 calls, all that gain 0.05 or more are 56. Three decoys among them would be more than 5%: 2.8.
    found = threshold(GAINS, [-1.0] * 57 + [0.1, 0.3, 0.7])
    # Down to 0.71 no decoy reaches a call's gain. At 0.61 to 0.70 one does, of 31 to 40 calls: 1/31 and less. At 0.11
    # to 0.20 two do, of 41 to 50: 2/40 and less. At 0.10 the third does, of 51: 5.9%; at 0.06 it is 3 of 55, 5.5%.
    # The threshold lies a bit below, so that a gain that differs by rounding is on the same side.
    assert (found.value, found.share, found.kept) == (0.109, 2 / 50, 50)
    assert (found.candidates, found.found) == (60, True)


def test_a_gain_further_down_may_bring_the_share_back_below() -> None:
    # One decoy above all of them: of 1 to 19 calls it is more than a twentieth, of 20 it is one.
    found = threshold([1.0 - n / 100 for n in range(30)], [2.0, *[-1.0] * 29])
    assert found.kept == 30
    assert found.share == pytest.approx(1 / 30)
    assert threshold([1.0 - n / 100 for n in range(20)], [2.0, *[-1.0] * 19]).kept == 20
    fewer = threshold([1.0 - n / 100 for n in range(19)], [2.0, *[-1.0] * 18])
    assert fewer.kept == 0


def test_no_threshold_is_below_what_anybody_would_notice() -> None:
    found = threshold([0.5, 0.04, 0.03, 0.02], [-1.0, -1.0, 0.01, 0.02])
    assert (found.kept, found.share) == (1, 0.0)
    assert found.value == pytest.approx(0.499, abs=1e-3)
    assert threshold([0.05, 0.5], [-1.0, 0.01]).value == LEAST


@pytest.mark.parametrize("best", [0.5, 0.5004, 0.5005, 0.50051, 0.01, -1.0])
def test_where_decoys_gain_as_much_nothing_is_kept(best: float) -> None:
    found = threshold([best, best - 0.1, best - 0.2], [best] * 3)
    assert (found.kept, found.share) == (0, 0.0)
    assert found.value > best


def test_histograms_count_everything_also_what_is_beyond() -> None:
    found = threshold([-5.0, -1.0, -0.95, 1.99, 2.0, 7.0], [-math.inf, 99.0, 0.0, 0.124, 0.126, -0.0])
    assert found.gains == (3, *[0] * (BINS - 2), 3)
    assert (found.decoys[0], found.decoys[8], found.decoys[9], found.decoys[-1]) == (1, 3, 1, 1)
    assert sum(found.decoys) == 6


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=80))
def test_of_what_is_kept_the_share_of_chance_is_as_low_as_asked(pairs: list[tuple[float, float]]) -> None:
    gains, decoys = [gain for gain, _ in pairs], [decoy for _, decoy in pairs]
    found = threshold(gains, decoys)
    kept = sum(gain >= found.value for gain in gains)
    assert found.value >= LEAST
    assert kept >= found.kept
    if found.kept:
        least = min(gain for gain in gains if gain >= found.value)
        same = [gain for gain in gains if found.value <= gain < found.value + 2e-3]
        assert found.kept + len(same) >= kept  # but for gains that differ by rounding
        assert sum(decoy >= least + 2e-3 for decoy in decoys) <= SHARE * kept
    else:
        assert kept == 0


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=40).filter(lambda results: len(set(results)) > 1))
def test_a_decoy_is_another_calls_result_and_never_the_same(results: list[str]) -> None:
    others = decoys_of(results)
    assert len(others) == len(results)
    assert all(other in results and other != result for result, other in zip(results, others, strict=True))


def test_decoys_come_from_half_of_the_way_round() -> None:
    assert decoys_of(["a", "b", "c", "d"]) == ["c", "d", "a", "b"]
    assert decoys_of(["a", "b", "a", "b"]) == ["b", "a", "b", "a"]


def test_what_the_text_says_next_is_no_decoy() -> None:
    said = ["Monday, May 1", "Tuesday, May 2", "Monday, May 8", "Friday, May 12"]
    # Each text goes on with a Monday: another Monday would be right.
    assert decoys_of(said, "Monday, the shop") == [said[3], said[3], said[1], said[1]]
    # Where all others are what the text says next, another result must do.
    assert decoys_of(["in 1990", "1990", "in 1990", "1990"], "1990 and") == ["1990", "in 1990", "1990", "in 1990"]


def test_a_decoy_of_several_counts_for_less() -> None:
    # Sixty calls with five decoys each. At 0.12 and above are 49 calls; twelve of the 300 decoys count as 2.4, which is
    # 4.9%. At 0.11 there are 50 calls, and three more decoys make it 3: 6%. Down to 0.05 it is 3 of 56, 5.4%.
    found = threshold(GAINS, [-1.0] * 285 + [0.115] * 3 + [0.9] * 12)
    assert (found.value, found.kept) == (0.119, 49)
    assert found.share == pytest.approx(2.4 / 49)


def decoys_of(results: list[str], following: str = "it is so") -> list[str]:
    return [first for first, *_ in _others(scored(len(results), results.__getitem__, following))]


def scored(count: int, result: Callable[[int], str] = str, text: str = "it is so") -> list[Candidate]:
    encoded = ScriptedLM().encode(text)
    place = Place(EncodedText(Document("d", text), encoded, (-2.0,) * len(text)), "Calculator", 0, None)
    return [Candidate(place, Call("Calculator", "x", result(n)), Losses(2.0, 1.5, n / count)) for n in range(count)]


def scorer(loss: Callable[[str, str, int], float], context: int = 4096) -> Scorer:
    return Scorer(TextLM(loss=loss, context=context), CallSyntax.TEXT)


def test_a_decoy_gains_over_the_same_losses_without_a_result() -> None:
    some = scored(4)
    asked = scorer(lambda prefix, text, position: 1.4 if "-> b]" in prefix else 3.0)
    assert asked.decoys(some, ["a", "b", "c", "b"]) == pytest.approx([1.5 - 3.0, 1.5 - 1.4, 1.5 - 3.0, 1.5 - 1.4])


def test_a_decoy_that_does_not_fit_or_has_no_loss_gains_nothing() -> None:
    some = scored(3)
    model = scorer(lambda prefix, text, position: math.nan if "n" in prefix else 1.0, context=40)
    assert model.decoys(some, ["x" * 40, "n", "y"]) == [-math.inf, -math.inf, pytest.approx(0.5)]
    found = threshold([one.gain for one in some], model.decoys(some, ["x" * 40, "n", "y"]))
    assert found.decoys[0] == 2


def test_too_few_candidates_or_results_leave_the_lessons_number() -> None:
    never = scorer(lambda prefix, text, position: 0 / 0)
    few = find_thresholds({"Calculator": scored(FEWEST - 1)}, [never], {"Calculator": 0.7, "QA": 1})
    # They gain 1.5 - n / 59: those up to n = 47 reach 0.7.
    assert few["Calculator"] == Threshold(0.7, 59, None, 48, found=False)
    # One that gains as much as the number reaches it.
    assert find_thresholds({"Calculator": scored(4)}, [never], {"Calculator": 1.5})["Calculator"].kept == 1
    assert few["QA"] == Threshold(1.0, 0, None, 0, found=False)
    same = find_thresholds({"Calculator": scored(FEWEST, lambda n: "same")}, [never], {"Calculator": 0.7})
    assert not same["Calculator"].found


def test_enough_candidates_are_asked_with_other_results() -> None:
    asked: list[str] = []

    def loss(prefix: str, text: str, position: int) -> float:
        asked.append(prefix)
        return 2.0

    found = find_thresholds({"Calculator": scored(FEWEST)}, [scorer(loss)], {"Calculator": 0.7})["Calculator"]
    # 300 decoys of 60 calls are five each: of the calls behind it, half of the way round.
    assert sorted(asked) == sorted(f" [Calculator(x) -> {(n + 30 + m) % 60}]" for n in range(60) for m in range(5))
    # No decoy gains anything: the least of the gains, 1.5 - 59 / 60, is the threshold, and all are kept.
    assert (found.found, found.kept, found.share) == (True, FEWEST, 0.0)
    assert 1.5 - 59 / 60 - 0.001 < found.value <= 1.5 - 59 / 60


def test_of_very_many_candidates_the_first_are_enough() -> None:
    asked: list[str] = []

    def loss(prefix: str, text: str, position: int) -> float:
        asked.append(prefix)
        return 2.0

    found = find_thresholds({"Calculator": scored(MOST + 9)}, [scorer(loss)], {"Calculator": 0.7})["Calculator"]
    assert (found.candidates, len(asked)) == (MOST, MOST)


def test_several_scorers_share_the_decoys_and_find_the_same() -> None:
    asked: list[list[str]] = [[], []]

    def one(number: int) -> Scorer:
        def loss(prefix: str, text: str, position: int) -> float:
            asked[number].append(prefix)
            time.sleep(0.001)  # so that the other one comes to its turn
            return 1.0 + len(prefix) % 7 / 10

        return scorer(loss)

    candidates = {"Calculator": scored(MOST)}
    alone = find_thresholds(candidates, [one(0)], {"Calculator": 0.7})
    every = sorted(asked[0])
    asked[0].clear()
    assert find_thresholds(candidates, [one(0), one(1)], {"Calculator": 0.7}) == alone
    assert sorted(asked[0] + asked[1]) == every
    assert min(map(len, asked)) >= TOGETHER
