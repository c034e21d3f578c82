"""What `load` finds, refuses, quantizes and puts on top."""

import copy
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig, TaskType, get_peft_model
from peft.tuners.lora import LoraLayer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BloomConfig, BloomForCausalLM, MambaForCausalLM, PreTrainedModel
from transformers.utils.logging import set_tqdm_hook

from tests import tiny_models
from toolformer.calls import CallSyntax, Part
from toolformer.errors import ConfigError
from toolformer.hf import load, load_network
from toolformer.hf.adapted import unfold
from toolformer.loading import Loading

# peft asks transformers in a way that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

IDS = (40, 50, 60, 70)


def saved(model: PreTrainedModel, folder: Path) -> str:
    model.save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def llama(tmp_path: Path) -> str:
    return saved(tiny_models.model("llama"), tmp_path / "tiny-llama")


def fresh(kind: str) -> PreTrainedModel:
    """A model that nobody else uses: adapters change the one they are put on."""
    return copy.deepcopy(tiny_models.model(kind))


def plain(model: torch.nn.Module, ids: tuple[int, ...] = IDS) -> list[float]:
    with torch.no_grad():
        said = model(torch.tensor([[1, *ids]])).logits[0].float().log_softmax(-1)
    return [float(said[place, token]) for place, token in enumerate(ids)]


def test_a_local_folder(llama: str) -> None:
    model = load(llama, dtype="float32")
    assert model.name == llama
    assert model.context == tiny_models.CONTEXT - 1
    assert model.ends == {2}
    assert model.log_probabilities([IDS])[0] == pytest.approx(plain(tiny_models.model("llama")), abs=1e-4)
    assert model.decode(model.encode("There are 8").ids) == "There are 8"


def test_an_encoder_decoder(tmp_path: Path) -> None:
    model = load(saved(tiny_models.model("t5"), tmp_path / "t5"))
    assert len(model.log_probabilities([IDS])[0]) == 4


def test_the_built_in_model() -> None:
    model = load("builtin", offline=True)
    assert model.name == "builtin"
    assert model.context >= 512


@pytest.mark.parametrize(
    "code", ["from toolformer import load; load('builtin-tools')", "import toolformer.finetune as f; f.train"]
)
def test_no_library_says_anything(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_wrong_names_say_what_is_near(llama: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean builtin"):
        load("buildin", offline=True)
    wrong = str(tmp_path / "tiny-lama")
    with pytest.raises(ConfigError, match=f"did you mean {llama}"):
        load(wrong)
    with pytest.raises(ConfigError, match="dtype.*bfloat61.*did you mean bfloat16"):
        load(llama, dtype="bfloat61")
    with pytest.raises(ConfigError, match="quantization.*int4.*int8"):
        load(llama, quantize="int4")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^the device '{name}' cannot be used \(.*\): auto would take c"):
        load("builtin", device=name)


def test_an_adapter_on_an_adapter() -> None:
    with pytest.raises(ConfigError, match="^builtin-tools is itself an adapter: put x on its base model, builtin$"):
        load("builtin-tools", adapter="x")


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no model"):
        load(str(tmp_path))


def test_a_folder_that_is_not_whole(llama: str, tmp_path: Path) -> None:
    bare = shutil.copytree(llama, tmp_path / "bare")
    for file in bare.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ConfigError, match=r"bare has no tokenizer that can be read .*: its files belong beside"):
        load(str(bare))
    cut = shutil.copytree(llama, tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ConfigError, match=r"the weights of .*cut cannot be read .*: fetch or copy them again"):
        load(str(cut))


def changed(folder: str, file: str = "config.json", **settings: Any) -> str:
    path = Path(folder) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


def test_code_that_a_model_brings_is_not_run_and_nobody_is_asked(llama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    code = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    (Path(llama) / "mine.py").write_text("raise SystemExit('it was run')")
    load(changed(llama, auto_map=code))  # transformers knows this kind by itself
    with pytest.raises(ConfigError, match=r"holds no model that can be loaded: it brings Python code") as told:
        load(changed(llama, model_type="mine", auto_map=code))
    assert "\n" not in str(told.value)
    assert "trust" not in str(told.value)


def test_code_that_a_tokenizer_brings_is_not_run(llama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    (Path(llama) / "mine.py").write_text("raise SystemExit('it was run')")
    changed(llama, "tokenizer_config.json", tokenizer_class="Mine", auto_map={"AutoTokenizer": ["mine.M", "mine.M"]})
    with pytest.raises(ConfigError, match="has no tokenizer that can be read .it brings Python code of its own"):
        load(llama)


def test_weights_that_are_missing_are_not_made_up(llama: str, capfd: pytest.CaptureFixture[str]) -> None:
    changed(llama, num_hidden_layers=3)
    with pytest.raises(ConfigError, match=r"those of its config.json: 9 tensors are missing .* as model.layers.2"):
        load(llama)
    assert capfd.readouterr().err == ""


def test_weights_of_another_shape(llama: str) -> None:
    changed(llama, intermediate_size=65)
    with pytest.raises(ConfigError, match=r"6 tensors are missing or of another shape, such as model.layers.0.mlp"):
        load(llama)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_hidden_layers": 1_000_000},
        {"vocab_size": 1 << 40},
        {"intermediate_size": 1 << 30},
        {"num_attention_heads": 0, "head_dim": None},
        {"hidden_size": "wide"},
        {"hidden_size": -1},
    ],
)
def test_settings_that_lie_are_told_at_once(llama: str, settings: dict[str, Any]) -> None:
    begun = time.monotonic()
    with pytest.raises(ConfigError) as told:
        load(changed(llama, **settings))
    assert "\n" not in str(told.value)
    assert llama in str(told.value)
    assert time.monotonic() - begun < 10


def test_a_tokenizer_that_loses_the_spaces(llama: str) -> None:
    bare = Tokenizer(models.BPE(vocab={"<unk>": 0, "a": 1, "b": 2}, merges=[], unk_token="<unk>"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    bare.decoder = decoders.Fuse()
    tiny_models.wrapped(bare, unk_token="<unk>").save_pretrained(llama)
    with pytest.raises(ConfigError, match=r"does not keep the spaces between words \('a b a' comes back as 'aba'\)"):
        load(llama)


@pytest.mark.parametrize(("quantize", "off"), [("int8", 0.5), ("nf4", 3.0)])
def test_quantized(llama: str, quantize: str, off: float) -> None:
    model = load(llama, quantize=quantize)  # type: ignore[arg-type]
    assert model.log_probabilities([IDS])[0] == pytest.approx(plain(tiny_models.model("llama")), abs=off)


def test_nf4_keeps_the_weights_as_they_are_for_training(llama: str) -> None:
    from bitsandbytes.nn.modules import Linear4bit

    from toolformer.hf import load_network

    linear = [
        module for module in load_network(llama, Loading(quantize="nf4"))[0].modules() if isinstance(module, Linear4bit)
    ]
    assert linear
    assert not any(module.support_avx512bf16_for_cpu for module in linear)


def lora(tmp_path: Path, base: str) -> tuple[str, PeftModel]:
    torch.manual_seed(0)
    made = get_peft_model(
        fresh("llama"), LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    )
    made.peft_config["default"].base_model_name_or_path = base
    made.save_pretrained(str(tmp_path / "lora"))
    return str(tmp_path / "lora"), made.eval()


def test_a_lora_adapter_on_top_or_by_itself(llama: str, tmp_path: Path) -> None:
    folder, made = lora(tmp_path, llama)
    expected = plain(made)
    assert expected != pytest.approx(plain(tiny_models.model("llama")), abs=0.1)
    for model in (load(llama, adapter=folder), load(folder)):
        assert model.log_probabilities([IDS])[0] == pytest.approx(expected, abs=1e-4)
    assert load(folder).fingerprint != load(llama).fingerprint


def test_what_a_lora_has_learnt_stands_in_the_weights_but_not_in_a_table(llama: str, tmp_path: Path) -> None:
    made = get_peft_model(
        fresh("llama"), LoraConfig(r=4, target_modules=["q_proj", "lm_head"], init_lora_weights=False)
    )
    made.peft_config["default"].base_model_name_or_path = llama
    made.save_pretrained(str(tmp_path / "lora"), save_embedding_layers=False)
    model = load(str(tmp_path / "lora"))
    network: PreTrainedModel = model._network.model  # type: ignore[attr-defined]
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, LoraLayer)}
    assert {name for name, layer in layers.items() if not layer.merged} == {"lm_head"}
    expected = plain(made.eval())
    assert model.log_probabilities([IDS])[0] == pytest.approx(expected, abs=1e-4)
    unfold(network)
    assert not any(layer.merged for layer in layers.values())
    assert model.log_probabilities([IDS])[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "t5"])
def test_a_learned_prompt_stands_before_every_text(kind: str, tmp_path: Path) -> None:
    base = saved(tiny_models.model(kind), tmp_path / "base")
    task = TaskType.SEQ_2_SEQ_LM if kind == "t5" else TaskType.CAUSAL_LM
    made = get_peft_model(fresh(kind), PromptTuningConfig(task_type=task, num_virtual_tokens=5))
    with torch.no_grad():
        made.get_parameter("prompt_encoder.default.embedding.weight").normal_()
    made.peft_config["default"].base_model_name_or_path = base
    made.save_pretrained(str(tmp_path / "prompt"))
    ids = torch.tensor([[1, *IDS]])
    inputs = {"input_ids": torch.tensor([[2]]), "decoder_input_ids": torch.tensor([[0, *IDS]])}
    with torch.no_grad():
        said = made.eval()(**inputs if kind == "t5" else {"input_ids": ids}).logits[0].float().log_softmax(-1)
    expected = [float(said[place - 5, token]) for place, token in enumerate(IDS)]
    model = load(str(tmp_path / "prompt"))
    assert model.log_probabilities([IDS])[0] == pytest.approx(expected, abs=1e-4)
    assert model.log_probabilities([IDS])[0] != pytest.approx(load(base).log_probabilities([IDS])[0], abs=0.1)
    rows = model.rows([IDS])
    rows.extend([[9]])
    assert rows.logits.shape == (1, tiny_models.VOCABULARY)


def test_an_adapter_with_tokens_of_its_own(llama: str, tmp_path: Path) -> None:
    model, tokenizer = fresh("llama"), tiny_models.own_tokenizer()
    tokenizer.add_tokens([*CallSyntax.TOKENS.control_tokens], special_tokens=True)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    new = [len(tokenizer) - 3, len(tokenizer) - 2, len(tokenizer) - 1]
    config = LoraConfig(r=4, target_modules=["q_proj"], trainable_token_indices={"embed_tokens": new, "lm_head": new})
    made = get_peft_model(model, config)
    made.peft_config["default"].base_model_name_or_path = llama
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "trainable_tokens_delta" in name:
                parameter.normal_()
    made.save_pretrained(str(tmp_path / "run"), save_embedding_layers=False)
    tokenizer.save_pretrained(tmp_path / "run")
    loaded = load(str(tmp_path / "run"))
    ids = loaded.encode_parts([Part(marker, control=True) for marker in CallSyntax.TOKENS.control_tokens])
    assert list(ids) == new
    assert loaded.log_probabilities([ids])[0] == pytest.approx(plain(made.eval(), ids), abs=1e-4)
    network, _ = load_network(str(tmp_path / "run"))
    tables = (network.get_input_embeddings(), network.get_output_embeddings())  # type: ignore[no-untyped-call]
    assert [type(table) for table in tables] == [torch.nn.Embedding, torch.nn.Linear]  # no copy of one in each pass


def test_a_wrong_adapter(llama: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no adapter for this model"):
        load(llama, adapter=str(tmp_path / "nothing"), offline=True)


def test_models_that_cannot_be_right_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MambaForCausalLM.*carries a state"):
        load(saved(MambaForCausalLM(tiny_models.MAMBA), tmp_path / "mamba"))
    bloom = BloomForCausalLM(BloomConfig(vocab_size=tiny_models.VOCABULARY, hidden_size=32, n_layer=1, n_head=2))
    with pytest.raises(ConfigError, match="BloomForCausalLM.*positions of its tokens"):
        load(saved(bloom, tmp_path / "bloom"))


def test_a_model_that_reads_more_than_its_mask_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from toolformer.hf.encode import Codec
    from toolformer.hf.transformers_model import CausalModel

    model = fresh("llama")
    forward = model.forward
    monkeypatch.setattr(
        model,
        "forward",
        lambda attention_mask=None, position_ids=None, **rest: forward(position_ids=position_ids, **rest),
    )
    with pytest.raises(ConfigError, match="answers otherwise when its cache has holes"):
        CausalModel(model, Codec(tiny_models.tokenizer(), "x"), "x", "x")


def test_reading_weights_shows_no_bar_and_leaves_the_setting_as_it_was(
    llama: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[object] = []

    def hook(bar: Any, arguments: Any, options: Any) -> Any:
        shown.append(options)
        return bar(*arguments, **options)

    before = set_tqdm_hook(hook)
    try:
        load(llama)
        assert capsys.readouterr().err == ""
        assert set_tqdm_hook(None) is hook
        assert not shown
    finally:
        set_tqdm_hook(before)
