"""Texts that grow at their own pace, for the decoder: columns are appended, hidden, gathered, and computed once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from toolformer.errors import ConfigError
from toolformer.hf.cache import KeyValues
from toolformer.hf.network import Network, batches, halving
from toolformer.lm import Ids

_REMEMBERED = 2**28
"""Bytes of past logits that are kept, so that undoing a call forwards nothing."""


class PastLogits:
    """The logits that rows had at their last lengths, so that what is undone need not be computed again."""

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._rows: list[dict[int, tuple[Tensor, int]]] = []

    def remember(self, logits: Tensor, lengths: Sequence[int], rows: Sequence[int]) -> None:
        """Keep the logits of these rows for the lengths that they have now. New rows come behind the others."""
        self._rows += [{} for _ in range(len(lengths) - len(self._rows))]
        limit = max(2, _REMEMBERED // (4 * self._vocabulary * max(1, len(lengths))))
        for row in rows:
            past = self._rows[row]
            past[lengths[row]] = (logits, row)
            if len(past) > limit:
                del past[next(iter(past))]

    def recall(self, row: int, length: int) -> Tensor | None:
        """What the row's logits were when it had this length, if that is still known."""
        if length not in self._rows[row]:
            return None
        logits, index = self._rows[row][length]
        return logits[index]

    def cut(self, row: int, length: int) -> None:
        """Forget what came behind this length."""
        self._rows[row] = {past: logits for past, logits in self._rows[row].items() if past <= length}

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; one named twice is forked."""
        self._rows = [{**self._rows[row]} for row in rows]


class CausalRows:
    """`lm.Rows` for causal models.

    All rows share the columns of one cache. A row that gets fewer tokens than another gets holes in front of them:
    nobody sees a hole, and positions count only what is real.
    """

    def __init__(self, network: Network, start: tuple[int, ...], prompts: Sequence[Ids]) -> None:
        self._network = network
        self._start = start
        self._device = network.device
        self._cache = KeyValues(torch.zeros(0, 0, dtype=torch.long, device=self._device))
        self._real = torch.zeros(0, 0, dtype=torch.bool, device=self._device)
        self._ids: list[list[int]] = []
        self._past = PastLogits(network.vocabulary)
        self.logits = torch.zeros(0, network.vocabulary, device=self._device)
        self.lengths: Sequence[int] = []
        self.add(prompts)

    def add(self, prompts: Sequence[Ids]) -> None:
        """See `lm.Rows`. The start token is put first where a prompt does not begin with it."""
        rows = [self._started(prompt) for prompt in prompts]
        self._network.check_fits(list(map(len, rows)))
        first = len(self.lengths)
        added: list[int] = []

        def work(members: list[int]) -> None:
            self._prefill([rows[index] for index in members])
            added.extend(members)

        for batch in batches(list(map(len, rows)), self._network.budget):
            halving(batch, work)
        order = sorted(range(len(added)), key=added.__getitem__)
        if order != list(range(len(added))):
            self.keep([*range(first), *(first + index for index in order)])

    def _started(self, prompt: Ids) -> list[int]:
        begins = tuple(prompt[: len(self._start)]) == self._start
        row = [*prompt] if begins else [*self._start, *prompt]
        if not row:
            raise ConfigError(f"{self._network.name} has no start token: it cannot go on from an empty prompt")
        return row

    def _prefill(self, rows: list[list[int]]) -> None:
        width = max(map(len, rows))
        cache = KeyValues(torch.zeros(len(rows), 0, dtype=torch.long, device=self._device))
        last = [index * width + len(row) - 1 for index, row in enumerate(rows)]
        logits = self._network.append(cache, rows, last)
        lengths = torch.tensor(list(map(len, rows)), device=self._device)
        real = torch.arange(width, device=self._device) < lengths[:, None]
        total = max(width, self._cache.width)
        self._cache.join(cache)
        self._real = torch.cat([torch.nn.functional.pad(r, (0, total - r.shape[1])) for r in (self._real, real)])
        self.logits = torch.cat([self.logits, logits])
        self.lengths = [*self.lengths, *map(len, rows)]
        self._ids += rows
        self._past.remember(self.logits, self.lengths, range(len(self.lengths) - len(rows), len(self.lengths)))

    def extend(self, ids: Sequence[Ids]) -> None:
        """See `lm.Rows`. The rows that wait are filled up, so it pays to extend many at once."""
        counts = list(map(len, ids))
        depth = max(counts, default=0)
        if depth == 0:
            return
        self._network.check_fits([length + count for length, count in zip(self.lengths, counts, strict=True)])
        width = self._cache.width
        filler = self._network.filler
        block = torch.tensor([[*[filler] * (depth - len(new)), *new] for new in ids], device=self._device)
        # Counted so that the last column of a row that gets a token has the position behind the row's present end.
        ends = torch.tensor([length + count - depth for length, count in zip(self.lengths, counts, strict=True)])
        positions = (ends[:, None] + torch.arange(depth)).clamp_(min=0).to(self._device)
        if min(counts) == depth:
            new = self._real.new_ones(len(ids), depth)
        else:
            new = (torch.arange(depth) >= depth - torch.tensor(counts)[:, None]).to(self._device)
        self._real = torch.cat([self._real, new], dim=1)
        visible = self._real[:, None]
        if depth > 1:
            visible = visible & torch.ones(depth, width + depth, dtype=torch.bool, device=self._device).tril(width)
        grown = [row for row, count in enumerate(counts) if count]
        wanted = torch.tensor([row * depth + depth - 1 for row in grown], device=self._device)
        logits = self._network.run(self._cache, block, positions, visible, wanted, real=sum(counts))
        if len(grown) < len(counts):
            logits = self.logits.index_copy(0, torch.tensor(grown, device=self._device), logits)
        self.logits = logits
        self.lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]
        for row in grown:
            self._ids[row].extend(ids[row])
        self._past.remember(logits, self.lengths, grown)
        self._squeeze()

    def truncate(self, lengths: Sequence[int]) -> None:
        """See `lm.Rows`. Logits that are no longer kept are asked for again with the row's last token."""
        cut = [row for row, length in enumerate(lengths) if length != self.lengths[row]]
        if not cut:
            return
        past = {row: self._past.recall(row, lengths[row]) for row in cut}
        forgotten = {row: self._ids[row][lengths[row] - 1] for row, logits in past.items() if logits is None}
        new = [length - (row in forgotten) for row, length in enumerate(lengths)]
        if not all(0 <= length <= old for length, old in zip(new, self.lengths, strict=True)):
            raise ValueError(f"rows of {self.lengths} tokens cannot be cut to {list(lengths)}")
        self._real &= self._real.cumsum(dim=1) <= torch.tensor(new, device=self._device)[:, None]
        self.logits = self.logits.clone()
        for row, logits in past.items():
            if logits is not None:
                self.logits[row] = logits
            del self._ids[row][new[row] :]
            self._past.cut(row, new[row])
        self.lengths = new
        self._trim()
        if forgotten:
            self.extend([[forgotten[row]] if row in forgotten else [] for row in range(len(new))])

    def keep(self, rows: Sequence[int]) -> None:
        """See `lm.Rows`."""
        if list(rows) == list(range(len(self.lengths))):
            return
        index = torch.tensor(rows, dtype=torch.long, device=self._device)
        self._cache.select(index)
        self._real, self.logits = self._real[index], self.logits[index]
        self.lengths = [self.lengths[row] for row in rows]
        self._ids = [[*self._ids[row]] for row in rows]
        self._past.keep(rows)
        self._squeeze()

    def _trim(self) -> None:
        """Forget the columns at the end that have become nobody's."""
        used = self._real.any(dim=0).nonzero()
        width = int(used[-1]) + 1 if len(used) else 0
        self._cache.trim(width)
        self._real = self._real[:, :width]

    def _squeeze(self) -> None:
        """Drop the holes when they have become a good part of the cache."""
        longest = max(self.lengths, default=0)
        if self._cache.width <= longest * 5 // 4 + 32:
            return
        columns = self._real.int().argsort(dim=1, descending=True, stable=True)[:, :longest]
        self._cache.gather(columns)
        self._real = self._real.gather(1, columns)
