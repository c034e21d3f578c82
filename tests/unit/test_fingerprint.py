"""Which model it is: every weight counts, and how it was loaded does not."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from tests import tiny_models
from toolformer.errors import ConfigError
from toolformer.hf import fetch, load

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def large() -> PreTrainedModel:
    """With an embedding of which nobody would look at every element in passing."""
    config = copy.deepcopy(tiny_models.CONFIGS["llama"])
    config.hidden_size, config.num_hidden_layers, config.vocab_size = 64, 1, 2000
    torch.manual_seed(0)
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call, no-any-return]


def saved(model: PreTrainedModel, folder: Path, **how: Any) -> str:
    model.save_pretrained(folder, **how)
    tiny_models.tokenizer().save_pretrained(folder)
    return str(folder)


def mark(name: str, **how: Any) -> str:
    return load(name, **how).fingerprint


def test_any_weight_that_changes(tmp_path: Path) -> None:
    model = large()
    before = mark(saved(model, tmp_path / "before"))
    seen = {before}
    for number, name in enumerate(("model.embed_tokens.weight", "lm_head.weight", "model.layers.0.mlp.up_proj.weight")):
        with torch.no_grad():
            model.get_parameter(name)[1, 1] += 1e-3
        seen.add(mark(saved(model, tmp_path / str(number))))
    assert len(seen) == 4
    assert mark(saved(large(), tmp_path / "again")) == before


def test_how_it_is_loaded_makes_no_difference(tmp_path: Path) -> None:
    folder = saved(large(), tmp_path / "model")
    loaded = [load(folder), load(folder, dtype="bfloat16"), load(folder, quantize="int8"), load(folder, device="cpu")]
    assert len({model.fingerprint for model in loaded}) == 1
    assert [model.precision for model in loaded] == ["float32", "bfloat16", "float32+int8", "float32"]
    assert fetch(folder) == (folder, loaded[0].fingerprint)


def test_nor_does_in_how_many_files_it_is(tmp_path: Path) -> None:
    whole, shards = saved(large(), tmp_path / "whole"), saved(large(), tmp_path / "shards", max_shard_size="200KB")
    assert len([*Path(shards).glob("*.safetensors")]) > 2
    assert mark(shards) == mark(whole)


def test_weights_as_torch_writes_them(tmp_path: Path) -> None:
    marks = set()
    for number in range(2):
        model = large()
        with torch.no_grad():
            model.get_parameter("model.embed_tokens.weight")[7, 3] += number
        folder = Path(saved(model, tmp_path / str(number)))
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        marks |= {mark(str(folder)), mark(str(folder))}
    assert len(marks) == 2


@pytest.mark.parametrize(
    ("file", "name", "value", "same"),
    [
        ("config.json", "rms_norm_eps", 0.5, False),
        ("config.json", "transformers_version", "9", True),
        ("config.json", "dtype", "bfloat16", True),
        ("generation_config.json", "eos_token_id", 3, False),
        ("tokenizer_config.json", "chat_template", "hello", False),
    ],
)
def test_settings(tmp_path: Path, file: str, name: str, value: object, same: bool) -> None:
    folder = saved(large(), tmp_path / "model")
    before = mark(folder)
    path = Path(folder) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    assert (mark(folder) == before) is same


def test_an_adapter_counts_and_what_it_calls_its_base_does_not(tmp_path: Path) -> None:
    base = saved(large(), tmp_path / "base")
    marks = []
    for number in range(3):
        torch.manual_seed(min(number, 1))
        made = get_peft_model(large(), LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
        torch.manual_seed(min(number, 1))
        for parameter in made.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter)
        made.peft_config["default"].base_model_name_or_path = base if number < 2 else str(tmp_path / "." / "base") + "/"
        made.save_pretrained(str(tmp_path / f"lora{number}"))
        marks.append(mark(base, adapter=str(tmp_path / f"lora{number}")))
    assert len({mark(base), *marks}) == 3
    assert marks[1] == marks[2] == mark(str(tmp_path / "lora2"))


def test_shards_that_are_missing_are_said(tmp_path: Path) -> None:
    folder = Path(saved(large(), tmp_path / "shards", max_shard_size="200KB"))
    next(folder.glob("model-00002*")).unlink()
    with pytest.raises(ConfigError, match="the weights of .*shards cannot be read .*: fetch or copy them again"):
        fetch(str(folder))


def test_damaged_weights_are_said(tmp_path: Path) -> None:
    folder = Path(saved(large(), tmp_path / "model"))
    for content in (b"", b"\xff" * 100, b"\x08" + bytes(7) + b'{"a": 1}'):
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(ConfigError, match="the weights of .*model cannot be read .*: fetch or copy them again"):
            fetch(str(folder))
    shutil.rmtree(folder)
