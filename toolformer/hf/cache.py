"""The keys and values of tokens already forwarded, as columns that can be shared, forked, dropped and appended to.

transformers' own caches copy everything at each step and know one sequence a row. Here a column is just a place:
the mask of each pass says who sees what, so that a row can hold many continuations of one text, and holes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import Cache

Stored = list[tuple[Tensor, Tensor]]
"""For each layer the keys and the values of some columns: (rows, heads, columns, size)."""

_SPARE = 32
"""Columns of room behind those in use, so that most steps find some."""


class KeyValues(Cache):
    """The columns of all layers, with the position of each."""

    def __init__(self, positions: Tensor) -> None:
        super().__init__(layers=[])
        self.positions = positions
        """The position of the token in each column of each row."""
        self._buffers: list[tuple[Tensor, Tensor]] = []
        """For each layer its keys and values, with some room behind the last column."""
        self._widths: list[int] = []

    @classmethod
    def of(cls, parts: Sequence[tuple[Stored, Tensor]], rows: int, room: int) -> "KeyValues":
        """Columns put side by side, each part with its positions; a part of one row is given to every row."""
        cache = cls(torch.cat([positions.expand(rows, -1) for _, positions in parts], dim=1))
        width = cache.width
        for layers in zip(*(stored for stored, _ in parts if stored), strict=True):
            keys, values = zip(*layers, strict=True)
            cache._buffers.append((_beside(keys, rows, width + room), _beside(values, rows, width + room)))
            cache._widths.append(width)
        return cache

    @property
    def width(self) -> int:
        """How many columns there are."""
        return self.positions.shape[1]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write new columns of one layer behind the present ones, and return them all."""
        if layer_idx == len(self._buffers):
            self._buffers.append((key_states[:, :, :0], value_states[:, :, :0]))
            self._widths.append(0)
        start, end = self._widths[layer_idx], self._widths[layer_idx] + key_states.shape[2]
        keys, values = self._buffers[layer_idx]
        if end > keys.shape[2]:
            room = max(end + _SPARE, keys.shape[2] * 3 // 2)
            keys, values = self._buffers[layer_idx] = (_widened(keys, start, room), _widened(values, start, room))
        keys[:, :, start:end] = key_states
        values[:, :, start:end] = value_states
        self._widths[layer_idx] = end
        return keys[:, :, :end], values[:, :, :end]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many columns a layer has."""
        return self._widths[layer_idx] if layer_idx < len(self._widths) else 0

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        """How many columns there are with the next block, and which is the first."""
        return self.get_seq_length(layer_idx) + query_length, 0

    def stored(self, start: int = 0) -> Stored:
        """The columns from `start` on, copied, so that the rest can be forgotten."""
        end = self.width
        return [(keys[:, :, start:end].clone(), values[:, :, start:end].clone()) for keys, values in self._buffers]

    def copy(self, rows: Tensor, width: int) -> "KeyValues":
        """A cache of these rows, with the first columns only."""
        part = KeyValues(self.positions[rows, :width])
        part._buffers = [(keys[rows, :, :width], values[rows, :, :width]) for keys, values in self._buffers]
        part._widths = [width] * len(part._buffers)
        return part

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; one named twice is copied."""
        self.positions = self.positions[rows]
        self._buffers = [(keys[rows], values[rows]) for keys, values in self._buffers]

    def gather(self, columns: Tensor, behind: int = 0) -> None:
        """Of the columns from `behind` on, keep for each row these, in this order, counted from there."""
        width = behind + columns.shape[1]
        for held in (tensor for layer in self._buffers for tensor in layer):
            index = columns[:, None, :, None].expand(-1, held.shape[1], -1, held.shape[3])
            held[:, :, behind:width] = held[:, :, behind:].gather(2, index)
        self.positions = torch.cat([self.positions[:, :behind], self.positions[:, behind:].gather(1, columns)], dim=1)
        self._widths = [width] * len(self._buffers)

    def join(self, other: "KeyValues") -> None:
        """Put another cache's rows below these; the narrower of the two is filled up at the right."""
        mine, its, width = self.width, other.width, max(self.width, other.width)
        self.positions = torch.cat([pad(self.positions, (0, width - mine)), pad(other.positions, (0, width - its))])
        if not self._buffers:
            self._buffers = other._buffers
        else:
            room = width + _SPARE
            self._buffers = [
                (_below(keys, mine, more_keys, its, room), _below(values, mine, more_values, its, room))
                for (keys, values), (more_keys, more_values) in zip(self._buffers, other._buffers, strict=True)
            ]
        self._widths = [width] * len(self._buffers)


def stacked(texts: Sequence[Stored], width: int) -> Stored:
    """The columns of several texts as rows of one width, zeros where a text is shorter."""
    stacked = []
    for layer in zip(*texts, strict=True):
        keys, values = (_rows([held[which] for held in layer], width) for which in (0, 1))
        stacked.append((keys, values))
    return stacked


def _widened(held: Tensor, used: int, room: int) -> Tensor:
    # Zeros, because a masked column still takes part: nothing times a stray NaN is NaN.
    wide = held.new_zeros(*held.shape[:2], room, held.shape[3])
    wide[:, :, :used] = held[:, :, :used]
    return wide


def _below(upper: Tensor, upper_used: int, lower: Tensor, lower_used: int, room: int) -> Tensor:
    wide = upper.new_zeros(upper.shape[0] + lower.shape[0], upper.shape[1], room, upper.shape[3])
    wide[: upper.shape[0], :, :upper_used] = upper[:, :, :upper_used]
    wide[upper.shape[0] :, :, :lower_used] = lower[:, :, :lower_used]
    return wide


def _beside(parts: Sequence[Tensor], rows: int, room: int) -> Tensor:
    wide = parts[0].new_zeros(rows, parts[0].shape[1], room, parts[0].shape[3])
    start = 0
    for part in parts:
        wide[:, :, start : start + part.shape[2]] = part
        start += part.shape[2]
    return wide


def _rows(parts: list[Tensor], width: int) -> Tensor:
    rows = parts[0].new_zeros(len(parts), parts[0].shape[1], width, parts[0].shape[3])
    for row, part in enumerate(parts):
        cut = part[:, :, :width]
        rows[row, :, : cut.shape[2]] = cut[0]
    return rows
