"""GGUF files, as llama.cpp has them: turned once into a checkpoint of transformers, which is kept in the user's cache.

The name it has there is a hash of the file's content, so that a file that was changed is another model.
"""

import errno
import hashlib
import shutil
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from toolformer.errors import ConfigError, first_line
from toolformer.hf.quiet import no_bar
from toolformer.user_cache import kept

if TYPE_CHECKING:
    from gguf import GGUFReader

TOKENIZER = "tokenizer.huggingface.json"
"""The key of a tokenizer as the tokenizers library writes it."""
_WEIGHTS = ("*.safetensors", "*.bin", "*.safetensors.index.json", "adapter_config.json")
"""What makes a folder one of transformers or peft, whatever else lies in it."""
_ROOM = 1 << 26
"""Bytes for a tokenizer and all that is small."""
_WRONG = (
    OSError,
    struct.error,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
)
"""What comes of a file that is cut off, damaged, or of a kind that is not known: it is parsed with hardly a check."""


def gguf_of(place: str) -> Path | None:
    """The GGUF file that a path means: itself, or the one in a folder that holds no other weights."""
    path = Path(place).expanduser()
    if path.suffix.lower() == ".gguf":
        return path if path.is_file() else None
    if not path.is_dir() or any(next(path.glob(pattern), None) for pattern in _WEIGHTS):
        return None
    found = sorted(path.glob("*.gguf"))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ConfigError(f"{place} holds {len(found)} GGUF files, {names}: name one of them by its path")
    return found[0] if found else None


def converted(file: Path) -> Path:
    """The folder with the same model for transformers."""
    check_reader(str(file))
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return kept(f"{file.stem[:60]}-{digest[:16]}", lambda folder: convert(file, folder))


def check_reader(what: str) -> None:
    """Refuse, unless the package that reads such files is there."""
    if find_spec("gguf") is None:
        raise ConfigError(f"{what}: to read a GGUF file, the package gguf is needed: pip install gguf")


def convert(file: Path, folder: Path) -> None:
    """Write the model of a GGUF file into a folder: weights, settings, tokenizer, chat template.

    The weights of a quantised file are bfloat16. What it says is exact in float32 only, at twice the size, and float16
    would come closer; but nearly all of these models were trained in bfloat16, whose range they need where they are
    then loaded in the checkpoint's own precision, and its rounding is small beside that of the quantisation. A file
    that is not quantised is kept as it is.
    """
    from gguf import GGUFReader

    print(f"{file.name}: turning it into a checkpoint of transformers, once", file=sys.stderr, flush=True)
    given: dict[str, Any] = {"gguf_file": file.name, "trust_remote_code": False, "local_files_only": True}
    with _said_in_one_line(file), nullcontext() if sys.stderr.isatty() else no_bar():
        config = AutoConfig.from_pretrained(file.parent, **given)
        written = GGUFReader(file)
        tokenizer = _own_tokenizer(written, AutoTokenizer.from_pretrained(file.parent, **given), config.vocab_size)
        # Later versions leave the weights packed unless they are told not to; earlier ones know no such setting.
        unpacking = getattr(transformers, "GgufConfig", None)
        if unpacking is not None:
            given["quantization_config"] = unpacking(dequantize=True)
        kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model, told = kind.from_pretrained(
            file.parent, config=config, dtype=_precision(written), output_loading_info=True, **given
        )
        if missing := sorted(told["missing_keys"]):
            raise ValueError(f"it lacks {len(missing)} tensors, such as {missing[0]}")
    check_room(folder, model)
    with no_bar():
        _unquantised(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _precision(written: "GGUFReader") -> torch.dtype:
    """That which keeps the weights as they are, if they are not quantised. float16 is held in float32, too: where it is
    loaded in its own precision, it lacks the range."""
    from gguf import GGMLQuantizationType

    kinds = {tensor.tensor_type for tensor in written.tensors if len(tensor.shape) > 1}
    whole = {GGMLQuantizationType.F32, GGMLQuantizationType.F16}
    return torch.float32 if kinds <= whole else torch.bfloat16


def _own_tokenizer(written: "GGUFReader", found: PreTrainedTokenizerBase, size: int) -> PreTrainedTokenizerBase:
    """The tokenizer that the file holds as the tokenizers library writes it, of so many tokens at most; without one,
    what was made of its list of tokens, in which one such as `→` is lost."""
    field = written.get_field(TOKENIZER)
    if field is None:
        return found
    try:
        backend = Tokenizer.from_str(bytes(field.parts[field.data[0]]).decode())
    except Exception as error:  # the tokenizers library has no class of its own for this
        raise ValueError(f"{TOKENIZER}: {error}") from error
    if backend.get_vocab_size() > size:
        raise ValueError(f"{TOKENIZER} has {backend.get_vocab_size():,} tokens, and the model {size:,}")
    named = {name: getattr(found, name) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    kind: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerBase = kind(tokenizer_object=backend, chat_template=found.chat_template, **named)
    return made


def check_room(folder: Path, model: PreTrainedModel) -> None:
    """Raise what a full disk would, before it is: some of what writes there says it in no way that can be told."""
    needed = sum(tensor.nbytes for tensor in model.state_dict().values()) + _ROOM
    if (free := shutil.disk_usage(folder).free) < needed:
        raise OSError(errno.ENOSPC, f"{free / 2**20:,.0f} MB are free and {needed / 2**20:,.0f} are needed")


@contextmanager
def _said_in_one_line(file: Path) -> Iterator[None]:
    try:
        yield
    except _WRONG as error:
        raise ConfigError(
            f"{file} cannot be read as a model ({first_line(error) or type(error).__name__}): it is cut off, damaged, "
            "or of a kind that transformers does not know. Fetch it again, or take the model in transformers' format"
        ) from error


def _unquantised(model: PreTrainedModel) -> PreTrainedModel:
    """The same tensors in a model that does not know where they came from: `save_pretrained` refuses the other one."""
    config = model.config
    vars(config).pop("quantization_config", None)
    with torch.device("meta"):
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    return plain
