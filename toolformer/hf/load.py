"""Models of transformers behind the port of `lm.py`: by hub name, by local path, or `builtin`.

`load` finds a model, loads it with its adapter and in its precision, and refuses what cannot be right. What it is then
asked is answered in `hf/causal.py` and `hf/seq2seq.py`.
"""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import cast

import torch
from huggingface_hub import hf_hub_download
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from transformers.utils.logging import set_tqdm_hook

from toolformer.errors import ConfigError, unknown_name
from toolformer.hf.causal import CausalModel
from toolformer.hf.encode import Codec
from toolformer.hf.precision import Quantize, device_of, dtype_of, keep_gradients, quantization
from toolformer.hf.reach import is_path, out_of_reach
from toolformer.hf.seq2seq import Seq2SeqModel
from toolformer.hf.soft_prompt import put_before
from toolformer.lm import LanguageModel

BUILTIN = "builtin"
_SHIPPED = {BUILTIN: "model", "builtin-tools": "tools_adapter"}
"""What comes with the package: folders of `toolformer.builtin`."""

# It says, when peft first imports it, that a kernel which nobody here uses is not installed.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def load(
    name_or_path: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    quantize: Quantize | None = None,
    adapter: str | None = None,
    offline: bool = False,
) -> LanguageModel:
    """A language model, ready to be asked.

    `builtin` and `builtin-tools` come with the package. `auto` is the GPU where there is one, and its precision the
    checkpoint's own; on a CPU, float32. `adapter` is a LoRA or a prompt-tuning adapter by name or path; a path that
    holds one is loaded with the base model that it names. Without `offline`, the hub is asked for newer files; where it
    cannot be reached, its cache will do.
    """
    model, tokenizer = load_network(
        name_or_path,
        dtype=dtype,
        device=device,
        revision=revision,
        quantize=quantize,
        adapter=adapter,
        offline=offline,
    )
    codec = Codec(tokenizer, name_or_path)
    kind = Seq2SeqModel if model.config.is_encoder_decoder else CausalModel
    return kind(model, codec, name_or_path, fingerprint(model, codec))


def load_network(
    name_or_path: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    quantize: Quantize | None = None,
    adapter: str | None = None,
    offline: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The same as transformers' own model, with the adapter's layers in it, and the tokenizer."""
    device = device_of(device)
    base = name_or_path
    place = _place(base)
    if named := base_of(place):
        if adapter is not None:
            raise ConfigError(f"{name_or_path} is itself an adapter: put {adapter} on its base model, {named}")
        base, adapter = named, place
        place = _place(base)
    offline = offline or out_of_reach(place, adapter)
    config = _config(base, place, revision, offline)
    tokenizer = _tokenizer(adapter, place, revision, offline)
    model = _model(config, place, dtype_of(dtype, device), device, revision, quantize, offline)
    if adapter is not None:
        model = _adapted(model, adapter, len(tokenizer), offline)
    return model, tokenizer


def base_of(path: str) -> str | None:
    """The base model that an adapter's folder names; None for a folder or name of a whole model."""
    file = Path(path) / "adapter_config.json"
    if not file.is_file():
        return None
    named = json.loads(file.read_text("utf-8")).get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise ConfigError(f"the adapter in {path} does not name its base model: load that one, with adapter={path!r}")
    return named


def _place(name: str) -> str:
    """What transformers is given: a path for what is local, or else the name."""
    if name not in _SHIPPED:
        return name
    folder = Path(str(resources.files("toolformer.builtin"))) / _SHIPPED[name]
    if not folder.is_dir():
        raise ConfigError(f"this installation lacks the model {name}: reinstall toolformer, or name another model")
    return str(folder)


def _config(name: str, place: str, revision: str | None, offline: bool) -> PreTrainedConfig:
    local = Path(place).is_dir()
    if not local and is_path(place):
        raise ConfigError(unknown_name("model", name, _known(place)))
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(place, revision=revision, local_files_only=offline)
    except (OSError, ValueError) as error:
        if local:
            raise ConfigError(f"{name} holds no model: {_first_line(error)}") from error
        raise ConfigError(f"{unknown_name('model', name, _known(place))} ({_first_line(error)})") from error
    return config


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _known(place: str) -> set[str]:
    """What could have been meant: the built-in model, folders beside the named one, and models in the hub's cache."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    beside = Path(place).expanduser().parent
    local = {str(beside / config.parent.name) for config in beside.glob("*/*config.json")}
    try:
        cached = {repo.repo_id for repo in scan_cache_dir().repos if repo.repo_type == "model"}
    except CacheNotFound:
        cached = set()
    return {*_SHIPPED} | local | cached


def _tokenizer(adapter: str | None, place: str, revision: str | None, offline: bool) -> PreTrainedTokenizerBase:
    """The adapter's own tokenizer where it brings one: it may know more tokens than the base model's."""
    if adapter is not None and (Path(adapter) / "tokenizer_config.json").is_file():
        place, revision = adapter, None
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            place, revision=revision, local_files_only=offline
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{place} has no tokenizer that can be read ({_first_line(error)}): its files belong beside the weights"
        ) from error
    return tokenizer


def _model(
    config: PreTrainedConfig,
    place: str,
    dtype: torch.dtype | str,
    device: str,
    revision: str | None,
    quantize: Quantize | None,
    offline: bool,
) -> PreTrainedModel:
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    # A cap on the attention scores is beyond the fused kernels.
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    try:
        with no_bar():
            model: PreTrainedModel = kind.from_pretrained(
                place,
                revision=revision,
                local_files_only=offline,
                dtype=dtype,
                # Where DeepSpeed splits the weights over devices, it does so while they are loaded.
                device_map=None if is_deepspeed_zero3_enabled() else {"": device},  # type: ignore[no-untyped-call]
                quantization_config=quantization(quantize),
                attn_implementation="eager" if capped else None,
            )
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"the weights of {place} cannot be read ({_first_line(error)}): fetch or copy them again"
        ) from error
    if quantize == "nf4":
        keep_gradients(model)
    return model.eval()  # type: ignore[no-untyped-call, no-any-return]


@contextmanager
def no_bar() -> Iterator[None]:
    """Without the bar for the moments in which weights are read or written; that of a download, which takes minutes,
    is another and stays."""
    before = set_tqdm_hook(lambda bar, arguments, options: bar(*arguments, **options | {"disable": True}))
    try:
        yield
    finally:
        set_tqdm_hook(before)


def _adapted(model: PreTrainedModel, adapter: str, tokens: int, offline: bool) -> PreTrainedModel:
    from peft import PeftModel, PeftType

    if tokens > model.config.get_text_config(decoder=True).vocab_size:
        model.resize_token_embeddings(tokens, mean_resizing=False)
    try:
        with warnings.catch_warnings():
            # peft asks transformers in a way that is on its way out; nobody who loads an adapter can help it.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            adapted = PeftModel.from_pretrained(model, _adapter_folder(adapter, offline))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{adapter} is no adapter for this model: {_first_line(error)}") from error
    inner = cast("PreTrainedModel", adapted.get_base_model().eval())
    config = adapted.active_peft_config
    if config.is_prompt_learning:
        if config.peft_type != PeftType.PROMPT_TUNING:
            raise ConfigError(f"{adapter} is a {config.peft_type.value} adapter: LoRA or PROMPT_TUNING would be right")
        put_before(inner, adapted.get_prompt(batch_size=1)[0, : config.num_virtual_tokens])
    return inner


def _adapter_folder(adapter: str, offline: bool) -> str:
    """Where an adapter lies. One of the hub is fetched here: peft asks the hub again, whatever it is told."""
    if is_path(adapter):
        return adapter
    hf_hub_download(adapter, "adapter_config.json", local_files_only=offline)
    return str(Path(hf_hub_download(adapter, "adapter_model.safetensors", local_files_only=offline)).parent)


def fingerprint(model: PreTrainedModel, codec: Codec) -> str:
    """A hash of what was loaded, wherever it came from: tensors (samples of large ones), settings, tokenizer."""
    digest = hashlib.sha256(codec.recipe.encode())
    settings = {
        k: v for k, v in model.config.to_dict().items() if not k.startswith("_") and k != "transformers_version"
    }
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().reshape(-1)
        some = flat[:: max(1, flat.numel() // 8192)].cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(some.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
