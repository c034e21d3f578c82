"""A model of half precision, asked in fp32 for a moment: its weights are widened block by block as they are used.

The answers are those of the same weights in fp32 throughout, while memory grows by one block only. Quantised models
stay as they are: what they compute in is not for us to choose.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

ROUNDING = 0.1
"""How far a window's loss may be off in half precision, in nats: a logit near 16 is known to 0.06 in bfloat16."""

_HALF = (torch.bfloat16, torch.float16)


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
