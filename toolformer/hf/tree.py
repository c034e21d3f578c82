"""What would stand in a call? Samples that continue the texts of a proposing pass, all of a batch together.

The samples of a text are one tree in the text's own row. A step appends one column for each different continuation
that is still alive; it sees the text up to its position and its own ancestors, and nothing of its siblings. Draws that
have said the same so far are one leaf, and cost one token a step between them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toolformer.hf.encode import Codec
from toolformer.hf.network import Network, batches, halving
from toolformer.hf.openings import Passed, columns, log_probabilities
from toolformer.hf.sampling import Ends, Request, choose, uniform
from toolformer.lm import Continuation, Draw, Ids, Sample

_COMPACT = 64
"""Columns behind the texts from which on it is worth looking for dead ones."""


@dataclass
class Leaf:
    """A continuation that is still alive: a token to be forwarded, what was said behind the opening, and by whom."""

    row: int
    place: int
    """Where its token stands in the row, counted from the prompt's first token."""
    token: int
    said: tuple[int, ...]
    draws: list[int]
    parent: int
    """Its parent's index among the leaves of the step before."""


class TreeOpenings:
    """`lm.Openings` for causal models."""

    def __init__(self, network: Network, codec: Codec, passed: list[Passed], opening: tuple[int, ...]) -> None:
        self._network = network
        self._codec = codec
        self._passed = passed
        self._opening = opening
        self.probabilities: Sequence[Sequence[float]] = [one.probabilities for one in passed]
        self.ranks: Sequence[Sequence[int]] = [one.ranks for one in passed]

    def __enter__(self) -> "TreeOpenings":
        return self

    def __exit__(self, *exception: object) -> None:
        self._passed = []

    def sample(
        self,
        draws: Sequence[Draw],
        *,
        given: Ids = (),
        stops: Sequence[str],
        max_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> list[Sample]:
        """See `lm.Openings`. A draw also ends, unstopped, where the model ends its text or the context is full."""
        request = Request((*self._opening, *given), tuple(stops), max_tokens, temperature, top_p)
        by_text: dict[int, list[int]] = defaultdict(list)
        for index, draw in enumerate(draws):
            by_text[draw.row].append(index)
        samples: dict[int, Sample] = {}

        def work(rows: list[int]) -> None:
            members = [index for row in rows for index in by_text[row]]
            tree = Tree(self._network, self._codec, [self._passed[row] for row in rows], request)
            found = tree.sample([(rows.index(draws[i].row), draws[i].position, draws[i].seed) for i in members])
            samples.update(zip(members, found, strict=True))

        for rows in self._batches(by_text):
            halving(rows, work)
        return [samples[index] for index in range(len(draws))]

    def log_probabilities(self, continuations: Sequence[Continuation]) -> list[float]:
        """See `lm.Openings`."""
        return log_probabilities(self._network, self._passed, continuations)

    def _batches(self, by_text: dict[int, list[int]]) -> list[list[int]]:
        """Rows of one head each, grouped by what a step costs: its live draws, or reading a long text's columns."""
        by_head: dict[int, list[int]] = defaultdict(list)
        for row in by_text:
            by_head[id(self._passed[row].head)].append(row)
        grouped = []
        for rows in by_head.values():
            costs = [
                max(len(by_text[row]), (self._passed[row].head.length + self._passed[row].text) // 16) for row in rows
            ]
            grouped += [[rows[i] for i in batch] for batch in batches(costs, self._network.budget // 2)]
        return grouped


class Tree:
    """The samples of one batch of texts behind one head, as they grow."""

    def __init__(self, network: Network, codec: Codec, texts: list[Passed], request: Request) -> None:
        self._network = network
        self._texts = texts
        self._request = request
        self._ends = Ends(codec, request)

    def sample(self, draws: Sequence[tuple[int, int, int]]) -> list[Sample]:
        """One sample for each (row, position, seed)."""
        self._seeds = [seed for _, _, seed in draws]
        self._samples: list[Sample] = [Sample("", stopped=False, tokens=0)] * len(draws)
        leaves = self._first(draws)
        for token in self._request.opening[1:]:
            if leaves:
                self._grow(leaves)
            leaves = [
                Leaf(leaf.row, leaf.place + 1, token, (), leaf.draws, parent)
                for parent, leaf in enumerate(leaves)
                if leaf.place + 1 < self._network.context
            ]
        while leaves:
            logits = self._grow(leaves)
            leaves = self._said(leaves, logits)
            if leaves:
                self._compact(leaves)
        return self._samples

    def _first(self, draws: Sequence[tuple[int, int, int]]) -> list[Leaf]:
        """A leaf for each position that has draws, and the cache that they stand behind."""
        device = self._network.device
        self._prefix = 0
        positions: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, (row, position, _) in enumerate(draws):
            positions[row, position].append(index)
            self._prefix = max(self._prefix, self._texts[row].begin + position)
        self._cache = columns(self._network, self._texts, self._prefix, _COMPACT)
        self._positions = torch.arange(self._prefix, device=device).expand(len(self._texts), -1)
        leaves = [
            Leaf(row, self._texts[row].begin + position, self._request.opening[0], (), members, index)
            for index, ((row, position), members) in enumerate(positions.items())
        ]
        places = torch.tensor([leaf.place for leaf in leaves], device=device)
        self._visible = torch.arange(self._prefix, device=device) < places[:, None]
        return [leaf for leaf in leaves if leaf.place < self._network.context]

    def _grow(self, leaves: list[Leaf]) -> Tensor:
        """Forward the leaves' tokens, each in a column of its row, and return the logits of what follows each."""
        network, device = self._network, self._network.device
        rows, width = self._positions.shape
        tokens: list[list[int]] = [[] for _ in range(rows)]
        places: list[list[int]] = [[] for _ in range(rows)]
        at = []
        for leaf in leaves:
            at.append((leaf.row, len(tokens[leaf.row]), leaf.parent))
            tokens[leaf.row].append(leaf.token)
            places[leaf.row].append(leaf.place)
        row, columns, parent = torch.tensor(at, device=device).T
        ids, positions = network.grid(tokens), network.grid(places)
        depth = ids.shape[1]
        self._visible = torch.nn.functional.pad(self._visible[parent], (0, depth))
        self._visible[torch.arange(len(leaves), device=device), width + columns] = True
        # Every column sees itself, also one that only fills its row: a column that saw nothing would be NaN.
        visible = torch.eye(depth, width + depth, dtype=torch.bool, device=device).roll(width, 1).repeat(rows, 1, 1)
        visible[row, columns] = self._visible
        self._positions = torch.cat([self._positions, positions], dim=1)
        self._cache.aim(range(rows), [width] * rows, depth)
        wanted = row * depth + columns
        return network.forward(self._cache, ids, positions, visible, self._positions, wanted, real=len(leaves))

    def _said(self, leaves: list[Leaf], logits: Tensor) -> list[Leaf]:
        """Let every draw say its next token. Those that end leave; those that still agree stay together."""
        numbers = [[uniform(self._seeds[draw], len(leaf.said)) for draw in leaf.draws] for leaf in leaves]
        chosen = choose(logits, numbers, self._request.temperature, self._request.top_p)
        grown = []
        for parent, (leaf, tokens) in enumerate(zip(leaves, chosen, strict=True)):
            together: dict[int, list[int]] = defaultdict(list)
            for draw, token in zip(leaf.draws, tokens, strict=True):
                together[token].append(draw)
            for token, members in together.items():
                said = (*leaf.said, token)
                full = leaf.place + 1 >= self._network.context
                if sample := self._ends.sample(said, full, ended=token < 0 or token in self._network.ends):
                    for draw in members:
                        self._samples[draw] = sample
                else:
                    grown.append(Leaf(leaf.row, leaf.place + 1, token, said, members, parent))
        return grown

    def _compact(self, leaves: list[Leaf]) -> None:
        """Drop the rows and columns that nobody alive can see, when they have become many."""
        rows, width = self._positions.shape
        alive = sorted({leaf.row for leaf in leaves})
        if len(alive) <= rows * 3 // 4:
            self._cache.move(alive, width)
            self._positions = self._positions[self._network.places(alive)]
            moved = {old: new for new, old in enumerate(alive)}
            for leaf in leaves:
                leaf.row = moved[leaf.row]
        if width - self._prefix >= _COMPACT:
            self._squeeze(leaves)

    def _squeeze(self, leaves: list[Leaf]) -> None:
        device, prefix = self._network.device, self._prefix
        rows, width = self._positions.shape
        row = torch.tensor([leaf.row for leaf in leaves], device=device)
        self._visible = self._visible[torch.tensor([leaf.parent for leaf in leaves], device=device)]
        for index, leaf in enumerate(leaves):
            leaf.parent = index
        seen = torch.zeros(rows, width - prefix, dtype=torch.int32, device=device)
        seen = seen.index_add_(0, row, self._visible[:, prefix:].int()) > 0
        room = int(seen.sum(dim=1).max())
        if room > seen.shape[1] * 2 // 3:
            return
        columns = seen.int().argsort(dim=1, descending=True, stable=True)[:, :room]
        self._cache.gather(columns, behind=prefix)
        positions = self._positions[:, prefix:].gather(1, columns)
        self._positions = torch.cat([self._positions[:, :prefix], positions], dim=1)
        # A row with fewer live columns than another keeps some dead ones: nobody saw them, and nobody will.
        grown = self._visible[:, prefix:].gather(1, columns[row])
        self._visible = torch.cat([self._visible[:, :prefix], grown], dim=1)
