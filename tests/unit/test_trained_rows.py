"""Trained tokens beside the table: the same as in a copy of it, in what is said and in what is learnt."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer

from tests.finetune_texts import SMALL, saved
from toolformer.finetune.prepare import Prepared, prepare
from toolformer.loading import Loading

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def said_and_learnt(prepared: Prepared, ids: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model: Any = prepared.model
    model.zero_grad()
    logits: torch.Tensor = model(input_ids=ids).logits
    torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).backward()  # type: ignore[no-untyped-call]
    return logits.detach(), {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_it_is_as_if_they_were_in_the_table(kind: str, tmp_path: Path) -> None:
    prepared = prepare(saved(kind, tmp_path / kind), SMALL, Loading(dtype="float32"))
    layers = [one for one in prepared.model.modules() if isinstance(one, TrainableTokensLayer)]
    assert len(layers) == 2
    with torch.no_grad():
        for layer in layers:
            layer.trainable_tokens_delta["default"].normal_()
    trained = layers[0].token_indices["default"]
    ids = torch.tensor([[5, trained[0], 7, trained[1], 9, trained[2], 11]])
    ours, learnt = said_and_learnt(prepared, ids)
    for layer in layers:
        del layer.forward_adapters  # peft's own
    theirs, by_peft = said_and_learnt(prepared, ids)
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert learnt.keys() == by_peft.keys()
    assert all(torch.allclose(learnt[name], by_peft[name], atol=1e-5) for name in learnt)
    assert any("trainable_tokens_delta" in name for name in learnt)


def test_without_its_adapter_the_model_is_as_it_was(tmp_path: Path) -> None:
    prepared = prepare(saved("llama", tmp_path / "llama"), SMALL, Loading(dtype="float32"))
    layer = next(one for one in prepared.model.modules() if isinstance(one, TrainableTokensLayer))
    ids = torch.tensor([[5, layer.token_indices["default"][0], 7]])
    model: Any = prepared.model
    with torch.no_grad(), model.disable_adapter():
        before = model(input_ids=ids).logits
        layer.trainable_tokens_delta["default"].normal_()
        assert torch.equal(model(input_ids=ids).logits, before)
    assert not torch.equal(model(input_ids=ids).logits, before)
