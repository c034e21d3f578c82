"""Where a model computes and how exactly: the words that `load` takes, as torch and bitsandbytes want them."""

import logging
from typing import Literal

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from toolformer.errors import ConfigError, unknown_name

Quantize = Literal["int8", "nf4"]


def device_of(name: str) -> str:
    """The device of that name, if it can be used; `auto` is the GPU where there is one."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split("\n", 1)[0][:120]
        raise ConfigError(
            f"the device {name!r} cannot be used ({reason}): auto would take {device_of('auto')}; `toolformer doctor` "
            "says more"
        ) from error
    return name


def dtype_of(name: str, device: str) -> torch.dtype | str:
    """The precision of that name; `auto` is the checkpoint's own, and float32 on a CPU."""
    if name == "auto":
        return torch.float32 if device == "cpu" else "auto"
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise ConfigError(unknown_name("dtype", name, {*known, "auto"}))
    return known[name]


def quantization(quantize: Quantize | None) -> BitsAndBytesConfig | None:
    """What bitsandbytes is told."""
    if quantize is None:
        return None
    if quantize == "int8":
        # It says at every multiplication that it casts its input.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]
    if quantize == "nf4":
        return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    raise ConfigError(unknown_name("quantization", quantize, ("int8", "nf4")))


def keep_gradients(model: PreTrainedModel) -> None:
    """On CPUs with AVX512-BF16 one forward pass repacks the weights for good, for a path that has no backward."""
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
