"""Texts that an encoder-decoder writes at their own pace, for the decoder."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from toolformer.hf.decoding import Decoding
from toolformer.hf.network import Network, batches, halving
from toolformer.hf.rows import cut
from toolformer.lm import Ids


class Seq2SeqRows:
    """`lm.Rows` for encoder-decoders: rows of one length are one batch, and meet again when their lengths do."""

    def __init__(
        self, network: Network, source: Callable[[Ids], list[int]], start: int, prompts: Sequence[Ids]
    ) -> None:
        self._source = source
        self._network = network
        self._start = start
        self._batches: list[tuple[list[int], Decoding]] = []
        """Rows with what the model knows of them."""
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
        first = len(self.lengths)
        logits = self.logits.new_zeros(len(prompts), self.logits.shape[1])

        def work(members: list[int]) -> None:
            decoding = Decoding(self._network, [sources[index] for index in members])
            logits[members] = decoding.extend([[self._start]] * len(members), list(range(len(members))))
            self._batches.append(([first + index for index in members], decoding))

        for batch in batches(list(map(len, sources)), self._network.budget):
            halving(batch, work)
        self.logits = torch.cat([self.logits, logits])
        self.lengths = [*self.lengths, *[1] * len(prompts)]
        self._meet()

    def extend(self, ids: Sequence[Ids]) -> None:
        """See `lm.Rows`."""
        counts = list(map(len, ids))
        self._network.check_fits([length + n for length, n in zip(self.lengths, counts, strict=True)])
        self._split(counts, self.lengths)
        logits = self.logits.clone()
        batches_grown = []
        for members, decoding in self._batches:
            if counts[members[0]]:
                batches_grown += _extended(members, decoding, ids, logits)
            else:
                batches_grown.append((members, decoding))
        self._batches, self.logits = batches_grown, logits
        self.lengths = [length + n for length, n in zip(self.lengths, counts, strict=True)]
        self._meet()

    def truncate(self, row: int, length: int, logits: Tensor) -> None:
        """See `lm.Rows`."""
        self.lengths[row] = cut(self.lengths[row], length)
        self._split(self.lengths, self.lengths)
        self.logits = self.logits.index_copy(0, self._network.places([row]), logits[None])
        self._meet()

    def keep(self, rows: Sequence[int]) -> None:
        """See `lm.Rows`."""
        batches_kept = []
        for members, decoding in self._batches:
            kept = [row for row, old in enumerate(rows) if old in members]
            if kept:
                places = [members.index(rows[row]) for row in kept]
                batches_kept.append((kept, decoding.select(places, decoding.length)))
        self._batches = batches_kept
        self.logits = self.logits[self._network.places(rows)]
        self.lengths = [self.lengths[row] for row in rows]

    def _split(self, kinds: Sequence[int], lengths: Sequence[int]) -> None:
        """Part the batches so that in each all rows are of one kind, and cut every row to its length."""
        parts = []
        for members, decoding in self._batches:
            for kind in sorted({kinds[row] for row in members}):
                rows = [row for row in members if kinds[row] == kind]
                length = lengths[rows[0]]
                if rows == members and length == decoding.length:
                    parts.append((members, decoding))
                else:
                    parts.append((rows, decoding.select([members.index(row) for row in rows], length)))
        self._batches = parts

    def _meet(self) -> None:
        """Join the batches that have come to one length."""
        met: dict[int, tuple[list[int], Decoding]] = {}
        for members, decoding in self._batches:
            if decoding.length in met:
                others, batch = met[decoding.length]
                others += members
                batch.join(decoding)
            else:
                met[decoding.length] = members, decoding
        self._batches = list(met.values())


def _extended(
    members: list[int], decoding: Decoding, ids: Sequence[Ids], logits: Tensor
) -> list[tuple[list[int], Decoding]]:
    """The batch with the ids behind its rows, in parts if memory does not suffice for it; `logits` are set."""
    length, count, parts = decoding.length, len(ids[members[0]]), []

    def work(rows: list[int]) -> None:
        part = decoding if rows == members else decoding.select([members.index(row) for row in rows], length)
        last = [count * (place + 1) - 1 for place in range(len(rows))]
        logits[rows] = part.extend([ids[row] for row in rows], last)
        parts.append((rows, part))

    halving(members, work)
    return parts
