"""Which model it is: a hash of what its checkpoint holds, every tensor of it, and of nothing else.

How it is loaded makes no difference: on which device, in which precision, quantised or not, and from how many files.
`LanguageModel.precision` says that. Of the settings, what only names things or versions is left out.
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

from toolformer.errors import ConfigError
from toolformer.hf.adapter import SETTINGS, WEIGHTS, Adapter
from toolformer.hf.checkpoint import file_of, weights_of
from toolformer.hf.encode import Codec
from toolformer.hf.quiet import first_line
from toolformer.hf.source import Source

_NAMES_ONLY = ("transformers_version", "dtype", "torch_dtype", "base_model_name_or_path", "revision", "peft_version")
"""Of settings, those that decide no answer: what a thing is called, who wrote it, and in which precision."""
_DAMAGED = (OSError, ValueError, KeyError, TypeError, RuntimeError)


def fingerprint(source: Source, codec: Codec, adapter: Adapter | None) -> str:
    """Of the model and what is put on it. Files of the hub that are not in its cache yet are fetched."""
    files = weights_of(source)
    settings = [path for name in ("config.json", "generation_config.json") if (path := file_of(source, name))]
    if adapter is not None:
        files.append(adapter.folder / WEIGHTS)
        settings.append(adapter.folder / SETTINGS)
    try:
        told = [_settings(json.loads(path.read_text("utf-8"))) for path in settings]
        tensors = sorted(line for path in files for line in _in_file(path))
    except _DAMAGED as error:
        raise ConfigError(
            f"the weights of {source.place} cannot be read ({first_line(error)}): fetch or copy them again"
        ) from error
    return _hash(codec, told, tensors)


def _hash(codec: Codec, settings: list[dict[str, Any]], tensors: list[str]) -> str:
    said = [codec.recipe, codec.tokenizer.chat_template, settings, tensors]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


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
