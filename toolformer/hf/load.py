"""Models of transformers behind the port of `lm.py`: by hub name, by local path, GGUF files too, or by a name of ours.

`load` finds a model, loads it with its adapter and in its precision, and refuses what cannot be right. What it is then
asked is answered in `hf/transformers_model.py`. No code that comes with a model is ever run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from toolformer.calls import CallSyntax
from toolformer.errors import ConfigError, first_line
from toolformer.hf.adapted import fold, merge, put_on
from toolformer.hf.adapter import Adapter
from toolformer.hf.checkpoint import NOT_RIGHT, check_size, fingerprint, unreadable
from toolformer.hf.encode import Codec
from toolformer.hf.network import ends_of
from toolformer.hf.precision import device_of, dtype_of, keep_gradients, quantization
from toolformer.hf.quiet import no_bar, no_report
from toolformer.hf.shared import Shared
from toolformer.hf.source import Source, find, no_model
from toolformer.hf.transformers_model import CausalModel, Seq2SeqModel
from toolformer.lm import LanguageModel
from toolformer.loading import Loading, Quantize
from toolformer.reach import is_path, out_of_reach


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

    `builtin` and `builtin-tools` come with the package; `smollm2` is a small real model, fetched at its first use, and
    `smollm2-tools` is that model with the adapter that ships. A path may be a GGUF file, or a folder with one.
    `adapter` is a LoRA or a prompt-tuning adapter by name or path; what is one itself is loaded with the base model
    that it names. Without `offline`, the hub is asked for newer files; if it cannot be reached, its cache will do.
    `Loading` says what `auto` is.
    """
    loading = Loading(
        device=device, dtype=dtype, revision=revision, quantize=quantize, adapter=adapter, offline=offline
    )
    source, found = find(name_or_path, loading)
    network, tokenizer = _loaded(source, found, loading)
    fold(network)
    return _asked(network, tokenizer, _called(name_or_path, source, found, loading), source, found)


def around(network: PreTrainedModel) -> LanguageModel:
    """A whole model that transformers itself has loaded, ready to be asked, with the tokenizer that lies beside it."""
    place = network.name_or_path or ""
    source = Source(place, place, getattr(network.config, "_commit_hash", None), offline=out_of_reach(place))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    model = _asked(network, tokenizer_of(source, None), place, source, None)
    for parameter in trained:  # it is still its owner's
        parameter.requires_grad_(True)
    return model


def _asked(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, source: Source, found: Adapter | None
) -> LanguageModel:
    codec = Codec(tokenizer, name)
    codec.check()
    kind = Seq2SeqModel if network.config.is_encoder_decoder else CausalModel
    return kind(network, codec, name, fingerprint(source, codec, found), Shared(network, source))


def load_network(name_or_path: str, loading: Loading = Loading()) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The same as transformers' own model, with the adapter's layers in it, and the tokenizer."""
    return _loaded(*find(name_or_path, loading), loading)


def load_merged(name_or_path: str, loading: Loading) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The same with the adapter in the model's own weights."""
    return _loaded(*find(name_or_path, loading), loading, put=merge)


def fetch(name_or_path: str, loading: Loading = Loading()) -> tuple[str, str]:
    """See to it that all files of a model are on this machine; what it is called, and its fingerprint.

    Nothing is loaded: that reads the files and takes no memory.
    """
    source, found = find(name_or_path, loading)
    if found is not None:
        found.fetch(offline=source.offline)
    config_of(source)
    name = _called(name_or_path, source, found, loading)
    return name, fingerprint(source, Codec(tokenizer_of(source, found), name), found)


@dataclass(frozen=True)
class Words:
    """A model's vocabulary, without its weights."""

    codec: Codec
    size: int
    """Ids are below it."""
    ends: frozenset[int]
    """The tokens with which the model ends its text."""


def words_of(name_or_path: str, loading: Loading = Loading()) -> Words:
    """The tokenizer of a model by name or path, and how the model ends its text. No weights are needed or read."""
    source, found = find(name_or_path, loading)
    if found is not None:
        found.fetch(offline=source.offline)
    config, tokenizer = config_of(source), tokenizer_of(source, found)
    codec = Codec(tokenizer, name_or_path)
    codec.check()
    size = max(len(tokenizer), config.get_text_config(decoder=True).vocab_size)
    return Words(codec, size, ends_of(_generation_config(source), config))


def _generation_config(source: Source) -> GenerationConfig | None:
    """How a model is meant to be decoded, if it says."""
    try:
        return GenerationConfig.from_pretrained(
            source.place, revision=source.revision or "main", local_files_only=source.offline
        )
    except (OSError, ValueError):
        return None


def _called(name: str, source: Source, found: Adapter | None, loading: Loading) -> str:
    """The name of what is itself an adapter, or else the model's, which for smollm2 says which of the two it is."""
    return source.name if found is None or loading.adapter is not None else name


def _loaded(
    source: Source,
    found: Adapter | None,
    loading: Loading,
    put: Callable[[PreTrainedModel, Adapter, int], PreTrainedModel] = put_on,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    device = device_of(loading.device)
    if found is not None:
        found.fetch(offline=source.offline)
    config = config_of(source)
    tokenizer = tokenizer_of(source, found)
    own = config.dtype if isinstance(config.dtype, torch.dtype) else None
    dtype = dtype_of(loading.dtype, device, own, shipped=source.shipped)
    model = _model(config, source, dtype, device, loading.quantize)
    return (model if found is None else put(model, found, len(tokenizer))), tokenizer


def config_of(source: Source) -> PreTrainedConfig:
    """A model's config, which says what it is made of."""
    local = Path(source.place).is_dir()
    if not local and is_path(source.place):
        raise ConfigError(no_model(source.name, source.place))
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            source.place, revision=source.revision, local_files_only=source.offline, trust_remote_code=False
        )
    except (OSError, StrictDataclassError, *NOT_RIGHT) as error:
        if local or not isinstance(error, OSError):
            raise ConfigError(f"{source.name} holds no model that can be loaded: {_why(error)}") from error
        raise ConfigError(f"{no_model(source.name, source.place)} ({_why(error)})") from error
    return config


def tokenizer_of(source: Source, adapter: Adapter | None) -> PreTrainedTokenizerBase:
    """A model's tokenizer, or its adapter's, which may have more tokens."""
    own = None if adapter is None else adapter.tokenizer
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            own or source.place,
            revision=None if own else source.revision,
            local_files_only=source.offline,
            trust_remote_code=False,
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{own or source.place} has no tokenizer that can be read ({_why(error)}): its files belong beside "
            "the weights"
        ) from error
    if own is None and adapter is not None:
        _add_call_tokens(tokenizer, adapter)
    return tokenizer


def _add_call_tokens(tokenizer: PreTrainedTokenizerBase, adapter: Adapter) -> None:
    """To the base model's tokenizer, where an adapter without one of its own has trained just those that come next."""
    control = CallSyntax.TOKENS.control_tokens
    if adapter.tokens == tuple(range(len(tokenizer), len(tokenizer) + len(control))):
        tokenizer.add_tokens([*control], special_tokens=True)


def _model(
    config: PreTrainedConfig, source: Source, dtype: torch.dtype | str, device: str, quantize: Quantize | None
) -> PreTrainedModel:
    kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    if not is_deepspeed_zero3_enabled():  # type: ignore[no-untyped-call]
        check_size(config, kind, source)
    # A cap on the attention scores is beyond the fused kernels.
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    try:
        with no_bar(), no_report():
            model, told = kind.from_pretrained(
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
                trust_remote_code=False,
                # What is missing, or of another shape, it would make up at random; so it has to be asked about.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise unreadable(source.place, _why(error)) from error
    if wrong := sorted(told["missing_keys"]) or sorted(str(one[0]) for one in told["mismatched_keys"]):
        raise ConfigError(
            f"the weights of {source.place} are not those of its config.json: {len(wrong)} tensors are missing or of "
            f"another shape, such as {wrong[0]}. Fetch or copy both again"
        )
    if quantize == "nf4":
        keep_gradients(model)
    ready: PreTrainedModel = model.eval()
    return ready


def _why(error: BaseException) -> str:
    """What is wrong with a model, in one line."""
    if "trust_remote_code" in str(error):
        return "it brings Python code of its own, which is never run here: take one that transformers knows by itself"
    return first_line(error.__cause__ if isinstance(error, StrictDataclassError) and error.__cause__ else error)
