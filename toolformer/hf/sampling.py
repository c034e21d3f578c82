"""The next token of a sample, and where a sample ends.

Temperature, nucleus, and randomness that belongs to one draw alone; then a stop, the model's own end of text, or a
limit. All this looks at logits and at what was said so far, and knows nothing of the passes that they come from.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toolformer.hf.encode import Codec
from toolformer.lm import Sample


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


@dataclass(frozen=True)
class Request:
    """How to sample, for all draws alike."""

    opening: tuple[int, ...]
    """What the draws go on behind: a call's opening, and what is given behind it."""
    stops: tuple[str, ...]
    max_tokens: int
    temperature: float
    top_p: float


class Ends:
    """Where a draw ends. Its few tokens are decoded only when the last of them could complete a stop."""

    def __init__(self, codec: Codec, request: Request) -> None:
        self.request = request
        self._codec = codec
        self._last = {stop[-1] for stop in request.stops} | {"\ufffd"}
        self._may_stop: dict[int, bool] = {}

    def sample(self, said: tuple[int, ...], full: bool, ended: bool) -> Sample | None:
        """The sample, if it ends here. The model's own end of text is not part of it."""
        if ended:
            return Sample(self._text(said[:-1]), stopped=False, tokens=len(said))
        if self._could_stop(said[-1]):
            text = self._text(said)
            cuts = [start + len(stop) for stop in self.request.stops if (start := text.find(stop)) >= 0]
            if cuts:
                return Sample(text[: min(cuts)], stopped=True, tokens=len(said))
        if full or len(said) >= self.request.max_tokens:
            return Sample(self._text(said), stopped=False, tokens=len(said))
        return None

    def _could_stop(self, token: int) -> bool:
        if token not in self._may_stop:
            self._may_stop[token] = not self._last.isdisjoint(self._text((token,)))
        return self._may_stop[token]

    def _text(self, said: tuple[int, ...]) -> str:
        return self._codec.behind(self.request.opening, said)
