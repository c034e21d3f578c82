"""Where a model computes and how exactly: the words that `load` takes, as torch and bitsandbytes want them.

A model of half precision can be asked in fp32 for a moment: its weights are widened block by block as they are used.
The answers are those of the same weights in fp32 throughout, while memory grows by one block only. Quantised models
stay as they are: what they compute in is not for us to choose.
"""

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from toolformer.errors import ConfigError, first_line, unknown_name
from toolformer.loading import Loading, Quantize

_NAMES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_PACKED = {torch.int8: "int8", torch.uint8: "nf4"}
"""What weights are kept as that bitsandbytes has packed."""
ROUNDING = 0.1
"""How far a window's loss may be off in half precision, in nats: a logit near 16 is known to 0.06 in bfloat16."""
_HALF = (torch.bfloat16, torch.float16)
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
        raise ConfigError(
            f"the device {name!r} cannot be used ({first_line(error)[:120]}): auto would take {device_of('auto')}; "
            "`toolformer doctor` says more"
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
    half = own in _HALF and not shipped
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


def rounding(model: nn.Module) -> float:
    """How far the window losses of a model may be off for want of precision: 0 where that cannot be helped."""
    kinds = {parameter.dtype for parameter in model.parameters()}
    return ROUNDING if kinds & set(_HALF) and all(kind.is_floating_point for kind in kinds) else 0.0


@contextmanager
def in_fp32(model: nn.Module) -> Iterator[None]:
    """Within the block, the model computes in fp32. Its weights are never changed."""
    with ExitStack() as stack:
        for module, parameters in _units(model):
            if narrow := [parameter for parameter in parameters if parameter.dtype in _HALF]:
                stack.enter_context(_widened(module, narrow))
        yield


@contextmanager
def _widened(module: nn.Module, parameters: list[nn.Parameter]) -> Iterator[None]:
    """Whenever the module runs within the block, these parameters are fp32."""
    held: list[Tensor] = []

    def widen(*_: object) -> None:
        held[:] = [parameter.data for parameter in parameters]
        for parameter in parameters:
            parameter.data = parameter.data.float()

    def restore(*_: object) -> None:
        for parameter, data in zip(parameters, held, strict=True):
            parameter.data = data

    before = module.register_forward_pre_hook(widen)
    behind = module.register_forward_hook(restore, always_call=True)  # memory may run out in between
    try:
        yield
    finally:
        before.remove()
        behind.remove()


def _units(module: nn.Module) -> Iterator[tuple[nn.Module, list[nn.Parameter]]]:
    """The blocks, each with all its parameters, and what lies around them with its own."""
    for child in module.children():
        if isinstance(module, nn.ModuleList):
            yield child, list(child.parameters())
        else:
            yield from _units(child)
    if not isinstance(module, nn.ModuleList):
        yield module, list(module.parameters(recurse=False))
