"""An adapter by its name on the hub: what was pushed is loaded, and what is not to be believed is refused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from peft import PromptTuningConfig, TaskType, get_peft_model

from tests import hub as hubs
from tests import tiny_models
from tests.finetune_texts import SMALL, saved, trained
from tests.hub import Hub
from toolformer.calls import CallSyntax, Part
from toolformer.errors import ConfigError
from toolformer.hf import load
from toolformer.hf.adapter import find_adapter
from toolformer.lm import LanguageModel, syntax_of

# peft asks transformers in a way that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

TOOLS = Path(__file__).parents[2] / "toolformer" / "builtin" / "tools_adapter"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base model and what training makes of it, as it is pushed: it names its base model as on the hub."""
    here = tmp_path_factory.mktemp("models")
    made = {name: here / name for name in ("base", "taught", "later")}
    base = saved("llama", made["base"])
    for name, steps in (("taught", 1), ("later", 3)):
        trained(base, made[name], replace(SMALL, steps=steps, learning_rate=0.1))
        change(made[name], base_model_name_or_path="someone/base")
    return made


def change(folder: Path, **settings: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def mine(folder: Path, base: Path) -> LanguageModel:
    return load(str(base), adapter=str(folder))


def call_ids(model: LanguageModel) -> tuple[int, ...]:
    return model.encode_parts([Part(token, control=True) for token in CallSyntax.TOKENS.control_tokens])


@pytest.fixture
def hub(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with these, asked by the real client, whose cache is empty."""
    made = Hub()
    made.holds("someone/base", main=folders["base"])
    made.holds("someone/taught", main=folders["taught"], v2=folders["later"])
    with hubs.served(made):
        hubs.ask_at(made.port, tmp_path / "cache", monkeypatch)
        yield made


def test_what_was_pushed_is_loaded_by_its_name(hub: Hub, folders: dict[str, Path]) -> None:
    local = mine(folders["taught"], folders["base"])
    by_name = load("someone/taught")
    assert by_name.name == "someone/taught"
    assert by_name.fingerprint == local.fingerprint
    assert call_ids(by_name) == call_ids(local) == tuple(range(tiny_models.VOCABULARY, tiny_models.VOCABULARY + 3))
    assert load("someone/base", adapter="someone/taught").fingerprint == local.fingerprint
    # Its weights are fetched once, and a second time only its settings are asked for.
    hub.asked.clear()
    assert load("someone/taught").fingerprint == local.fingerprint
    assert set(hub.asked_for("someone/taught")) == {"HEAD /someone/taught/resolve/main/adapter_config.json"}
    later = load("someone/taught", revision="v2")
    assert later.fingerprint == mine(folders["later"], folders["base"]).fingerprint != local.fingerprint


@pytest.mark.parametrize("bare", [False, True])
def test_without_the_hub_its_cache_will_do(hub: Hub, monkeypatch: pytest.MonkeyPatch, bare: bool) -> None:
    hub.bare = bare
    fetched = load("someone/taught").fingerprint
    hub.asked.clear()
    assert load("someone/taught", offline=True).fingerprint == fetched
    assert not hub.asked
    hub.stop()
    assert load("someone/taught").fingerprint == fetched
    assert load("someone/base", adapter="someone/taught").fingerprint == fetched
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load("someone/taught").fingerprint == fetched


def test_a_model_costs_one_question_more_and_none_the_next_time(hub: Hub) -> None:
    load("someone/base")
    asked = "HEAD /someone/base/resolve/main/adapter_config.json"
    assert hub.asked_for("someone/base", "adapter_config.json") == [asked]
    hub.asked.clear()
    load("someone/base")
    assert not hub.asked_for("someone/base", "adapter_config.json")


def test_a_repository_that_was_empty_when_it_was_asked_for(hub: Hub, folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    hub.holds("someone/new", main=tmp_path / "empty")
    with pytest.raises(ConfigError, match="someone/new holds no model that can be loaded"):
        load("someone/new")
    hub.holds("someone/new", main=folders["taught"])
    assert load("someone/new").fingerprint == load("someone/taught").fingerprint


def test_a_hub_that_answers_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # its client waits between questions
    load("someone/taught")
    hub.broken = True
    load("someone/taught")
    hub.asked.clear()
    with pytest.raises(ConfigError, match="^someone/other cannot be had, for the hub gives no answer .*503.*later$"):
        load("someone/other")
    assert not hub.asked_for("someone/other", "/config.json")  # not asked again and again for another file


def test_on_the_built_in_model_from_another_process(hub: Hub, tmp_path: Path) -> None:
    hub.holds("someone/tools", main=TOOLS)
    code = "from toolformer import Toolformer; m = Toolformer.from_pretrained('someone/tools', tools=[]).model; "
    code += "print(m.fingerprint)"
    where = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.port}", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | where, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == load("builtin-tools").fingerprint == load("builtin", adapter=str(TOOLS)).fingerprint


def test_training_goes_on_from_it(hub: Hub, tmp_path: Path) -> None:
    done = trained("someone/taught", tmp_path / "on", replace(SMALL, steps=1))
    assert done.steps == 1
    settings = json.loads((tmp_path / "on" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "someone/base"
    assert call_ids(load(str(tmp_path / "on"))) == call_ids(load("someone/taught"))
    hub.holds("someone/taught", main=tmp_path / "on")
    assert load("someone/taught").fingerprint == load(str(tmp_path / "on")).fingerprint


def test_a_learned_prompt_cannot_go_on(folders: dict[str, Path], tmp_path: Path) -> None:
    made = get_peft_model(load_fresh(), PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=5))
    made.peft_config["default"].base_model_name_or_path = str(folders["base"])
    made.save_pretrained(str(tmp_path / "prompt"))
    with pytest.raises(ConfigError, match="prompt is a learned prompt, which cannot go on: train its base model"):
        trained(str(tmp_path / "prompt"), tmp_path / "on")


def load_fresh() -> Any:
    import copy

    return copy.deepcopy(tiny_models.model("llama"))


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("/etc", "'/etc', which is no name of the hub: if you have it, load that model with adapter='someone/bad'"),
        ("../base", r"'\.\./base', which is no name"),
        ("~/base", "'~/base', which is no name"),
        ("C:\\base", "which is no name"),
        ("https://elsewhere/base", "which is no name"),
        ("x\0y", "which is no name"),
        ("b" * 100_000, "'b{100}…', which is no name"),
        ("here", "'here', which is here a file or folder of that name"),
        ("file", "'file', which is here a file or folder"),
        ("", "does not name its base model: load that model with adapter='someone/bad'"),
        (None, "does not name its base model"),
        (["someone/base"], "settings that cannot be right .*: of the base model"),
        ("someone/taught", "is an adapter for someone/taught, which is itself an adapter"),
        ("someone/bad", "is an adapter for someone/bad, which is itself an adapter"),
        ("builtin-tools", "is an adapter for builtin-tools, which is itself an adapter"),
        ("someone/nothing", "no model is called 'someone/nothing'"),
    ],
)
def test_a_base_model_that_is_not_the_hubs(
    hub: Hub, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: object, said: str
) -> None:
    shutil.copytree(folders["base"], tmp_path / "here")
    shutil.copy(folders["base"] / "config.json", tmp_path / "file")
    monkeypatch.chdir(tmp_path)
    bad = shutil.copytree(folders["taught"], tmp_path / "bad")
    change(bad, base_model_name_or_path=base)
    hub.holds("someone/bad", main=bad)
    with pytest.raises(ConfigError, match=said):
        load("someone/bad")
    if base != "someone/nothing":
        assert not hub.asked_for("someone/bad", "safetensors")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[]", "no object"),
        (b"\xff\xfe\x00", "codec can't decode"),
        (b"[" * 200_000, "recursion"),
        (b'{"r": ' + b"9" * 5000 + b"}", "integer string"),
        (b" " * (1 << 23), "8388608 bytes"),
        (b'{"peft_type": "LORA", "base_model_name_or_path": "a/b", "revision": "../../x"}', "of the base model"),
        (b'{"peft_type": "LORA", "base_model_name_or_path": "a/b", "revision": 7}', "of the base model"),
    ],
    ids=["nothing", "cut", "list", "bytes", "deep", "long number", "huge", "revision outside", "revision a number"],
)
def test_settings_that_are_none(hub: Hub, tmp_path: Path, settings: bytes, said: str) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "adapter_config.json").write_bytes(settings)
    hub.holds("someone/bad", main=bad)
    for name in ("someone/bad", str(bad)):
        with pytest.raises(ConfigError, match=rf"^the adapter {name} has settings that cannot be right .*{said}"):
            load(name)
        with pytest.raises(ConfigError, match=rf"^the adapter {name} has settings that cannot be right"):
            load("someone/base", adapter=name)
    assert len(settings) < 1 << 22 or not hub.asked_for("GET /someone/bad")


@pytest.mark.parametrize("kind", [None, "LN_TUNING", "NOTHING", ["LORA"], "x" * 10_000])
def test_an_adapter_of_another_kind(hub: Hub, folders: dict[str, Path], tmp_path: Path, kind: object) -> None:
    bad = shutil.copytree(folders["taught"], tmp_path / "bad")
    change(bad, peft_type=kind)
    hub.holds("someone/bad", main=bad)
    with pytest.raises(ConfigError, match=r"^someone/bad is a .{4,100} adapter: LORA or PROMPT_TUNING would be right$"):
        load("someone/bad")


def test_pickled_weights_are_not_read(hub: Hub, folders: dict[str, Path], tmp_path: Path) -> None:
    bad = shutil.copytree(folders["taught"], tmp_path / "bad")
    (bad / "adapter_model.safetensors").rename(bad / "adapter_model.bin")
    hub.holds("someone/bad", main=bad)
    for name in ("someone/bad", str(bad)):
        with pytest.raises(ConfigError, match=f"{name} has no adapter_model.safetensors: weights of another format"):
            load("someone/base", adapter=name)
    assert not hub.asked_for("adapter_model.bin")


@pytest.mark.parametrize(
    "settings",
    [
        {"r": "eight"},
        {"r": 0},
        {"r": 5},
        {"target_modules": "((("},
        {"target_modules": ["nothing"]},
        {"target_modules": 7},
        {"trainable_token_indices": [10**9]},
        {"lora_alpha": None},
        {"megatron_config": {"x": 1}, "megatron_core": "antigravity"},
    ],
    ids=str,
)
def test_settings_that_peft_cannot_make_anything_of(
    hub: Hub, folders: dict[str, Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    bad = shutil.copytree(folders["taught"], tmp_path / "bad")
    change(bad, **settings)
    hub.holds("someone/bad", main=bad)
    with pytest.raises(ConfigError, match="^someone/bad is no adapter for this model: "):
        load("someone/bad")
    assert "antigravity" not in sys.modules


def test_code_that_a_tokenizer_brings_is_not_run(hub: Hub, folders: dict[str, Path], tmp_path: Path) -> None:
    bad = shutil.copytree(folders["taught"], tmp_path / "bad")
    settings = json.loads((bad / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.Mine", "mine.Mine"]}}
    (bad / "tokenizer_config.json").write_text(json.dumps(settings))
    (bad / "mine.py").write_text("raise SystemExit('it was run')")
    hub.holds("someone/bad", main=bad)
    for name in ("someone/bad", str(bad)):
        with pytest.raises(ConfigError, match="has no tokenizer that can be read .*code of its own"):
            load(name)


def test_damaged_weights(hub: Hub, folders: dict[str, Path], tmp_path: Path) -> None:
    bad = shutil.copytree(folders["taught"], tmp_path / "bad")
    weights = bad / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    hub.holds("someone/bad", main=bad)
    with pytest.raises(ConfigError, match="^someone/bad is no adapter for this model: "):
        load("someone/bad")


def test_an_adapter_without_a_tokenizer_has_its_base_models(hub: Hub, folders: dict[str, Path], tmp_path: Path) -> None:
    bare = shutil.copytree(folders["taught"], tmp_path / "bare")
    for file in bare.glob("tokenizer*"):
        file.unlink()
    change(bare, trainable_token_indices=None)
    hub.holds("someone/bare", main=bare)
    adapter = find_adapter("someone/bare")
    assert adapter is not None
    adapter.fetch(offline=False)
    assert adapter.tokenizer is None
    hub.asked.clear()
    adapter.fetch(offline=True)  # that it brings none is in the cache
    assert not hub.asked


def test_an_adapter_without_a_tokenizer_still_has_its_call_tokens(folders: dict[str, Path], tmp_path: Path) -> None:
    bare = shutil.copytree(folders["taught"], tmp_path / "bare")
    for file in bare.glob("tokenizer*"):
        file.unlink()
    whole, without = (mine(one, folders["base"]) for one in (folders["taught"], bare))
    assert call_ids(without) == call_ids(whole)
    assert without.fingerprint == whole.fingerprint
    assert torch.equal(without.rows([(5, 6)]).logits, whole.rows([(5, 6)]).logits)
    # Those that do not come next in the vocabulary are something else.
    change(bare, trainable_token_indices={"embed_tokens": [1, 2, 3], "lm_head": [1, 2, 3]})
    assert syntax_of(mine(bare, folders["base"])) is CallSyntax.TEXT
