"""GGUF files: loaded like any other model, and refused in one line."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import tiny_gguf, tiny_models
from tests.finetune_texts import trained
from tests.tiny_gguf import TEMPLATE, write_gguf
from toolformer.calls import CallSyntax, Part
from toolformer.errors import ConfigError, DataError
from toolformer.export_model import Exported, export_model
from toolformer.hf import gguf_file, load, load_network
from toolformer.lm import syntax_of
from toolformer.loading import Loading

IDS = (40, 50, 60, 70)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLFORMER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return write_gguf(tmp_path / "models" / "tiny.gguf")


def made(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.glob("*") if path.name != ".lock")


def test_it_is_the_same_model_with_its_tokenizer_and_template(file: Path) -> None:
    network, tokenizer = load_network(str(file))
    original = tiny_models.model("llama").state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, original[name]), name
    text = "There are 8 boxes, and then none"
    assert tokenizer(text).input_ids == tiny_models.tokenizer()(text).input_ids
    assert tokenizer.chat_template == TEMPLATE
    assert network.generation_config is not None
    assert network.generation_config.eos_token_id == 2


def test_a_file_or_a_folder_with_one_is_turned_once(file: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    by_file = load(str(file))
    assert "tiny.gguf: turning it into a checkpoint of transformers, once\n" in capfd.readouterr().err
    by_folder = load(str(file.parent), offline=True)
    assert capfd.readouterr().err == ""
    assert by_file.name == str(file)
    assert by_file.context == tiny_models.CONTEXT - 1
    assert by_file.log_probabilities([IDS]) == by_folder.log_probabilities([IDS])
    assert by_file.fingerprint == by_folder.fingerprint
    assert len(made(cache)) == 1


def test_a_file_that_was_changed_is_another_model(file: Path) -> None:
    before = load(str(file))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1 << 6
    file.write_bytes(content)
    assert load(str(file)).fingerprint != before.fingerprint


def test_weights_of_transformers_come_first(file: Path, cache: Path) -> None:
    tiny_models.model("llama").save_pretrained(file.parent)
    tiny_models.tokenizer().save_pretrained(file.parent)
    load(str(file.parent))
    assert made(cache) == []


def test_which_of_several_has_to_be_said(file: Path) -> None:
    shutil.copy(file, file.with_name("tiny-2.gguf"))
    with pytest.raises(ConfigError, match=r"models holds 2 GGUF files, tiny-2.gguf, tiny.gguf: name one of them"):
        load(str(file.parent))


def test_a_name_that_is_near(file: Path) -> None:
    with pytest.raises(ConfigError, match=rf"no model is called .*: did you mean {file}\?"):
        load(str(file.with_name("tini.gguf")))


def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolformer.hf.source.out_of_reach", lambda *_: pytest.fail("it was asked"))
    with pytest.raises(ConfigError, match="no model is called 'models/nothing.gguf'"):
        load("models/nothing.gguf")


def test_an_architecture_that_nobody_knows(tmp_path: Path, cache: Path) -> None:
    file = write_gguf(tmp_path / "new.gguf", "brandnew")
    with pytest.raises(ConfigError, match=r"new.gguf cannot be read as a model \(.*brandnew.*\): .* kind that") as told:
        load(str(file))
    assert "\n" not in str(told.value)
    assert made(cache) == []


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.001, 0.01, 0.2, 0.6, 0.999])
def test_a_file_that_is_cut_off(file: Path, cache: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ConfigError, match="tiny.gguf cannot be read as a model .* cut off, damaged") as told:
        load(str(file))
    assert "\n" not in str(told.value)
    assert made(cache) == []


def test_tensors_that_are_missing_are_not_made_up(tmp_path: Path, cache: Path) -> None:
    file = write_gguf(tmp_path / "gaps.gguf", without="layers.1.mlp")
    with pytest.raises(ConfigError, match=r"gaps.gguf cannot be read as a model \(it lacks 3 tensors, such as .*mlp"):
        load(str(file))
    assert made(cache) == []


def test_a_disk_without_room(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(file)
    monkeypatch.setattr(gguf_file.shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"^cannot write to .*cache: 1 MB are free and 64 are needed.*make room"):
        load(str(file))
    assert made(cache) == []


def exported(tmp_path: Path, dtype: str = "float32", kind: str = "llama", tokenizer: Any = None) -> Exported:
    """What a tiny model has learnt of calls, with its GGUF."""
    tiny_models.model(kind).save_pretrained(tmp_path / kind)
    (tokenizer or tiny_models.tokenizer()).save_pretrained(tmp_path / kind)
    trained(str(tmp_path / kind), tmp_path / "run")
    return export_model(str(tmp_path / "run"), tmp_path / "merged", dtype=dtype, gguf=tmp_path / "taught.gguf")


# peft asks transformers in a way that is on its way out.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_what_is_exported_is_the_same_model_in_every_precision(tmp_path: Path, dtype: str) -> None:
    made = exported(tmp_path, dtype)
    folder, file = load(str(made.folder), dtype="float32"), load(str(made.gguf), dtype="float32")
    text = "There are 8 boxes → <API>, and then none"
    assert folder.encode(text) == file.encode(text)
    control = file.encode_parts([Part(one, control=True) for one in CallSyntax.TOKENS.control_tokens])
    ids = (*file.encode(text).ids[:20], *control, *IDS)
    assert folder.log_probabilities([ids]) == file.log_probabilities([ids])
    assert syntax_of(file) is CallSyntax.TOKENS
    assert file.ends == folder.ends


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_what_llama_cpp_would_run_otherwise_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a Qwen3ForCausalLM cannot be written as GGUF: only a Llama can"):
        exported(tmp_path, kind="qwen3")
    with pytest.raises(ConfigError, match="a tokenizer that cuts text in this way cannot be written as GGUF"):
        export_model("builtin-tools", tmp_path / "builtin", gguf=tmp_path / "builtin.gguf")
    with pytest.raises(ConfigError, match="taught.bin should end with .gguf"):
        export_model("builtin-tools", tmp_path / "builtin", gguf=tmp_path / "taught.bin")
    with pytest.raises(ConfigError, match=r"x.gguf cannot be written: there is no folder .*nowhere"):
        export_model("builtin-tools", tmp_path / "builtin", gguf=tmp_path / "nowhere" / "x.gguf")
    assert not (tmp_path / "builtin").exists()
    assert not (tmp_path / "merged").exists()


def test_a_tokenizer_in_it_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_gguf, "WHOLE", '{"model": 1}')
    with pytest.raises(ConfigError, match=r"cannot be read as a model \(tokenizer.huggingface.json: .*damaged"):
        load(str(write_gguf(tmp_path / "tiny.gguf")))
    large = tiny_models.own_tokenizer()
    large.add_tokens([f"<{n}>" for n in range(400)])
    monkeypatch.setattr(tiny_gguf, "WHOLE", large.backend_tokenizer.to_str())
    with pytest.raises(ConfigError, match=r"tokenizer.huggingface.json has 7\d\d tokens, and the model 300"):
        load(str(write_gguf(tmp_path / "large.gguf")))


def test_without_the_package_that_reads_them(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_file, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"tiny.gguf: to read a GGUF file, .*: pip install gguf$"):
        load(str(file))


def test_it_can_be_quantised_like_any_other(file: Path) -> None:
    assert load_network(str(file), Loading(quantize="int8"))[0].is_quantized
