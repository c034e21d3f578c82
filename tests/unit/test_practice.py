"""`Practice`: what GRPOTrainer gets from our decoder, and that a model learns from it."""

import math
from pathlib import Path

import pytest
import torch
from datasets import Dataset

from toolformer.decode.options import Options
from toolformer.errors import ConfigError
from toolformer.finetune.practice import Practice, thrifty
from toolformer.hf import load
from toolformer.tools.calculator import Calculator

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:You are using 'rollout_func':UserWarning"),
]
PROMPT = "There are 8 boxes with 76 oranges in each, so there are"
SAMPLED = Options(max_new_tokens=8, do_sample=True, temperature=0.5)


@pytest.fixture
def practice() -> Practice:
    return Practice("builtin-tools", [Calculator()], k=(0, 10), options=SAMPLED)


def test_answers_to_one_prompt_take_turns_over_the_ranks_and_results_are_not_learnt(practice: Practice) -> None:
    with practice:
        out = practice.rollout([PROMPT] * 4, None)
    assert out["calls"] == [0, 1, 0, 1]
    decode = practice.tokenizer.decode
    for ids, own, calls, text in zip(out["completion_ids"], out["env_mask"], out["calls"], out["text"], strict=True):
        assert len(ids) == len(own)
        theirs = decode([one for one, mine in zip(ids, own, strict=True) if not mine])
        assert ("608" in theirs) == bool(calls)
        assert ("<API>" in decode(ids)) == bool(calls)
        assert "<API>" not in text
    assert decode(out["prompt_ids"][0]).endswith(PROMPT)


def test_answers_differ_from_one_time_to_the_next(practice: Practice) -> None:
    with practice:
        first, second = (practice.rollout([PROMPT] * 4, None)["text"] for _ in range(2))
    assert first != second


def test_a_reward_is_less_for_each_call(practice: Practice) -> None:
    with practice:
        reward = practice.reward(lambda text, answer: float(answer in text))
    given = reward(text=["608", "608", "607"], calls=[0, 1, 0], answer=["608"] * 3, prompts=[], completions=[])
    assert given == pytest.approx([1, math.cos(math.pi / 6), 0])
    assert [round(thrifty(1, calls), 2) for calls in range(5)] == [1, 0.87, 0.71, 0.59, 0.5]


def test_a_few_steps_of_grpo_change_the_adapter_alone(practice: Practice, tmp_path: Path) -> None:
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    rows = [{"prompt": PROMPT.replace("8", str(n)), "answer": str(n * 76)} for n in (7, 8)]
    frozen = {name: value.clone() for name, value in practice.model.named_parameters() if not value.requires_grad}
    learnt = {name: value.clone() for name, value in practice.model.named_parameters() if value.requires_grad}
    trainer = GRPOTrainer(
        model=practice.model,
        processing_class=practice.tokenizer,
        rollout_func=practice.rollout,
        reward_funcs=practice.reward(lambda text, answer: float(answer in text)),
        train_dataset=Dataset.from_list(rows),
        args=GRPOConfig(
            str(tmp_path), max_steps=2, num_generations=4, per_device_train_batch_size=8, learning_rate=1e-2,
            report_to="none", use_cpu=True, disable_tqdm=True, save_strategy="no", logging_steps=1, bf16=False,
        ),
    )  # fmt: skip
    trainer.train()
    now = dict(practice.model.named_parameters())
    assert all(torch.equal(now[name], value) for name, value in frozen.items())
    assert any(not torch.equal(now[name], value) for name, value in learnt.items())
    assert any(line.get("reward", 0) > 0 for line in trainer.state.log_history)
    practice.save(tmp_path / "better")
    practice.close()
    saved, begun = load(str(tmp_path / "better"), dtype="float32"), load("builtin-tools", dtype="float32")
    ids = saved.encode(PROMPT).ids
    assert not torch.equal(saved.rows([ids]).logits, begun.rows([ids]).logits)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"k": ()}, "k names no rank"),
        ({"options": Options()}, "one and the same"),
        ({"name_or_path": "builtin"}, "has not learnt to call"),
    ],
)
def test_what_could_teach_nothing_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Practice(**{"name_or_path": "builtin-tools", "tools": [], **wrong})  # type: ignore[arg-type]


def test_the_turns_of_a_chat_are_refused(practice: Practice) -> None:
    with practice, pytest.raises(ConfigError, match="a prompt is a text here, not a list"):
        practice.rollout([[{"role": "user", "content": "Hi"}]], None)  # type: ignore[list-item]
