"""The choice of a token: the right distribution, the nucleus, randomness of a draw alone; where a sample ends."""

from collections import Counter

import pytest
import torch

from tests import tiny_models
from toolformer.hf.encode import Codec
from toolformer.hf.sampling import Ends, Request, choose, uniform


def test_numbers_depend_on_seed_and_step_alone() -> None:
    assert uniform(7, 0) == uniform(7, 0)
    assert len({uniform(seed, step) for seed in range(20) for step in range(20)}) == 400
    assert all(0 < uniform(seed, 0) < 1 for seed in range(1000))


def test_the_cumulated_distribution_is_inverted_in_id_order() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    numbers = [0.0001, 0.1999, 0.2001, 0.6999, 0.7001, 0.9999]
    assert choose(logits, [numbers], 1.0, 1.0) == [[0, 0, 1, 1, 2, 2]]


def test_frequencies_are_probabilities() -> None:
    logits = torch.tensor([[0.1, 0.6, 0.3]]).log()
    chosen = Counter(choose(logits, [[uniform(seed, 3) for seed in range(4000)]], 1.0, 1.0)[0])
    assert [chosen[token] / 4000 for token in range(3)] == pytest.approx([0.1, 0.6, 0.3], abs=0.03)


def test_an_impossible_token_is_never_chosen() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    assert choose(logits, [[1e-12, 0.4999999, 0.5, 1 - 1e-12]], 1.0, 1.0) == [[1, 1, 3, 3]]


def test_temperature() -> None:
    logits = torch.tensor([[0.2, 0.8]]).log()
    # At 1/2 the shares are squared: 0.04 and 0.64, so the border is at 1/17.
    assert choose(logits, [[0.058, 0.059]], 0.5, 1.0) == [[0, 1]]
    assert choose(logits, [[0.01, 0.99]], 0.0, 1.0) == [[1, 1]]


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()
    # 0.4 + 0.3 reaches 0.7: ids 1 and 3 remain, with the border at 4/7.
    assert choose(logits, [[0.01, 0.57, 0.572, 0.99]], 1.0, 0.69) == [[1, 1, 3, 3]]
    assert choose(logits, [[0.01, 0.99]], 1.0, 0.01) == [[1, 1]]


def test_rows_may_have_different_numbers_and_nan_is_no_token() -> None:
    logits = torch.tensor([[0.5, 0.5], [torch.nan, 0.0], [0.5, 0.5]])
    assert choose(logits, [[0.1], [0.1, 0.9], [0.9, 0.1, 0.9]], 1.0, 1.0) == [[0], [-1, -1], [1, 0, 1]]


def test_a_sample_ends_where_the_context_is_full() -> None:
    ends = Ends(Codec(tiny_models.tokenizer(), "tiny"), Request((5,), (")",), 10, 1.0, 1.0))
    assert ends.sample((40,), full=False, ended=False) is None
    ended = ends.sample((40,), full=True, ended=False)
    assert ended is not None
    assert (ended.stopped, ended.tokens) == (False, 1)
