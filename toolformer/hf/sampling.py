"""Choosing the next token: temperature, nucleus, and randomness that belongs to one draw alone."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def uniform(seed: int, step: int) -> float:
    """A number in (0, 1) that depends on these two and on nothing else."""
    digest = hashlib.blake2b(f"{seed}:{step}".encode(), digest_size=6).digest()
    return (int.from_bytes(digest) + 0.5) / 2**48


def choose(logits: Tensor, numbers: Sequence[Sequence[float]], temperature: float, top_p: float) -> list[list[int]]:
    """For each row of logits a token for each of its uniform numbers; -1 where the logits are not numbers.

    The distribution is inverted in the order of the ids and in fp64, so that rounding elsewhere moves a choice only
    when the uniform number falls within that rounding of a border between two tokens.
    """
    if temperature == 0:
        best = logits.argmax(dim=-1).tolist()
        return [[token] * len(row) for token, row in zip(best, numbers, strict=True)]
    weights = torch.softmax(logits.double() / temperature, dim=-1)
    if top_p < 1:
        weights = _nucleus(weights, top_p)
    cumulated = weights.cumsum_(dim=-1)
    total = cumulated[:, -1:]
    most = max(map(len, numbers))
    padded = torch.tensor([[*row, *[0.5] * (most - len(row))] for row in numbers], dtype=torch.double)
    chosen = torch.searchsorted(cumulated, padded.to(logits.device) * total, right=True)
    tokens = torch.where(total.isfinite(), chosen, -1).tolist()
    return [some[: len(row)] for some, row in zip(tokens, numbers, strict=True)]


def _nucleus(weights: Tensor, top_p: float) -> Tensor:
    """The smallest set of likeliest tokens that together reach `top_p`; of equals, those with the lower ids."""
    ordered, order = weights.sort(dim=-1, descending=True, stable=True)
    outside = ordered.cumsum(dim=-1) - ordered >= top_p
    return weights.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), 0.0)
