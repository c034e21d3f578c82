"""Training: what is learnt, kept and written, and that others can load it. Tiny random models, real trainers."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from tests import tiny_models
from tests.finetune_texts import SMALL, saved, texts, trained
from toolformer.calls import CallSyntax, Part
from toolformer.errors import ConfigError, DataError
from toolformer.finetune import TrainConfig, Trained, train
from toolformer.finetune.batches import IGNORED, collate
from toolformer.finetune.mixture import Mixture, choose, make_rows
from toolformer.finetune.training_rows import RowMaker, TrainingRow
from toolformer.hf import load
from toolformer.hf.encode import Codec
from toolformer.lm import syntax_of
from toolformer.loading import Loading

# peft asks transformers in a way that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
CONTROL = [Part(token, control=True) for token in CallSyntax.TOKENS.control_tokens]


def mixture(out: Path, config: TrainConfig = SMALL, *, decoder_start: int | None = None) -> Mixture:
    """The rows of a run, made again with the tokenizer that it wrote."""
    codec = Codec(AutoTokenizer.from_pretrained(out), "run")
    syntax = CallSyntax.TEXT if config.how == "prompt" or config.control else CallSyntax.TOKENS
    most = 44 if config.how == "prompt" else 64
    return make_rows(choose(texts(), (), config), RowMaker(codec, syntax, most, decoder_start=decoder_start), config)


def perplexity(model: torch.nn.Module, rows: list[TrainingRow]) -> float:
    """That of rows, by transformers alone."""
    losses = []
    for row in rows:
        inputs = collate([row], filler=0)
        labels = inputs.pop("labels")[0]
        del inputs["quiet"], inputs["own"]
        with torch.no_grad():
            logits = model.eval()(**inputs).logits[0, -len(labels) :]
        losses.append(cross_entropy(logits.float(), labels, reduction="none", ignore_index=IGNORED))
    return math.exp(float(torch.cat(losses).mean()))


def loaded_plainly(base: str, out: Path) -> Any:
    """The run's model as anyone without this package loads it."""
    seq2seq = "t5" in base or "bart" in base
    kind = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    if not (out / "adapter_config.json").exists():
        return kind.from_pretrained(out)
    model: Any = kind.from_pretrained(base)
    if len(AutoTokenizer.from_pretrained(out)) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(AutoTokenizer.from_pretrained(out)), mean_resizing=False)
    return PeftModel.from_pretrained(model, out)


def check_written(base: str, out: Path, done: Trained, config: TrainConfig) -> None:
    """What was measured last in training is what the written files say."""
    model = loaded_plainly(base, out)
    start = getattr(model.config, "decoder_start_token_id", None) if model.config.is_encoder_decoder else None
    rows = [*mixture(out, config, decoder_start=start).held_calls]
    assert perplexity(model, rows) == pytest.approx(done.perplexity["calls"], rel=1e-4)
    assert done.perplexity["calls"] < 0.97 * done.before["calls"]
    if start is None:
        ours = load(str(out))
        said = [p for row in rows for p in ours.log_probabilities([tuple(row.ids[1:])])[0]]
        assert math.exp(-sum(said) / len(said)) == pytest.approx(done.perplexity["calls"], rel=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gptj", "opt", "gemma2", "t5", "bart"])
def test_lora(kind: str, tmp_path: Path) -> None:
    base, out = saved(kind, tmp_path / kind), tmp_path / "run"
    config = replace(SMALL, learning_rate=3e-2 if kind == "t5" else 1e-2, keep="last", steps=8)
    done = trained(base, out, config)
    check_written(base, out, done, config)
    assert syntax_of(load(str(out))) == CallSyntax.TOKENS
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", "README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "training.json",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5", "bart"])
def test_the_call_tokens_are_learnt_where_they_are_read_and_where_they_are_said(kind: str, tmp_path: Path) -> None:
    base, out = saved(kind, tmp_path / kind), tmp_path / "run"
    trained(base, out, replace(SMALL, learning_rate=1e-2, keep="last"))
    model = loaded_plainly(base, out)
    inner = model.get_base_model()
    ids = torch.tensor(Codec(AutoTokenizer.from_pretrained(out), "run").encode_parts(CONTROL))
    like = torch.tensor(Codec(tiny_models.tokenizer(), "base").encode_parts([Part(" ["), Part(" ->"), Part("]")]))
    before: Any = tiny_models.model(kind)
    read = inner.get_input_embeddings()(ids)
    width = read.shape[1]
    said = inner.get_output_embeddings()(torch.eye(width))[:, ids].T
    for now, table in ((read, before.get_input_embeddings()), (said, before.get_output_embeddings())):
        began = table.weight[like[[0, -1]]]
        off = (now[[0, 2]] - began).norm(dim=1) / began.norm(dim=1)
        assert bool((off > 1e-3).all()), "it was trained"
        assert bool((off < 0.5).all()), "it began as the text's own marker"


def test_all_weights(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    base, out = saved("llama", tmp_path / "llama"), tmp_path / "run"
    config = replace(SMALL, how="full", learning_rate=3e-3, keep="last", steps=6)
    capfd.readouterr()
    done = trained(base, out, config)
    assert capfd.readouterr().err == "", "no library shows bars of its own"
    check_written(base, out, done, config)
    assert syntax_of(load(str(out))) == CallSyntax.TOKENS
    assert loaded_plainly(base, out).config.use_cache


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_learned_prompt_writes_calls_as_text(kind: str, tmp_path: Path) -> None:
    base, out = saved(kind, tmp_path / kind), tmp_path / "run"
    config = replace(SMALL, how="prompt", learning_rate=1.0, keep="last", steps=12)
    done = trained(base, out, config)
    check_written(base, out, done, config)
    assert syntax_of(load(str(out))) == CallSyntax.TEXT


@pytest.mark.parametrize("quantize", ["nf4", "int8"])
def test_qlora(quantize: Literal["nf4", "int8"], tmp_path: Path) -> None:
    base, out = saved("llama", tmp_path / "llama"), tmp_path / "run"
    config = replace(SMALL, learning_rate=1e-2, keep="last", steps=6)
    done = train(texts(), out, model=base, config=config, loading=Loading(quantize=quantize))
    assert done.perplexity["calls"] < 0.9 * done.before["calls"]
    assert load(str(out), quantize=quantize).context == 63
    assert perplexity(loaded_plainly(base, out), [*mixture(out).held_calls]) < done.before["calls"]


def log(out: Path) -> list[tuple[int, float]]:
    lines = json.loads((out / "training.json").read_text())["log"]
    return [(line["step"], line.get("loss", line.get("eval_loss"))) for line in lines]


@pytest.mark.parametrize("kind", ["llama", "gpt_neox", "gemma2"])
def test_packing_changes_nothing_but_speed(kind: str, tmp_path: Path) -> None:
    base = saved(kind, tmp_path / kind)
    still = replace(SMALL, device_batch=4)
    trained(base, tmp_path / "apart", still)
    trained(base, tmp_path / "packed", replace(still, pack=True))
    for (_, apart), (_, packed) in zip(log(tmp_path / "apart"), log(tmp_path / "packed"), strict=True):
        assert packed == pytest.approx(apart, abs=2e-5)


@pytest.mark.parametrize(("kind", "reason"), [("t5", "pack is for causal models"), ("opt", "see each other")])
def test_packing_where_texts_would_see_each_other_is_refused(kind: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=reason):
        trained(saved(kind, tmp_path / kind), tmp_path / "run", replace(SMALL, pack=True))


def test_checkpointed_gradients_change_nothing(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "llama")
    trained(base, tmp_path / "plain")
    trained(base, tmp_path / "again", replace(SMALL, checkpoint_gradients=True))
    assert [loss for _, loss in log(tmp_path / "again")] == pytest.approx([loss for _, loss in log(tmp_path / "plain")])


def test_adam_in_8_bits(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "llama")
    done = trained(base, tmp_path / "run", replace(SMALL, optimizer="adamw8bit", learning_rate=1e-2, keep="last"))
    assert done.perplexity["calls"] < done.before["calls"]


def test_a_control_run_has_the_same_texts_and_no_calls(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "llama")
    done = trained(base, tmp_path / "run", replace(SMALL, control=True))
    assert done.perplexity.keys() == {"plain"}
    assert syntax_of(load(str(tmp_path / "run"))) == CallSyntax.TEXT
    assert "as a control" in (tmp_path / "run" / "README.md").read_text()


def test_the_best_checkpoint_is_kept(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "llama")
    config = replace(SMALL, learning_rate=5e-2, steps=8, evaluate_every=1, keep="plain")
    done = trained(base, tmp_path / "run", config)
    lines = json.loads((tmp_path / "run" / "training.json").read_text())["log"]
    by_step = {line["step"]: line["eval_perplexity_plain"] for line in lines if "eval_loss" in line and line["step"]}
    assert done.step == min(by_step, key=by_step.__getitem__)
    assert done.perplexity["plain"] == by_step[done.step]
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_anchored_it_stays_what_it_was_where_it_does_not_call(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "llama")
    config = replace(SMALL, steps=16, learning_rate=2e-2, evaluate_every=16, keep="last")
    free, anchored = (trained(base, tmp_path / str(a), replace(config, anchor=a)) for a in (False, True))
    # What stands behind calls is learnt in any case, and rubs off on texts without.
    assert free.perplexity["plain"] < 0.2 * free.before["plain"]
    assert anchored.perplexity["plain"] > 0.5 * anchored.before["plain"]
    assert anchored.perplexity["calls"] < 0.9 * anchored.before["calls"]
    with pytest.raises(ConfigError, match="anchor needs the model as it was: it goes with how=lora, not full"):
        trained(base, tmp_path / "full", replace(config, anchor=True, how="full"))


def test_a_finished_run_is_not_done_again_and_other_settings_are_refused(tmp_path: Path) -> None:
    base, out = saved("llama", tmp_path / "llama"), tmp_path / "run"
    done = trained(base, out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert trained(base, out) == done
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with pytest.raises(DataError, match="made with other settings: steps was 4 and is 5"):
        trained(base, out, replace(SMALL, steps=5))
    with pytest.raises(DataError, match="made with other settings: data was"):
        trained(base, out, examples=texts(21))
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "thesis.tex").touch()
    with pytest.raises(DataError, match=r"holds something else \(thesis.tex\)"):
        trained(base, tmp_path / "else")


def test_a_corpus_of_another_model_is_used_only_knowingly(tmp_path: Path) -> None:
    base, out = saved("llama", tmp_path / "llama"), tmp_path / "run"
    right = load(base).fingerprint
    with pytest.raises(DataError, match=f"made with another model .*0badc0de.* has {right}.*allow any corpus"):
        train(texts(), out, model=base, config=SMALL, made_with="0badc0de")
    assert not out.exists()
    train(texts(), out, model=base, config=SMALL, made_with=right)


def test_a_corpus_of_the_same_model_in_another_precision_is_used(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "llama")
    made_with = load(base, dtype="bfloat16").fingerprint
    for number, loading in enumerate((Loading(), Loading(dtype="bfloat16"), Loading(quantize="int8", device="cpu"))):
        out = tmp_path / str(number)
        train(texts(), out, model=base, config=SMALL, loading=loading, made_with=made_with)
        assert json.loads((out / "training.json").read_text())["loading"]["dtype"] == loading.dtype
    with pytest.raises(DataError, match="made with other settings: dtype was"):
        train(texts(), out, model=base, config=SMALL, loading=Loading(dtype="float16", quantize="int8"))


@pytest.mark.parametrize(
    ("loading", "said"),
    [
        (Loading(dtype="bfloat61"), "no dtype is called 'bfloat61'"),
        (Loading(device="cuda:99"), "the device 'cuda:99' cannot be used"),
        (Loading(device="cpu:0"), "device=cpu:0: training takes all of them"),
    ],
)
def test_a_wrong_way_to_load_is_told_before_anything_is_written(tmp_path: Path, loading: Loading, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        train(texts(), tmp_path / "run", model="builtin", config=SMALL, loading=loading)
    assert not (tmp_path / "run").exists()


def test_an_adapter_goes_on_also_when_its_base_is_named(tmp_path: Path) -> None:
    base, first, second = saved("llama", tmp_path / "llama"), tmp_path / "first", tmp_path / "second"
    done = trained(base, first, replace(SMALL, learning_rate=1e-2, keep="last"))
    again = train(texts(), second, model=base, config=SMALL, loading=Loading(adapter=str(first)))
    assert again.before == pytest.approx(done.perplexity, rel=1e-4)
    assert json.loads((second / "training.json").read_text())["model_fingerprint"] == load(str(first)).fingerprint


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "llama")
    with pytest.raises(DataError, match=r"the (eval_)?loss of step \d is not a number: use a lower learning rate"):
        trained(base, tmp_path / "run", replace(SMALL, learning_rate=1e30))


def test_unknown_trackers_are_said(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "llama")
    with pytest.raises(ConfigError, match="no tracker is called 'wondb': did you mean wandb"):
        train(texts(), tmp_path / "run", model=base, config=SMALL, trackers=["wondb"])


def test_a_second_round_goes_on_with_the_adapter(tmp_path: Path) -> None:
    base, first, second = saved("llama", tmp_path / "llama"), tmp_path / "first", tmp_path / "second"
    config = replace(SMALL, learning_rate=1e-2, keep="last", rank=3)
    done = trained(base, first, config)
    again = trained(str(first), second, replace(config, learning_rate=1e-3, rank=8))
    assert again.before == pytest.approx(done.perplexity, rel=1e-4)
    assert json.loads((second / "adapter_config.json").read_text())["base_model_name_or_path"] == base
    assert load(str(second)).encode_parts(CONTROL) == load(str(first)).encode_parts(CONTROL)
    record, card = ((second / name).read_text() for name in ("training.json", "README.md"))
    told = json.loads(record)
    assert (told["model"], told["went_on_from"], told["settings"]["rank"]) == ("llama", "first", 3)
    assert "# llama, finetuned to call tools" in card
    assert "from `llama` with LoRA, going on from the adapter `first`, on" in card
    assert str(tmp_path) not in record + card.replace(str(second), "")
    with pytest.raises(ConfigError, match="can only go on as one: how=lora, not full"):
        trained(str(first), tmp_path / "third", replace(config, how="full"))


def test_the_built_in_models_adapter_is_small(tmp_path: Path) -> None:
    done = trained("builtin", tmp_path / "run", TrainConfig(steps=1))
    size = sum(path.stat().st_size for path in (tmp_path / "run").iterdir())
    assert size < 2 * 2**20
    assert done.steps == 1
    assert os.path.getsize(tmp_path / "run" / "adapter_model.safetensors") < 1.5 * 2**20
    assert load(str(tmp_path / "run")).context == 1023
