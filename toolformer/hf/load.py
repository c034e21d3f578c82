"""Models of transformers behind the port of `lm.py`: by hub name, by local path, or `builtin`.

`load` finds a model, loads it with its adapter and in its precision, and refuses what cannot be right. What it is then
asked is answered in `hf/causal.py` and `hf/seq2seq.py`.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
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
from toolformer.hf.adapter import SETTINGS, Adapter, find_adapter, first_line, put_on
from toolformer.hf.causal import CausalModel
from toolformer.hf.encode import Codec
from toolformer.hf.precision import Quantize, device_of, dtype_of, keep_gradients, quantization
from toolformer.hf.seq2seq import Seq2SeqModel
from toolformer.lm import LanguageModel
from toolformer.reach import is_path, out_of_reach

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
    checkpoint's own; on a CPU, float32. `adapter` is a LoRA or a prompt-tuning adapter by name or path; what is one
    itself is loaded with the base model that it names. Without `offline`, the hub is asked for newer files; where it
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
    source, found = _source(name_or_path, revision, adapter, offline)
    if found is not None:
        found.fetch(offline=source.offline)
    config = _config(source)
    tokenizer = _tokenizer(source, found)
    model = _model(config, source, dtype_of(dtype, device), device, quantize)
    return (model if found is None else put_on(model, found, len(tokenizer))), tokenizer


@dataclass(frozen=True)
class _Source:
    """Where the files of a model come from."""

    name: str
    place: str
    revision: str | None
    offline: bool


def _source(name: str, revision: str | None, adapter: str | None, offline: bool) -> tuple[_Source, Adapter | None]:
    """The model to be loaded, which for the name of an adapter is its base model; and the adapter."""
    place = place_of(name)
    other = None if adapter is None else place_of(adapter)
    offline = offline or out_of_reach(place, other)
    found = find_adapter(place, revision, offline=offline)
    if found is None:
        if other is not None and (found := find_adapter(other, offline=offline)) is None:
            raise ConfigError(f"{adapter} is no adapter for this model: no {SETTINGS} is there, or can be had")
        return _Source(name, place, revision, offline), found
    base = base_of(found)
    if adapter is not None:
        raise ConfigError(f"{name} is itself an adapter: put {adapter} on its base model, {base}")
    # What was asked for is a revision of what was named, and a folder has none.
    revision = found.base_revision if found.fetched else revision or found.base_revision
    place = place_of(base)
    offline = offline or (not found.fetched and out_of_reach(place))
    if find_adapter(place, revision, offline=offline) is not None:
        raise ConfigError(f"{name} is an adapter for {base}, which is itself an adapter: one on one cannot be loaded")
    return _Source(base, place, revision, offline), found


def base_of(adapter: Adapter) -> str:
    """The name or path of the model that an adapter is for."""
    return adapter.base(tuple(_SHIPPED))


def place_of(name: str) -> str:
    """What transformers is given: a path for what is local, or else the name."""
    if name not in _SHIPPED:
        return name
    folder = Path(str(resources.files("toolformer.builtin"))) / _SHIPPED[name]
    if not folder.is_dir():
        raise ConfigError(f"this installation lacks the model {name}: reinstall toolformer, or name another model")
    return str(folder)


def _config(source: _Source) -> PreTrainedConfig:
    local = Path(source.place).is_dir()
    if not local and is_path(source.place):
        raise ConfigError(unknown_name("model", source.name, _known(source.place)))
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            source.place, revision=source.revision, local_files_only=source.offline
        )
    except (OSError, ValueError) as error:
        if local:
            raise ConfigError(f"{source.name} holds no model: {first_line(error)}") from error
        raise ConfigError(
            f"{unknown_name('model', source.name, _known(source.place))} ({first_line(error)})"
        ) from error
    return config


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


def _tokenizer(source: _Source, adapter: Adapter | None) -> PreTrainedTokenizerBase:
    own = None if adapter is None else adapter.tokenizer
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            own or source.place,
            revision=None if own else source.revision,
            local_files_only=source.offline,
            # For a model, transformers asks the user; that an adapter brings code, nobody would expect.
            trust_remote_code=False if own else None,
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{own or source.place} has no tokenizer that can be read ({first_line(error)}): its files belong beside "
            "the weights"
        ) from error
    return tokenizer


def _model(
    config: PreTrainedConfig, source: _Source, dtype: torch.dtype | str, device: str, quantize: Quantize | None
) -> PreTrainedModel:
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    # A cap on the attention scores is beyond the fused kernels.
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    try:
        with no_bar():
            model: PreTrainedModel = kind.from_pretrained(
                source.place,
                revision=source.revision,
                local_files_only=source.offline,
                dtype=dtype,
                # Where DeepSpeed splits the weights over devices, it does so while they are loaded.
                device_map=None if is_deepspeed_zero3_enabled() else {"": device},  # type: ignore[no-untyped-call]
                quantization_config=quantization(quantize),
                attn_implementation="eager" if capped else None,
                # It would ask the hub once more whether this is an adapter, and wait for it where it is out of reach.
                adapter_kwargs={"local_files_only": True},
            )
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"the weights of {source.place} cannot be read ({first_line(error)}): fetch or copy them again"
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
