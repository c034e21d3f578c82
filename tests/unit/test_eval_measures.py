"""Each measure against numbers that were worked out by hand."""

import pytest

from toolformer.eval.measures import (
    accuracy_over_calls,
    area,
    auroc,
    binned,
    calibration_error,
    f1,
    fewest,
    risk_coverage,
)


def test_auroc_counts_pairs_and_ties_as_half() -> None:
    assert auroc([0.9, 0.8, 0.3, 0.1], [True, True, False, False]) == 1.0
    assert auroc([0.9, 0.8, 0.3, 0.1], [False, False, True, True]) == 0.0
    # Hits 0.9 and 0.5, misses 0.5 and 0.1: three pairs are right, one is a tie.
    assert auroc([0.9, 0.5, 0.5, 0.1], [True, True, False, False]) == 3.5 / 4
    # Hits 0.7, 0.4, 0.4, misses 0.4, 0.2: 0.7 beats both, each 0.4 ties with one and beats one.
    assert auroc([0.4, 0.2, 0.7, 0.4, 0.4], [True, False, True, True, False]) == pytest.approx((2 + 1.5 + 1.5) / 6)
    assert auroc([0.5] * 5, [True, False, True, False, False]) == 0.5
    assert auroc([-float("inf"), -3.0], [False, True]) == 1.0


@pytest.mark.parametrize("hits", [[], [True, True], [False]])
def test_auroc_needs_hits_and_misses(hits: list[bool]) -> None:
    assert auroc([0.5] * len(hits), hits) is None


def test_bins_are_tenths_and_the_last_holds_certainty() -> None:
    assert binned([1.0, 0.05, 0.95, 0.1, 0.09]) == {0: [1, 4], 1: [3], 9: [0, 2]}


def test_the_calibration_error_weighs_each_bins_gap_by_its_size() -> None:
    # Bin 0: mean 0.05, one hit in four, gap 0.2. Bin 6: mean 0.65, one hit in one, gap 0.35. (4 * 0.2 + 0.35) / 5
    found = calibration_error([0.02, 0.04, 0.06, 0.08, 0.65], [False, True, False, False, True])
    assert found == pytest.approx((4 * 0.2 + 0.35) / 5)
    assert calibration_error([0.0, 1.0], [False, True]) == 0.0
    assert calibration_error([], []) is None


def test_risk_over_coverage_takes_equal_scores_together() -> None:
    curve = risk_coverage([0.2, 0.9, 0.5, 0.5], [1.0, 0.0, 1.0, 0.0])
    assert curve == [(0.25, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert area(curve) == pytest.approx(0.25 * 0 + 0.5 / 3 + 0.25 * 0.5)
    assert area([(0.5, 1.0), (1.0, 0.25)]) == 0.5 * 1.0 + 0.5 * 0.25
    assert area(risk_coverage([], [])) is None


def test_accuracy_over_calls_goes_from_none_to_all() -> None:
    without, with_call = [False, True, False, True], [True, True, False, False]
    curve = accuracy_over_calls([0.9, 0.5, 0.5, 0.1], without, with_call)
    assert curve == [(0.0, 0.5), (0.25, 0.75), (0.75, 0.75), (1.0, 0.5)]
    assert [fewest(curve, accuracy) for accuracy in (0.4, 0.5, 0.6, 0.75, 0.8)] == [0.0, 0.0, 0.25, 0.25, None]
    assert accuracy_over_calls([], [], []) == []


def test_f1_is_the_harmonic_mean() -> None:
    assert f1(0.5, 1.0) == pytest.approx(2 / 3)
    assert f1(0.5, 0.5) == 0.5
    assert f1(0.0, 0.0) == 0.0
    assert f1(None, 0.5) is f1(0.5, None) is None
