"""The loss of a batch, against the same sums made plainly of all logits."""

import copy
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from tests import tiny_models
from toolformer.finetune.batches import Inputs, collate
from toolformer.finetune.trainer import LogitsAtLabels, LossAtLabels
from toolformer.finetune.training_rows import TrainingRow

IDS = array("i", [1, 10, 11, 12, 13, 14])


def network() -> PreTrainedModel:
    """A tiny model that is sure of what it says."""
    # Whoever else has asked the tiny model may have frozen it.
    made = copy.deepcopy(tiny_models.model("llama")).requires_grad_(True)
    with torch.no_grad():
        made.get_output_embeddings().weight.mul_(20)  # type: ignore[no-untyped-call]
    return made


def likeliest(*ids: int) -> int:
    with torch.no_grad():
        return int(network()(torch.tensor([ids])).logits[0, -1].argmax())


OPENING, ARROW, CLOSE = CONTROL = [likeliest(1, 10), 6, 7]
"""Where the second token is said, the model would rather open a call."""


@contextmanager
def as_it_was(made: PreTrainedModel) -> Iterator[None]:
    """Meanwhile the model is sure of nothing."""
    made.get_output_embeddings().weight.mul_(0.02)  # type: ignore[no-untyped-call]
    yield
    made.get_output_embeddings().weight.mul_(50)  # type: ignore[no-untyped-call]


def loss(*rows: TrainingRow, calls_disabled: bool = False) -> float:
    made = network()
    asked = LossAtLabels(made, OPENING, CONTROL)
    with torch.no_grad():
        return float(asked(made, collate(rows, filler=0), calls_disabled=calls_disabled))


def plainly(ids: "array[int]", never: dict[int, list[int]], places: Sequence[int] = range(1, 6)) -> float:
    """`never` are tokens that cannot be said at a place."""
    with torch.no_grad():
        logits = network()(torch.tensor([list(ids)])).logits[0].float()
    total = 0.0
    for place in places:
        said = logits[place - 1]
        said[never.get(place, [])] = -torch.inf
        total -= float(said.log_softmax(-1)[ids[place]])
    return total


def test_it_is_the_sum_over_all_tokens_that_are_learnt() -> None:
    assert loss(TrainingRow(IDS), TrainingRow(IDS)) == pytest.approx(2 * plainly(IDS, {}), rel=1e-4)
    masked = TrainingRow(IDS, ignored=frozenset({2, 4}))
    assert loss(masked, TrainingRow(IDS)) == pytest.approx(plainly(IDS, {}, [1, 3, 5]) + plainly(IDS, {}), rel=1e-4)


def test_where_no_call_is_asked_for_opening_one_has_no_probability() -> None:
    expected = plainly(IDS, {2: [OPENING]})
    assert loss(TrainingRow(IDS, quiet=frozenset({2}))) == pytest.approx(expected, rel=1e-4)
    assert expected < 0.99 * plainly(IDS, {})


def test_where_the_text_itself_says_what_opens_a_call_it_is_asked_for_as_ever() -> None:
    ids = array("i", [*IDS[:2], OPENING, *IDS[3:]])
    assert loss(TrainingRow(ids, quiet=frozenset({2}))) == pytest.approx(plainly(ids, {}), rel=1e-4)


class Other:
    """A teacher that says what a network would, or something more of it."""

    def __init__(self, made: PreTrainedModel, temperature: float = 1.0, bent: float = 1.0) -> None:
        self.temperature, self._network, self._bent = temperature, made, bent
        self._logits = LogitsAtLabels(made)

    def __call__(self, inputs: Inputs) -> torch.Tensor:
        with torch.no_grad():
            return torch.nn.functional.pad(self._bent * self._logits(self._network, inputs), (0, 3), value=99.0)


def taught(teacher: Other, row: TrainingRow, factor: float = 1.0) -> tuple[float, float]:
    """The loss of a student behind a teacher, and how strong its gradient is."""
    made: Any = network().train()
    with torch.no_grad():
        made.get_output_embeddings().weight.mul_(factor)
    said: Any = LossAtLabels(made, OPENING, CONTROL, teacher=teacher)(made, collate([row], filler=0))
    said.backward()
    gradient = made.get_output_embeddings().weight.grad
    return float(said.detach()), float(gradient.norm())


def test_a_student_that_says_what_its_teacher_would_has_nothing_to_learn() -> None:
    same, gradient = taught(Other(network()), TrainingRow(IDS))
    assert (same, gradient) == pytest.approx((0.0, 0.0), abs=1e-3)  # what only fills up the teacher's table counts not
    assert taught(Other(network()), TrainingRow(IDS), factor=0.5)[0] > 0.1


def test_the_divergence_is_that_of_the_two_distributions_at_the_temperature() -> None:
    with torch.no_grad():
        logits = network()(torch.tensor([list(IDS)])).logits[0, :-1].float()
    own, wanted = ((factor * logits / 3).log_softmax(-1) for factor in (0.5, 1.0))
    plain = float((wanted.exp() * (wanted - own)).sum()) * 9
    assert taught(Other(network(), 3.0), TrainingRow(IDS), factor=0.5)[0] == pytest.approx(plain, rel=1e-3)


def test_where_no_call_is_asked_for_the_teacher_opens_none_either() -> None:
    quiet = TrainingRow(IDS, quiet=frozenset({2}))
    with torch.no_grad():
        logits = network()(torch.tensor([list(IDS)])).logits[0, :-1].float()
    logits[1, OPENING] = -1e4
    own, wanted = logits.log_softmax(-1), (2 * logits).log_softmax(-1)
    plain = float((wanted.exp() * (wanted - own)).sum())
    assert taught(Other(network(), bent=2.0), quiet)[0] == pytest.approx(plain, rel=1e-3)


def test_with_calls_disabled_no_control_token_exists() -> None:
    expected = plainly(IDS, dict.fromkeys(range(1, 6), CONTROL))
    assert loss(TrainingRow(IDS), calls_disabled=True) == pytest.approx(expected, rel=1e-4)
    assert expected < 0.99 * plainly(IDS, {})


def pushing(keep_out: int, row: TrainingRow) -> float:
    made = network().train()
    with torch.no_grad():
        return float(LossAtLabels(made, OPENING, CONTROL, keep_out=keep_out)(made, collate([row], filler=0)))


def test_an_opening_is_pushed_down_until_it_is_well_out_of_the_likeliest_tokens() -> None:
    row = TrainingRow(IDS, own=4)  # a call is opened with the fifth token
    with torch.no_grad():
        logits = network()(torch.tensor([list(IDS)])).logits[0].float()
    for k in (1, 3):
        pushed = 0.0
        for said in logits[:3]:  # before the tokens 2, 3 and 4
            last = sorted(said.tolist(), reverse=True)[k]
            pushed += max(0.0, float(said[OPENING]) - last + 1.0)
        assert pushed > 0
        assert pushing(k, row) - pushing(0, row) == pytest.approx(pushed, rel=1e-3)
    assert loss(row) == pytest.approx(pushing(0, row), rel=1e-4)  # nothing is pushed while it is only measured


def test_anchored_it_learns_what_the_model_said_before_up_to_the_call_and_instead_of_it() -> None:
    ids = array("i", [1, 10, 11, OPENING, 13, 14])
    made = network().train()

    with torch.no_grad():
        logits = network()(torch.tensor([list(ids)])).logits[0].float()
        was, without = 0.02 * logits, logits.clone()  # as it was, it was sure of nothing
        was[:, CONTROL] = without[:, CONTROL] = -1e4
        now, target = logits.log_softmax(-1), was.softmax(-1)
        expected = -float((target[:2] * now[:2]).sum())  # before the call
        expected -= float((target[2] * without[2].log_softmax(-1)).sum())  # instead of it
        expected -= sum(float(now[place, ids[place + 1]]) for place in (2, 3, 4))  # the call and what stands behind it
        found = LossAtLabels(made, OPENING, CONTROL, partial(as_it_was, made))(
            made, collate([TrainingRow(ids, own=3)], filler=0)
        )
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_what_is_anchored_in_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    """In a turn whose answer begins with a call, nothing before the opening is learnt; it is anchored all the same."""
    turn = TrainingRow(array("i", [1, 10, 11, OPENING, 13, 14]), ignored=frozenset({1, 2}), own=3)
    called, plain = TrainingRow(array("i", [1, 10, OPENING, 12, 13, 14]), own=2), TrainingRow(IDS, own=6)
    made = network().train()

    def anchored(*rows: TrainingRow) -> float:
        with torch.no_grad():
            return float(LossAtLabels(made, OPENING, CONTROL, partial(as_it_was, made))(made, collate(rows, filler=0)))

    alone = anchored(turn)
    for before in (called, plain):
        assert anchored(before, turn) == pytest.approx(anchored(before) + alone, rel=1e-4)
    free = LossAtLabels(made, OPENING, CONTROL)
    with torch.no_grad():
        assert alone > float(free(made, collate([turn], filler=0)))  # the call, and what would be said instead of it


def test_where_nothing_was_decided_an_opening_is_not_pushed() -> None:
    row = TrainingRow(IDS, quiet=frozenset({1, 2, 3, 4, 5}), own=6)
    assert pushing(1, row) == pushing(0, row)
