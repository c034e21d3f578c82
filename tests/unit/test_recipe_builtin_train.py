"""How the built-in model's recipe trains: the same steps wherever it begins; and what checks the weights that ship."""

import os
import random
import shutil
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.builtin import batches, stories, together
from recipes.builtin.batches import BATCHES, POOL, TOKENS, Batch, encode, steps
from recipes.builtin.check import Figure, gains
from recipes.builtin.optim import orthogonal
from recipes.builtin.plain_model import SHIPPED, Model
from recipes.builtin.train import Recipe, Run, _tell, head_loss, loss_of, new_model
from recipes.builtin.twins import Twins


@cache
def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(SHIPPED)


@pytest.fixture(scope="module")
def shipped() -> Model:
    return Model(SHIPPED)


def test_pieces_keep_their_weights() -> None:
    tokenizer = _tokenizer()
    ids, weights = encode(tokenizer, [("Input: a", 0.0), (" 725", 4.0), ("", 9.0)])
    assert tokenizer.decode(ids[1:-1]) == "Input: a 725"
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert weights[-2:] == [4.0, 0.5]


def test_a_step_has_the_same_batches_wherever_the_run_begins() -> None:
    tokenizer = _tokenizer()
    whole = list(steps(tokenizer, (), 0, 0, POOL + 2))
    late = list(steps(tokenizer, (), 0, POOL - 1, POOL + 2))
    assert len(whole) == POOL + 2
    for one, other in zip(whole[POOL - 1 :], late, strict=True):
        assert all(torch.equal(a.ids, b.ids) for a, b in zip(one, other, strict=True))


def test_batches_are_full_and_leave_no_text_out(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def seen(*asked: Any, **more: Any) -> tuple[list[int], list[float]]:
        row = encode(*asked, **more)
        drawn.append(len(row[0]))
        return row

    monkeypatch.setattr(batches, "encode", seen)
    made = [batch for step in steps(_tokenizer(), (), 0, 0, POOL) for batch in step]
    assert len(made) == POOL * BATCHES
    assert sorted(drawn) == sorted(int(n) for batch in made for n in (batch.ids != _tokenizer().pad_token_id).sum(1))
    sizes = [batch.ids.numel() for batch in made]
    assert TOKENS < sum(sizes) / len(sizes) < 1.15 * TOKENS
    assert max(sizes) < 2 * TOKENS
    assert sum(drawn) > 0.9 * POOL * BATCHES * TOKENS


def test_the_vocabulary_is_asked_only_where_a_token_counts() -> None:
    asked: list[int] = []

    def last(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        asked.append(len(hidden))
        return head_loss(hidden, head, targets, weights)

    torch.manual_seed(0)
    model = new_model(_tokenizer(), Recipe(hidden=16, layers=1, heads=2, inner=16))
    ids, weights = torch.randint(0, 100, (2, 6)), torch.tensor([[0, 0, 1, 0, 4, 0], [0.5, 0, 0, 0, 0, 2]])
    loss = loss_of(model.model, last, model.lm_head.weight, Batch(ids, weights))
    each = -model(ids).logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    assert asked == [3]
    assert torch.allclose(loss, (each * weights[:, 1:]).sum(), atol=1e-4)


def test_the_learning_rate_does_not_depend_on_the_length_of_the_run_until_it_falls() -> None:
    short, long = Recipe(tokens=4_000_000), Recipe(tokens=9_000_000)
    assert [short.rate(s) for s in range(200)] == [long.rate(s) for s in range(200)]
    assert short.rate(0) < short.rate(30) < short.rate(100) == 1.0
    assert 0 < long.rate(long.steps - 1) < 0.01


def test_muon_brings_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((2, 24, 24), (1, 16, 40), (1, 40, 16)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.median() > 0.6
        assert values.max() < 1.3


def test_twins_stay_one_vector_apart_and_share_what_they_learn() -> None:
    table = torch.nn.Parameter(torch.randn(6, 4))
    twins = Twins(table, {"7": 0, "Ġ7": 1, "Oslo": 2, "ĠOslo": 3, "s": 4, "Ġs": 5})
    before = table.detach().clone()
    twins.join()
    assert torch.allclose(table[0] - table[1], table[2] - table[3])
    assert torch.allclose(twins.offset, ((before[0] - before[1]) + (before[2] - before[3])) / 2)
    assert torch.equal(table[[1, 3, 4, 5]], before[[1, 3, 4, 5]])
    torch.autograd.backward(table[:2].sum())
    twins.gather()
    assert table.grad is not None
    assert twins.offset.grad is not None
    assert table.grad.sum(1).tolist() == [0, 8, 0, 0, 0, 0]
    assert twins.offset.grad.tolist() == [1, 1, 1, 1]


def trained(out: Path, steps_: int, workers: int = 1) -> dict[str, torch.Tensor]:
    """The weights of a tiny run after so many steps; it goes on where the folder's last one ended."""
    out.mkdir(exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SHIPPED / file, out)
    recipe = Recipe(tokens=steps_ * TOKENS * BATCHES, hidden=16, layers=1, heads=2, inner=16, warmup=2, decay=0.0)
    together.start(workers, partial(_tell, recipe, [], Run(out, resume=True, compiled=False)))
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    assert state["step"] == steps_
    return dict(state["model"])


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    straight = trained(tmp_path / "straight", 4)
    halfway = trained(tmp_path / "halted", 2)
    resumed = trained(tmp_path / "halted", 4)
    assert not torch.equal(halfway["model.embed_tokens.weight"], resumed["model.embed_tokens.weight"])
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def test_every_process_gets_the_sum_of_all_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, bias, unused = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((2, 2), (1,), (3,)))
    weights.grad, bias.grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([5.0])
    parameters = [weights, bias, unused]
    assert together.add_up(parameters, 0.5) == 0.5  # alone
    theirs = torch.tensor([10.0, 20, 30, 40, 50, 0, 0, 60, 0.25])
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda flat: flat.add_(theirs))
    assert together.add_up(parameters, 0.5) == 0.75
    assert weights.grad.tolist() == [[11, 22], [33, 44]]
    assert bias.grad.tolist() == [55]
    assert unused.grad is not None
    assert unused.grad.tolist() == [0, 0, 60]


def test_processes_get_jemalloc_where_it_is_and_a_word_where_it_is_not(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for library, preloaded in (("libm.so.6", "libm.so.6"), (None, "nothing")):
        monkeypatch.delenv("LD_PRELOAD", raising=False)
        monkeypatch.setattr(together, "find_library", lambda name, found=library: found)
        together.start(2, print_preloaded)
        out = capfd.readouterr().out
        assert out.count(f"preloaded: {preloaded}") == 2
        assert ("jemalloc is not installed" in out) == (library is None)
        assert "LD_PRELOAD" not in os.environ
    monkeypatch.setenv("LD_PRELOAD", "libc.so.6")  # who has chosen already
    for library in ("libm.so.6", None):
        monkeypatch.setattr(together, "find_library", lambda name, found=library: found)
        together.start(2, print_preloaded)
        assert sorted(capfd.readouterr().out.splitlines()) == ["preloaded: libc.so.6"] * 2


def print_preloaded() -> None:
    # One write: what two processes print at once could be mixed up.
    os.write(1, f"preloaded: {os.environ.get('LD_PRELOAD', 'nothing')}\n".encode())
    together.wait()


def test_two_processes_make_the_steps_of_one(tmp_path: Path) -> None:
    alone = trained(tmp_path / "alone", 1)
    both = trained(tmp_path / "both", 1, workers=2)
    for name, weight in alone.items():
        # A step moves most weights by the learning rate: 0.02 and less. In bf16, sums in another order differ.
        assert (both[name] - weight).abs().mean() < 2e-4, name


def test_the_shipped_model_uses_a_right_result_and_not_a_wrong_one(shipped: Model) -> None:
    rng = random.Random(5)
    passages = [stories.story(rng, "held") for _ in range(20)]
    results = [passage.calls[0].result for passage in passages]
    right = gains(shipped, passages, results, "Calculator")
    wrong = gains(shipped, passages, results[1:] + results[:1], "Calculator")
    assert sum(gain >= 0.5 for gain in right) >= 14
    assert sum(gain >= 0.5 for gain in wrong) <= 3


def test_a_row_says_whether_its_floor_is_met() -> None:
    assert str(Figure("x", 0.9, 0.85)).endswith("ok")
    assert str(Figure("x", 0.8, 0.85)).endswith("MISSED")
    assert str(Figure("x", 0.04, 0.05, most=True)).endswith("ok")
    assert str(Figure("x", 0.06, 0.05, most=True)).endswith("MISSED")
    assert str(Figure("x", 0.06, None)).endswith("6.0%")
