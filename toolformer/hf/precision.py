"""Where a model computes and how exactly: the words that `load` takes, as torch and bitsandbytes want them."""

import functools
import logging
from pathlib import Path

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from toolformer.errors import ConfigError, unknown_name
from toolformer.loading import Loading, Quantize

_NAMES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_PACKED = {torch.int8: "int8", torch.uint8: "nf4"}
"""What weights are kept as that bitsandbytes has packed."""
_CPU_WITH_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""What the kernel calls it: two on x86, the last on ARM."""


def device_of(name: str) -> str:
    """The device of that name, if it can be used; `auto` is the GPU where there is one, also Apple's."""
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split("\n", 1)[0][:120]
        raise ConfigError(
            f"the device {name!r} cannot be used ({reason}): auto would take {device_of('auto')}; `toolformer doctor` "
            "says more"
        ) from error
    return name


def dtype_of(name: str, device: str, own: torch.dtype | None, *, shipped: bool = False) -> torch.dtype | str:
    """The precision of that name. `auto` is `own`, the checkpoint's, where the device computes in it.

    On a CPU that is bfloat16 for one of half precision if the CPU has it, and float32 otherwise: emulated, half
    precision is slower. What comes with the package is float32 on every CPU, as its documented figures are.
    """
    if name != "auto":
        if name not in _NAMES:
            raise ConfigError(unknown_name("dtype", name, {*_NAMES, "auto"}))
        return _NAMES[name]
    if torch.device(device).type != "cpu":
        return "auto"
    half = own in (torch.bfloat16, torch.float16) and not shipped
    return torch.bfloat16 if half and cpu_has_bf16() else torch.float32


def check_words(loading: Loading) -> None:
    """Refuse words that mean nothing here, for whoever writes before they load."""
    dtype_of(loading.dtype, device_of(loading.device), None)
    quantization(loading.quantize)


@functools.cache
def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies in bfloat16 by itself. Only Linux says so in a way that every torch can be asked."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    named = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not _CPU_WITH_BF16.isdisjoint(named.split())


def precision(model: nn.Module) -> str:
    """How the weights are held, in words: float32, or bfloat16+nf4."""
    kinds = {parameter.dtype for parameter in model.parameters()}
    return "+".join(sorted(_PACKED.get(kind) or str(kind).removeprefix("torch.") for kind in kinds))


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
