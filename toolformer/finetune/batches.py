"""Rows as batches. What is in a step depends on the settings alone, not on how many devices share it.

The rows of some steps are drawn together, sorted by length, cut into groups that go through a device at once, and the
groups are shared out at random: so little is padded. The whole run is planned ahead; a resumed one goes on in its plan.
"""

import itertools
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.utils.data import Dataset

from toolformer.finetune.training_rows import TrainingRow

IGNORED = -100
POOL = 8
"""Steps whose rows are drawn together."""
Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class Plan:
    """The groups of rows of a run, in their order; `groups` of them make a step."""

    members: Sequence[Sequence[int]]
    groups: int

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return len(self.members) // self.groups


def plan(lengths: Sequence[int], batch_size: int, device_batch: int, devices: int, steps: int, seed: int) -> Plan:
    """Deal rows of these lengths out to the steps: all are seen once before one is seen again."""
    batch_size = min(batch_size, len(lengths))
    # Each device gets as many groups as any other, and no group is empty: if need be, the batch grows to one row each.
    groups = devices * ceil(batch_size / (devices * device_batch))
    batch_size = max(batch_size, groups)
    members: list[array[int]] = []
    deck = array("q")
    rng = random.Random(f"{seed} order")
    while len(members) < steps * groups:
        pool: list[int] = []
        while len(pool) < POOL * batch_size:
            if not deck:
                deck = array("q", range(len(lengths)))
                rng.shuffle(deck)
            pool.append(deck.pop())
        pool.sort(key=lengths.__getitem__)
        cuts = [len(pool) * n // (POOL * groups) for n in range(POOL * groups + 1)]
        like = [array("q", pool[a:b]) for a, b in itertools.pairwise(cuts)]
        rng.shuffle(like)
        members += like
    return Plan(members[: steps * groups], groups)


def once(lengths: Sequence[int], device_batch: int, devices: int) -> Plan:
    """All rows of these lengths in one step, to measure on."""
    groups = devices * ceil(len(lengths) / (devices * device_batch))
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    cuts = [len(order) * n // groups for n in range(groups + 1)]
    return Plan([order[a:b] for a, b in itertools.pairwise(cuts)], groups)


class Groups(Dataset[Inputs]):
    """The groups of one device as inputs of the model."""

    def __init__(
        self,
        rows: Sequence[TrainingRow],
        plan: Plan,
        device: int,
        devices: int,
        *,
        filler: int = 0,
        pack: int | None = None,
    ) -> None:
        """Those of the device of that number. `pack` is how long a row may be into which several texts go; with None,
        each has its own."""
        self._rows, self._plan = rows, plan
        self._device, self._devices = device, devices
        self._filler, self._pack = filler, pack
        counts = array("q", map(said, rows))
        groups = [sum(counts[index] for index in group) for group in plan.members]
        self._step_counts = [sum(groups[at : at + plan.groups]) for at in range(0, len(groups), plan.groups)]

    def __len__(self) -> int:
        return len(self._plan.members) // self._devices

    def __getitem__(self, number: int) -> Inputs:
        place = number * self._devices + self._device
        rows = [self._rows[index] for index in self._plan.members[place]]
        count = self._step_counts[place // self._plan.groups]
        return collate(rows, self._filler, self._pack) | {"count": torch.tensor(count)}


def said(row: TrainingRow) -> int:
    """How many tokens of a row are learnt."""
    return len(row.ids) - 1 - len(row.ignored)


def collate(rows: Sequence[TrainingRow], filler: int, pack: int | None = None) -> Inputs:
    """Rows as tensors: what is read, what is to be said behind each token, where no call may be opened, and what is the
    text's own."""
    lines = [[row] for row in rows] if pack is None else _packed(rows, pack)
    width = max(sum(len(row.ids) - 1 for row in line) for line in lines)
    shape = (len(lines), width)
    ids, labels = torch.full(shape, filler), torch.full(shape, IGNORED)
    quiet, own = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    positions, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    for at, line in enumerate(lines):
        begin = 0
        for row in line:
            length = len(row.ids) - 1
            here = slice(begin, begin + length)
            ids[at, here] = torch.tensor(row.ids[:-1])
            labels[at, here] = torch.tensor(row.ids[1:])
            labels[at, [begin + place - 1 for place in row.ignored]] = IGNORED
            quiet[at, [begin + place - 1 for place in row.quiet]] = True
            own[at, begin : begin + max(row.own, 1) - 1] = True
            positions[at, here] = torch.arange(length)
            mask[at, here] = 1
            begin += length
        # What only fills up is a text of its own, which nobody asks.
        positions[at, begin:] = torch.arange(width - begin)
    inputs = {"labels": labels, "quiet": quiet, "own": own}
    if rows[0].source is not None:
        return inputs | {"decoder_input_ids": ids} | _sources(rows, filler)
    # Without a mask, transformers separates packed texts by where their positions begin anew.
    return inputs | {"input_ids": ids} | ({"attention_mask": mask} if pack is None else {"position_ids": positions})


def _sources(rows: Sequence[TrainingRow], filler: int) -> Inputs:
    sources = [row.source or () for row in rows]
    width = max(map(len, sources))
    return {
        "input_ids": torch.tensor([[*source, *[filler] * (width - len(source))] for source in sources]),
        "attention_mask": torch.tensor([[1] * len(source) + [0] * (width - len(source)) for source in sources]),
    }


def _packed(rows: Sequence[TrainingRow], most: int) -> list[list[TrainingRow]]:
    """The rows put together, each into the first line that has room, the longest first."""
    lines: list[list[TrainingRow]] = []
    lengths: list[int] = []
    for row in sorted(rows, key=len, reverse=True):
        length = len(row.ids) - 1
        at = next((i for i, taken in enumerate(lengths) if taken + length <= most), len(lines))
        if at == len(lines):
            lines.append([])
            lengths.append(0)
        lines[at].append(row)
        lengths[at] += length
    return lines
