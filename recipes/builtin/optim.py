"""Muon: momentum, orthogonalised. torch.optim.Muon iterates in bf16 always, which many CPUs are slow at.

Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
"""

from collections.abc import Iterable

import torch

_STEPS = ((3.4445, -4.7750, 2.0315),) * 5
"""The coefficients of the odd polynomial that drives all singular values towards one, five times."""


class Muon(torch.optim.Optimizer):
    """For matrices only. Weight decay is decoupled; matrices of one shape are orthogonalised together."""

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for param in group["params"]:
                if param.grad is not None:
                    shapes.setdefault(param.shape, []).append(param)
            for shape, params in shapes.items():
                momenta = torch.stack([self._momentum(param, group["momentum"]) for param in params])
                update = orthogonal(momenta, self._dtype)
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for param, direction in zip(params, update, strict=True):
                    param.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-scale)

    def _momentum(self, param: torch.nn.Parameter, beta: float) -> torch.Tensor:
        """Nesterov's momentum."""
        assert param.grad is not None
        state = self.state[param]
        if not state:
            state["momentum"] = torch.zeros_like(param)
        state["momentum"].lerp_(param.grad, 1 - beta)
        return param.grad.lerp(state["momentum"], beta)


def orthogonal(matrices: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Each matrix with its singular values brought near one, by Newton and Schulz's iteration."""
    wide = matrices.size(-2) <= matrices.size(-1)
    x: torch.Tensor = matrices if wide else matrices.mT
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)).to(dtype)
    for a, b, c in _STEPS:
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.mT).to(matrices.dtype)
