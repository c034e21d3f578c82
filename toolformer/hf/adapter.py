"""Adapters: found in a folder or on the hub by their settings, and put on a model.

One of the hub is fetched into its cache, as it is at one commit, and is a folder from then on. Anybody can have written
its settings.

A learned prompt (prompt tuning) becomes tokens: ids behind the vocabulary's end, whose vectors are the prompt's. So it
can stand before a text like a start token, and everything that shares, caches and counts tokens works as it is. The
vocabulary head does not know these ids: they can be read, never said.
"""

import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, is_offline_mode, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel

from toolformer.errors import ConfigError, first_line
from toolformer.reach import is_path

if TYPE_CHECKING:
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

SETTINGS = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_TOKENIZER = "tokenizer_config.json"
_OF_TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
"""What may lie beside it; not all of them have to."""
_KINDS = ("LORA", "PROMPT_TUNING")
_LARGEST = 1 << 22
"""Bytes of settings: thousands of times what they usually are."""
WRONG = (OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError, SafetensorError, re.error)
"""What peft, which checks little, makes of settings that are not what they should be, or are for another model."""


@dataclass(frozen=True)
class Adapter:
    """An adapter whose settings have been read."""

    name: str
    """Its path, or its name on the hub."""
    folder: Path
    kind: str
    """LORA or PROMPT_TUNING."""
    named: str | None
    """What its settings call the base model."""
    base_revision: str | None
    fetched: bool
    """From the hub, and so not to be believed."""
    tokens: tuple[int, ...] = ()
    """Tokens of the vocabulary that it has trained."""

    @property
    def tokenizer(self) -> str | None:
        """The folder of its own tokenizer, where it brings one: it may know more tokens than the base model's."""
        return str(self.folder) if (self.folder / _TOKENIZER).is_file() else None

    def fetch(self, *, offline: bool) -> None:
        """See to it that the weights and the tokenizer lie in the folder."""
        offline = offline or is_offline_mode()
        has = partial(self._has, offline=offline)
        if not has(WEIGHTS):
            raise ConfigError(f"the adapter {self.name} has no {WEIGHTS}: weights of another format are not read")
        if self.fetched and has(_TOKENIZER) and not offline:
            for file in _OF_TOKENIZER:
                has(file)

    def _has(self, file: str, *, offline: bool) -> bool:
        """Whether there is such a file, which then lies in the folder."""
        commit = self.folder.name
        if (self.folder / file).is_file():
            return True
        if not self.fetched or try_to_load_from_cache(self.name, file, revision=commit) is _CACHED_NO_EXIST:
            return False
        try:
            hf_hub_download(self.name, file, revision=commit, local_files_only=offline)
        except RemoteEntryNotFoundError:
            return False
        except OSError as error:
            raise ConfigError(
                f"{file} of the adapter {self.name} cannot be fetched ({first_line(error)}): "
                "load it once while the hub can be reached"
            ) from error
        return True


def find_adapter(place: str, revision: str | None = None, *, offline: bool = False) -> Adapter | None:
    """The adapter of that path or name; None for a whole model, or nothing. Of the hub's, the settings are fetched."""
    if not is_path(place):
        file = _of_hub(place, revision, offline)
        return None if file is None else _read(place, file, fetched=True)
    file = Path(place) / SETTINGS
    return _read(place, file, fetched=False) if file.is_file() else None


def _of_hub(name: str, revision: str | None, offline: bool) -> Path | None:
    """The settings of an adapter. For a model, it costs a question, and none where the cache knows that it is one."""
    cached = partial(try_to_load_from_cache, name, revision=revision)
    try:
        if cached(SETTINGS) is _CACHED_NO_EXIST and isinstance(cached("config.json"), str):
            return None
        seen = hf_hub_download(name, SETTINGS, revision=revision, local_files_only=offline, dry_run=True)
    except (OSError, ValueError) as error:
        asked = isinstance(error, LocalEntryNotFoundError) and not (offline or is_offline_mode())
        if asked and cached("config.json") is None:
            reason = first_line(error.__cause__ or error)
            raise ConfigError(
                f"{name} cannot be had, for the hub gives no answer ({reason}): try again later"
            ) from error
        return None  # Not there, not to be had, or no name at all: who then loads a model of that name says which.
    if (seen.file_size or 0) > _LARGEST:
        raise _damaged(name, f"{seen.file_size} bytes")
    try:
        return Path(hf_hub_download(name, SETTINGS, revision=revision, local_files_only=offline))
    except OSError as error:
        raise ConfigError(
            f"{SETTINGS} of the adapter {name} cannot be fetched ({first_line(error)}): try again"
        ) from error


def _read(name: str, file: Path, *, fetched: bool) -> Adapter:
    try:
        if (size := file.stat().st_size) > _LARGEST:
            raise _damaged(name, f"{size} bytes")
        said: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(name, first_line(error)) from error
    if not isinstance(said, dict):
        raise _damaged(name, "no object")
    named, revision, kind = (said.get(key) for key in ("base_model_name_or_path", "revision", "peft_type"))
    if kind not in _KINDS:
        raise ConfigError(f"{name} is a {str(kind)[:100]} adapter: {' or '.join(_KINDS)} would be right")
    if not isinstance(named, str | None) or not isinstance(revision, str | None) or ".." in (revision or ""):
        raise _damaged(name, "of the base model, name or revision")
    return Adapter(name, file.parent, kind, named, revision, fetched, _tokens(said.get("trainable_token_indices")))


def _tokens(trained: Any) -> tuple[int, ...]:
    """The tokens that were trained: of the one table, or, where there are two, of each alike."""
    if isinstance(trained, dict):
        trained = next(iter(trained.values()), None)
    fits = isinstance(trained, list) and all(type(one) is int for one in trained)
    return tuple(trained) if fits else ()


def _damaged(name: str, reason: str) -> ConfigError:
    return ConfigError(f"the adapter {name} has settings that cannot be right ({SETTINGS}: {reason}): name another one")


def put_on(model: PreTrainedModel, adapter: Adapter, tokens: int) -> PreTrainedModel:
    """The model with the adapter's layers in it, and rows for so many tokens."""
    adapted = _adapted(model, adapter, tokens)
    inner = cast("PreTrainedModel", adapted.get_base_model().eval())
    config = adapted.active_peft_config
    if config.is_prompt_learning:
        _put_before(inner, adapted.get_prompt(batch_size=1)[0, : config.num_virtual_tokens])
    _put_into_tables(inner)
    return inner


def _put_into_tables(model: PreTrainedModel) -> None:
    """Write the vectors of trained tokens into the embeddings and the head. peft would make a copy of the whole table
    with them in it, for either of the two, at every pass."""
    from peft.utils.other import TrainableTokensWrapper

    wrapped = [(name, one) for name, one in model.named_modules() if isinstance(one, TrainableTokensWrapper)]
    for name, one in wrapped:
        table = one.unload_and_optionally_merge_module(merge=True, safe_merge=False, adapter_names=None)
        model.set_submodule(name, table)


def fold(model: PreTrainedModel) -> None:
    """Add what a LoRA has learnt to the weights of its layers: a pass then costs what it costs without an adapter.

    Only in float32: in fewer bits, small changes of large weights would be rounded away. Tables stay as they are, since
    the embeddings and the head may share theirs.
    """
    tables = (model.get_input_embeddings(), model.get_output_embeddings())  # type: ignore[no-untyped-call]
    shared = {id(table.weight) for table in tables if hasattr(table, "weight")}
    for layer in _lora_layers(model):
        weight = layer.get_base_layer().weight
        if weight.dtype == torch.float32 and id(weight) not in shared and not any(layer.lora_bias.values()):
            layer.merge()


def unfold(model: PreTrainedModel) -> None:
    """Take it out again, but for what rounding leaves. Each layer can then be told which adapter is on."""
    for layer in _lora_layers(model):
        if layer.merged:
            layer.unmerge()


def _lora_layers(model: PreTrainedModel) -> "Iterator[LoraLayer]":
    from peft.tuners.lora import LoraLayer

    return (module for module in model.modules() if isinstance(module, LoraLayer))


def merge(model: PreTrainedModel, adapter: Adapter, tokens: int) -> PreTrainedModel:
    """The model with what a LoRA has learnt in its own weights, and rows for so many tokens. No layers are added."""
    if adapter.kind != "LORA":
        raise ConfigError(
            f"{adapter.name} is a learned prompt, which has no place in a model's weights: finetune with LoRA or all "
            "weights"
        )
    adapted = _adapted(model, adapter, tokens)
    try:
        return cast("PreTrainedModel", adapted.merge_and_unload(safe_merge=True).eval())
    except ValueError as error:
        raise ConfigError(f"{adapter.name} cannot be merged ({first_line(error)}): finetune again") from error


def _adapted(model: PreTrainedModel, adapter: Adapter, tokens: int) -> "PeftModel":
    from peft import PeftModel

    if tokens > (known := model.config.get_text_config(decoder=True).vocab_size):
        _add_rows(model, known, tokens)
    try:
        with warnings.catch_warnings():
            # peft asks transformers in a way that is on its way out; nobody who loads an adapter can help it.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            return PeftModel.from_pretrained(model, str(adapter.folder))
    except WRONG as error:
        raise ConfigError(f"{adapter.name} is no adapter for this model: {first_line(error)}") from error


@torch.no_grad()
def _add_rows(model: PreTrainedModel, known: int, tokens: int) -> None:
    """Rows for new tokens, in which the adapter puts what it has learnt. Else they would be random, and the same model
    another one each time it is loaded."""
    model.resize_token_embeddings(tokens, mean_resizing=False)
    for table in (model.get_input_embeddings(), model.get_output_embeddings()):  # type: ignore[no-untyped-call]
        for values in (table.weight, getattr(table, "bias", None)):
            if isinstance(values, torch.Tensor):
                values[known:] = 0


class _SoftPrompt(torch.nn.Module):
    """The model's input embeddings, with some more rows."""

    def __init__(self, embeddings: torch.nn.Module, first: int, prompt: Tensor) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.prompt: Tensor
        self.register_buffer("prompt", prompt)
        self.ids = tuple(range(first, first + len(prompt)))

    def forward(self, ids: Tensor) -> Tensor:
        """The vectors of these tokens."""
        soft = ids >= self.ids[0]
        vectors: Tensor = self.embeddings(ids.masked_fill(soft, 0))
        learned = self.prompt[(ids - self.ids[0]).clamp(min=0)]
        return torch.where(soft.unsqueeze(-1), learned.to(vectors.dtype), vectors)


def _put_before(model: PreTrainedModel, prompt: Tensor) -> None:
    """Teach the model's input side the vectors of a learned prompt."""
    first = model.config.get_text_config().vocab_size
    soft = _SoftPrompt(model.get_input_embeddings(), first, prompt.detach().to(model.device))
    model.set_input_embeddings(soft)


def soft_ids(model: PreTrainedModel) -> tuple[int, ...]:
    """The ids of the model's learned prompt; mostly it has none."""
    embeddings = model.get_input_embeddings()
    return embeddings.ids if isinstance(embeddings, _SoftPrompt) else ()
