"""The files of a checkpoint: can its settings be those of its weights, and which model is it?

Both are asked before any memory is taken. Which model it is, is a hash of what the checkpoint holds, every tensor of
it, and of nothing else. How it is loaded makes no difference: on which device, in which precision, quantised or not,
and from how many files. `LanguageModel.precision` says that. Of the settings, what only names things or versions is
left out.
"""

import hashlib
import json
import mmap
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
)
from transformers.utils.hub import cached_file, get_checkpoint_shard_files

from toolformer.errors import ConfigError, first_line
from toolformer.hf.adapter import SETTINGS, WEIGHTS, Adapter
from toolformer.hf.encode import Codec
from toolformer.hf.source import Source

NOT_RIGHT = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError)
"""What comes of settings that no model can have, such as no heads at all."""
_NAMES_ONLY = ("transformers_version", "dtype", "torch_dtype", "base_model_name_or_path", "revision", "peft_version")
"""Of settings, those that decide no answer: what a thing is called, who wrote it, and in which precision."""
_DAMAGED = (OSError, ValueError, KeyError, TypeError, RuntimeError)


def file_of(source: Source, name: str) -> Path | None:
    """A file of the checkpoint by its name, fetched if need be; None if it has no such file."""
    # The cache first: who has loaded the model, or its settings, has asked the hub already.
    for local in (True,) if source.offline else (True, False):
        found = cached_file(
            source.place,
            name,
            revision=source.revision,
            local_files_only=local,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if found is not None:
            return Path(found)
    return None


def weights_of(source: Source) -> list[Path]:
    """The files of weights that transformers loads."""
    for whole, index in ((SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME), (WEIGHTS_NAME, WEIGHTS_INDEX_NAME)):
        if file := file_of(source, whole):
            return [file]
        if file := file_of(source, index):
            return _shards(source, file)
    raise ConfigError(f"{source.place} has no weights of a format that is read: {SAFE_WEIGHTS_NAME} would be right")


def _shards(source: Source, index: Path) -> list[Path]:
    where = {"revision": source.revision, "local_files_only": source.offline}
    try:
        shards, _ = get_checkpoint_shard_files(source.place, str(index), **where)  # type: ignore[no-untyped-call]
        return [Path(shard) for shard in shards]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise unreadable(source.place, first_line(error)) from error


def unreadable(place: str, reason: str) -> ConfigError:
    """What to raise where weights cannot be read."""
    return ConfigError(f"the weights of {place} cannot be read ({reason}): fetch or copy them again")


def check_size(config: PreTrainedConfig, kind: Any, source: Source) -> None:
    """Refuse settings of a model that the weights cannot fill: what is missing would be made up, and takes memory.

    `kind` is the class of transformers that will load it. A weight has one bit at least.
    """
    held = sum(path.stat().st_size for path in weights_of(source))
    layers = getattr(config.get_text_config(decoder=True), "num_hidden_layers", None) or 0
    try:
        # A layer takes a file some hundred bytes, if only to name its tensors; a million take for ever to be made.
        fits = layers * 100 <= held and _parameters(config, kind) <= 8 * held
    except NOT_RIGHT as error:
        raise ConfigError(
            f"the config.json of {source.place} describes no model that can be made ({first_line(error)}): fetch or "
            "copy it again"
        ) from error
    if not fits:
        raise ConfigError(
            f"the config.json of {source.place} describes a model that its {held:,} bytes of weights cannot be: fetch "
            "or copy both again"
        )


def _parameters(config: PreTrainedConfig, kind: Any) -> int:
    with torch.device("meta"):
        shell = kind.from_config(config, trust_remote_code=False)
    return sum(parameter.numel() for parameter in shell.parameters())


def fingerprint(source: Source, codec: Codec, adapter: Adapter | None) -> str:
    """Of the model and what is put on it. Files of the hub that are not in its cache yet are fetched."""
    files = weights_of(source)
    settings = [path for name in ("config.json", "generation_config.json") if (path := file_of(source, name))]
    if adapter is not None:
        files.append(adapter.folder / WEIGHTS)
        settings.append(adapter.folder / SETTINGS)
    return _mark(files, settings, source.place, codec.recipe, codec.tokenizer.chat_template)


def weights_mark(source: Source) -> str:
    """Of the weights alone: the same base model under another name has the same."""
    return _mark(weights_of(source), [], source.place)


def adapter_mark(adapter: Adapter) -> str:
    """Of what an adapter has learnt, whatever it is put on."""
    return _mark([adapter.folder / WEIGHTS], [adapter.folder / SETTINGS], adapter.name)


def _mark(files: list[Path], settings: list[Path], place: str, *words: str | None) -> str:
    """A hash of these tensors and settings, behind what else is to count."""
    try:
        told = [_settings(json.loads(path.read_text("utf-8"))) for path in settings]
        tensors = sorted(line for path in files for line in _in_file(path))
    except _DAMAGED as error:
        raise unreadable(place, first_line(error)) from error
    return hashlib.sha256(json.dumps([*words, told, tensors], sort_keys=True, default=str).encode()).hexdigest()[:16]


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if not name.startswith("_") and name not in _NAMES_ONLY}


def _in_file(path: Path) -> Iterator[str]:
    """A line for each tensor."""
    if path.suffix == ".safetensors":
        yield from _in_safetensors(path)
        return
    held: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    for name, tensor in held.items():
        yield _line(name, tensor)


def _in_safetensors(path: Path) -> Iterator[str]:
    """At the speed of the disk or of the processor, whichever is slower, and never more than a page in memory of ours.

    The file: the length of its header in eight bytes, the header in JSON, and behind that the tensors.
    """
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
        ThreadPoolExecutor(torch.get_num_threads()) as pool,
    ):
        begin = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:begin])
        header.pop("__metadata__", None)
        yield from pool.map(partial(_of_entry, view, begin), header, header.values())


def _of_entry(view: memoryview, begin: int, name: str, entry: Mapping[str, Any]) -> str:
    first, last = entry["data_offsets"]
    with view[begin + first : begin + last] as held:
        return f"{name} {entry['dtype']} {entry['shape']} {hashlib.sha256(held).hexdigest()}"


def _line(name: str, tensor: Tensor) -> str:
    held = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return f"{name} {tensor.dtype} {[*tensor.shape]} {hashlib.sha256(held).hexdigest()}"
