"""Texts that grow at their own pace, for the decoder: every token is forwarded once, and few places are only filled."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from toolformer.hf.cache import KeyValues
from toolformer.hf.network import Network, batches, halving
from toolformer.lm import Ids

_PASS = 24
"""What one more forward pass costs, in tokens: a block that fills up fewer places than these is not split."""


class CausalRows:
    """`lm.Rows` for causal models."""

    def __init__(self, network: Network, started: Callable[[Ids], list[int]], prompts: Sequence[Ids]) -> None:
        """`started` is what the model reads of a prompt."""
        self._network = network
        self._started = started
        self._device = network.device
        self._cache = KeyValues(network.device)
        self._counted = torch.arange(0, device=self._device)
        self.logits = torch.zeros(0, network.vocabulary, device=self._device)
        self.lengths: list[int] = []
        self.add(prompts)

    @property
    def room(self) -> Sequence[int]:
        """See `lm.Rows`."""
        return [self._network.context - length for length in self.lengths]

    def add(self, prompts: Sequence[Ids]) -> None:
        """See `lm.Rows`."""
        new = [self._started(prompt) for prompt in prompts]
        self._network.check_fits(list(map(len, new)))
        first = len(self.lengths)
        self.lengths += [0] * len(new)
        self.logits = torch.cat([self.logits, self.logits.new_zeros(len(new), self.logits.shape[1])])

        def work(members: list[int]) -> None:
            self._forward([first + member for member in members], [new[member] for member in members])

        for batch in batches(list(map(len, new)), self._network.budget):
            halving(batch, work)

    def extend(self, ids: Sequence[Ids]) -> None:
        """See `lm.Rows`. Long blocks have a pass of their own where filling up the other rows would cost more."""
        self._network.check_fits([length + len(new) for length, new in zip(self.lengths, ids, strict=True)])
        ones = sum(len(new) == 1 for new in ids)
        if (max(map(len, ids), default=0) - 1) * ones > _PASS:
            self._grow([new if len(new) > 1 else () for new in ids])
            ids = [new if len(new) == 1 else () for new in ids]
        self._grow(ids)

    def _grow(self, ids: Sequence[Ids]) -> None:
        """One pass for the rows that get something; a pass that failed leaves no trace, and some of them go again."""

        def work(grown: list[int]) -> None:
            # A few that wait come along: reading the cache where it lies is cheaper than copying the others together.
            whole = 2 * len(grown) > len(ids) and max(map(len, ids)) == 1
            rows = self._all if whole else grown
            self._forward(rows, [ids[row] for row in rows])

        if grown := [row for row, new in enumerate(ids) if new]:
            halving(grown, work)

    def _forward(self, rows: list[int], ids: Sequence[Ids]) -> None:
        """Append to these rows their ids."""
        counts, starts = list(map(len, ids)), [self.lengths[row] for row in rows]
        depth, width = max(counts), max(starts) + max(counts)
        whole, one_start = rows == self._all, len(set(starts)) == 1
        begins = torch.tensor(starts, device=self._device)
        self._cache.aim(rows, starts, depth)
        columns = begins[:, None] if depth == 1 else begins[:, None] + self._columns(depth)
        ends = [place * depth + count - 1 for place, count in enumerate(counts) if count]
        logits = self._network.forward(
            self._cache,
            self._network.grid(ids),
            # What only fills a place may stand beyond the context.
            columns if depth == 1 and min(counts) else columns.clamp(max=self._network.context - 1),
            None if one_start and depth == 1 else self._columns(width) <= columns[:, :, None],
            self._columns(width).expand(len(rows), -1),
            self._network.places(ends),
            real=sum(counts),
        )
        if whole and len(ends) == len(rows):
            self.logits = logits
        else:
            grown = [row for row, count in zip(rows, counts, strict=True) if count]
            self.logits = self.logits.index_copy(0, self._network.places(grown), logits)
        for row, count in zip(rows, counts, strict=True):
            self.lengths[row] += count

    def _columns(self, width: int) -> Tensor:
        """0, 1, 2, ... up to a width."""
        if len(self._counted) < width:
            self._counted = torch.arange(2 * width, device=self._device)
        return self._counted[:width]

    @property
    def _all(self) -> list[int]:
        return list(range(len(self.lengths)))

    def truncate(self, row: int, length: int, logits: Tensor) -> None:
        """See `lm.Rows`."""
        self.lengths[row] = cut(self.lengths[row], length)
        self.logits = self.logits.index_copy(0, torch.tensor([row], device=self._device), logits[None])

    def keep(self, rows: Sequence[int]) -> None:
        """See `lm.Rows`. Only rows that change their place are copied."""
        if list(rows) == self._all:
            return
        self.lengths = [self.lengths[row] for row in rows]
        self._cache.move(rows, max(self.lengths, default=0))
        self.logits = self.logits[self._network.places(rows)]


def cut(length: int, to: int) -> int:
    """The length to cut to, or a ValueError: a row can only become shorter."""
    if not 0 <= to <= length:
        raise ValueError(f"a row of {length} tokens cannot be cut to {to}")
    return to
