"""Half precision, asked exactly: the answers of the same weights in fp32, at the price of one block's memory."""

import copy
import random
from collections.abc import Callable

import pytest
import torch

from tests import tiny_models
from tests.plain_lm import KINDS
from tests.unit.test_lm_equal import ids
from toolformer import Call, CallSyntax
from toolformer.data_gen import Document, Lesson
from toolformer.data_gen.records import Candidate, EncodedText, Place
from toolformer.data_gen.score import Scorer
from toolformer.hf.encode import Codec
from toolformer.hf.transformers_model import CausalModel, Seq2SeqModel
from toolformer.lm import Window


def ports(kind: str, dtype: torch.dtype) -> tuple[CausalModel | Seq2SeqModel, CausalModel | Seq2SeqModel]:
    """A model in half precision, and the same weights in fp32."""
    half = copy.deepcopy(tiny_models.model(kind)).to(dtype)  # type: ignore[arg-type]
    made = Seq2SeqModel if kind in tiny_models.SEQ2SEQ else CausalModel
    codec = Codec(tiny_models.tokenizer(), kind)
    return made(half, codec, kind, kind), made(copy.deepcopy(half).float(), codec, kind, kind)


def windows(seed: int) -> list[Window]:
    rng = random.Random(seed)
    text = ids(rng, 20)
    return [Window(prefix, text, i) for prefix in ((), ids(rng, 8), ids(rng, 3)) for i in (0, 3, 10, 18, 19)]


def out_of_memory(*_: object) -> None:
    raise MemoryError


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_what_fp32_answers(kind: str) -> None:
    half, full = ports(kind, torch.bfloat16)
    assert (half.rounding > 0, full.rounding) == (True, 0.0)
    asked = windows(3)
    exact = full.window_losses(asked)
    assert half.window_losses(asked, exact=True) == pytest.approx(exact, abs=1e-4)
    assert full.window_losses(asked, exact=True) == exact
    off = max(abs(a - b) for a, b in zip(half.window_losses(asked), exact, strict=True))
    assert off > 1e-3, "bf16 is as good: this shows nothing"


def test_float16_too() -> None:
    half, full = ports("llama", torch.float16)
    assert half.window_losses(windows(5), exact=True) == pytest.approx(full.window_losses(windows(5)), abs=1e-4)


def test_the_weights_are_what_they_were_whatever_happens() -> None:
    half, _ = ports("gemma2", torch.bfloat16)
    model = half._network.model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    places = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    narrow = half.window_losses(windows(6))
    half.window_losses(windows(6), exact=True)
    fault = model.model.layers[1].mlp.register_forward_hook(out_of_memory)
    with pytest.raises(MemoryError):
        half.window_losses(windows(6), exact=True)
    fault.remove()
    assert {name: parameter.data_ptr() for name, parameter in model.named_parameters()} == places
    assert all(tensor.dtype == before[name].dtype for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert half.window_losses(windows(6)) == narrow


def test_no_more_than_a_block_is_wide_at_a_time() -> None:
    half, _ = ports("llama", torch.bfloat16)
    model = half._network.model
    wide: set[int] = set()

    def look(*_: object) -> None:
        wide.add(sum(p.dtype == torch.float32 for p in model.parameters()))

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(look)
    half.window_losses(windows(7), exact=True)
    blocks = [len(list(block.parameters())) for block in model.model.layers]
    assert max(wide) == max(blocks)


def test_the_decisions_are_those_of_fp32() -> None:
    """Thresholds right at the gains that fp32 finds: half precision alone would get many wrong."""
    half, full = ports("llama", torch.bfloat16)
    documents = [
        Document(str(n), f"There are {n} boxes and {n + 2} cats in the house, {2 * n + 2} in all.") for n in range(3)
    ]

    def gains(model: CausalModel | Seq2SeqModel, needed: float) -> list[float]:
        lesson = Lesson("Calculator", "Add.", ("1 + 1 is {1 + 1} 2.",), filtering_threshold=needed)
        plain = model.log_probabilities([model.encode(one.text).ids for one in documents])
        texts = [
            EncodedText(one, model.encode(one.text), tuple(said)) for one, said in zip(documents, plain, strict=True)
        ]
        calls = [
            Candidate(Place(text, "Calculator", position, None), Call("Calculator", "1 + 1", str(position)))
            for text in texts
            for position in range(0, 16, 3)
        ]
        return [one.gain for one in Scorer(model, CallSyntax.TEXT).score(calls, {"Calculator": lesson}, [])]

    exact = gains(full, -9.0)
    assert len(exact) == 18
    wrong_alone = 0
    for needed in sorted(exact)[::3]:
        needed += 1e-3  # rounding of fp32 itself
        kept = [gain >= needed for gain in gains(full, needed)]
        assert [gain >= needed for gain in gains(half, needed)] == kept
        wrong_alone += [gain >= needed for gain in _without_asking_again(half, gains, needed)] != kept
    assert wrong_alone


def _without_asking_again(
    half: CausalModel | Seq2SeqModel, gains: Callable[[CausalModel | Seq2SeqModel, float], list[float]], needed: float
) -> list[float]:
    rounding, half.rounding = half.rounding, 0.0
    try:
        return gains(half, needed)
    finally:
        half.rounding = rounding
