"""The keys and values of tokens already forwarded, in rows and columns that a pass writes where it is told to.

transformers' own caches copy everything at each step and know one sequence a row. Here a column is just a place: the
mask of each pass says who sees what. So a row can hold many continuations of one text, and holes; rows can grow at
their own pace; and what lies behind a row's end is rubbish that nobody sees.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache

Stored = list[tuple[Tensor, Tensor]]
"""For each layer the keys and the values of some columns: (rows, columns, heads, size)."""

_SPARE = 32
"""Columns of room behind those in use, so that most steps find some."""


class KeyValues(Cache):
    """The columns of all layers, with more room than what is in use. How much of it that is, its user knows."""

    def __init__(self, device: torch.device, rows: int = 0, columns: int = 0) -> None:
        """Empty, with room for so many rows and columns."""
        super().__init__(layers=[])
        self._device = device
        self._held: Stored = []
        self._room = rows, columns
        self._rows: Tensor | None = None
        self._places: Tensor | None = None
        self._last = self._start = self._depth = self._width = 0

    def aim(self, rows: Sequence[int], starts: Sequence[int], depth: int) -> None:
        """Where the next pass writes: `depth` columns in each of these rows, from the row's start on.

        It sees the columns up to the last of them; if it starts at 0 in all rows, itself only. A pass that failed can
        be told again: its columns are simply written once more.
        """
        self._last, self._start, self._depth, self._width = max(rows) + 1, starts[0], depth, max(starts) + depth
        self._reserve(self._last, self._width)
        # The first rows, all at one start, are read and written where they lie, without an index.
        whole = list(rows) == list(range(self._last))
        self._rows = None if whole else torch.tensor(rows, device=self._device)
        self._places = None
        if not whole or len(set(starts)) > 1:
            first = [row * self._room[1] + start for row, start in zip(rows, starts, strict=True)]
            behind = torch.arange(depth, device=self._device)
            self._places = (torch.tensor(first, device=self._device)[:, None] + behind).flatten()

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write new columns of one layer where `aim` said, and return what the pass sees."""
        new_keys, new_values = key_states.transpose(1, 2), value_states.transpose(1, 2)
        if layer_idx == len(self._held):
            self._held.append((_zeros(new_keys, self._room), _zeros(new_values, self._room)))
        keys, values = self._held[layer_idx]
        self._write(keys, new_keys)
        self._write(values, new_values)
        if self._width == self._depth:
            return key_states, value_states
        return self._seen(keys), self._seen(values)

    def _write(self, held: Tensor, new: Tensor) -> None:
        if self._places is None:
            held.narrow(0, 0, self._last).narrow(1, self._start, self._depth).copy_(new)
        else:
            held.view(-1, *held.shape[2:]).index_copy_(0, self._places, new.reshape(-1, *held.shape[2:]))

    def _seen(self, held: Tensor) -> Tensor:
        wide = held.narrow(1, 0, self._width)
        return (wide.narrow(0, 0, self._last) if self._rows is None else wide[self._rows]).transpose(1, 2)

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002 - all layers are alike
        """How many columns there were before this pass."""
        return self._width - self._depth

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:  # noqa: ARG002 - as above
        """How many columns a pass sees, and which is the first."""
        return self._width, 0

    def read(self, rows: slice | Tensor, columns: slice) -> Stored:
        """Some columns of some rows: where they lie if the rows are a slice, or else a copy."""
        return [(keys[rows, columns], values[rows, columns]) for keys, values in self._held]

    def put(self, stored: Stored, rows: slice, start: int) -> None:
        """Write columns into these rows, from `start` on; those of a single row are given to all of them."""
        if not stored:
            return
        end = start + stored[0][0].shape[1]
        self._reserve(rows.stop, end)
        for layer, new in enumerate(stored):
            if layer == len(self._held):
                self._held.append((_zeros(new[0], self._room), _zeros(new[1], self._room)))
            for held, part in zip(self._held[layer], new, strict=True):
                held[rows, start:end] = part

    def move(self, rows: Sequence[int], width: int) -> None:
        """Put in the place of row i the first columns of row `rows[i]`; one named twice is forked."""
        to = [place for place, row in enumerate(rows) if place != row]
        if not to:
            return
        source = torch.tensor([rows[place] for place in to], device=self._device)
        target = torch.tensor(to, device=self._device)
        self._reserve(len(rows), width)
        for held in (tensor for layer in self._held for tensor in layer):
            held[target, :width] = held[source, :width]

    def gather(self, columns: Tensor, behind: int) -> None:
        """Of the columns from `behind` on, keep for each row these, in this order, counted from there."""
        rows, width = columns.shape
        for held in (tensor for layer in self._held for tensor in layer):
            index = columns[:, :, None, None].expand(-1, -1, *held.shape[2:])
            held[:rows, behind : behind + width] = held[:rows, behind:].gather(1, index)

    def _reserve(self, rows: int, columns: int) -> None:
        """Room for so many rows and columns in every layer, or in none if memory does not suffice."""
        old_rows, old_columns = self._room
        if rows <= old_rows and columns <= old_columns:
            return
        wide = old_columns if columns <= old_columns else max(columns + _SPARE, old_columns * 3 // 2)
        room = max(rows, old_rows), wide
        self._held = [(_wider(keys, room), _wider(values, room)) for keys, values in self._held]
        self._room = room


def _wider(held: Tensor, room: tuple[int, int]) -> Tensor:
    """The same in a tensor with more room."""
    wide = _zeros(held, room)
    wide[: held.shape[0], : held.shape[1]] = held
    return wide


def _zeros(like: Tensor, room: tuple[int, int]) -> Tensor:
    # Zeros, because a masked column still takes part: nothing times a stray NaN is NaN.
    return like.new_zeros(*room, *like.shape[2:])
