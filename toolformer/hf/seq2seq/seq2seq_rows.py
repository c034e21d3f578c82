"""Texts that an encoder-decoder writes at their own pace, for the decoder."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from toolformer.hf.causal_rows import cut
from toolformer.hf.network import Network, batches, halving
from toolformer.hf.seq2seq.decoding import Decoding
from toolformer.lm import Ids


class Seq2SeqRows:
    """`lm.Rows` for encoder-decoders: rows of one length that get as many ids as each other go in one pass."""

    def __init__(
        self, network: Network, source: Callable[[Ids], list[int]], start: int, prompts: Sequence[Ids]
    ) -> None:
        """`source` is what the encoder reads of a prompt; `start` is the decoder's start token."""
        self._network = network
        self._source = source
        self._start = start
        self._held: list[tuple[Decoding, int]] = []
        """For each row the batch that holds it, which may have gone on since, and its place there."""
        self.logits = torch.zeros(0, network.vocabulary, device=network.device)
        self.lengths: list[int] = []
        self.add(prompts)

    @property
    def room(self) -> Sequence[int]:
        """See `lm.Rows`."""
        return [self._network.context - length for length in self.lengths]

    def add(self, prompts: Sequence[Ids]) -> None:
        """See `lm.Rows`. The encoder reads the prompts; each row begins with the decoder's start token."""
        sources = [self._source(prompt) for prompt in prompts]
        self._network.check_fits(list(map(len, sources)))
        logits = self.logits.new_zeros(len(prompts), self.logits.shape[1])
        held: dict[int, tuple[Decoding, int]] = {}

        def work(members: list[int]) -> None:
            decoding = Decoding(self._network, [sources[index] for index in members])
            logits[members] = decoding.extend([[self._start]] * len(members), range(len(members)))
            held.update((index, (decoding, place)) for place, index in enumerate(members))

        for batch in batches(list(map(len, sources)), self._network.budget):
            halving(batch, work)
        self._held += [held[index] for index in range(len(prompts))]
        self.logits = torch.cat([self.logits, logits])
        self.lengths += [1] * len(prompts)

    def extend(self, ids: Sequence[Ids]) -> None:
        """See `lm.Rows`."""
        self._network.check_fits([length + len(new) for length, new in zip(self.lengths, ids, strict=True)])
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, new in enumerate(ids):
            if new:
                alike[self.lengths[row], len(new)].append(row)

        def work(rows: list[int]) -> None:
            rows, batch = self._together(rows)
            count = len(ids[rows[0]])
            logits = batch.extend([ids[row] for row in rows], [count * place - 1 for place in range(1, len(rows) + 1)])
            self.logits = self.logits.index_copy(0, self._network.places(rows), logits)
            for place, row in enumerate(rows):
                self._held[row] = batch, place
                self.lengths[row] += count

        for rows in alike.values():
            halving(rows, work)

    def _together(self, rows: list[int]) -> tuple[list[int], Decoding]:
        """Rows of one length, in some order, as one batch: the one that holds just these, or a new one."""
        length = self.lengths[rows[0]]
        held: dict[Decoding, list[int]] = defaultdict(list)
        for row in rows:
            held[self._held[row][0]].append(row)
        parts = []
        for batch, members in held.items():
            places = [self._held[row][1] for row in members]
            whole = batch.length == length and places == list(range(batch.rows))
            parts.append(batch if whole else batch.select(places, length))
        for part in parts[1:]:
            parts[0].join(part)
        return [row for members in held.values() for row in members], parts[0]

    def truncate(self, row: int, length: int, logits: Tensor) -> None:
        """See `lm.Rows`."""
        self.lengths[row] = cut(self.lengths[row], length)
        self.logits = self.logits.index_copy(0, self._network.places([row]), logits[None])

    def keep(self, rows: Sequence[int]) -> None:
        """See `lm.Rows`."""
        self._held = [self._held[row] for row in rows]
        self.lengths = [self.lengths[row] for row in rows]
        self.logits = self.logits[self._network.places(rows)]
