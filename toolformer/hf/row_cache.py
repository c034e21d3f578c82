"""The keys and values of rows that grow at their own pace: a row's column is its position, so there are no holes.

Rows stand one below the other and are changed in place: one that is finished is overwritten by another, and only what
moves is copied. What lies behind a row's end is rubbish that nobody sees.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache

_SPARE = 32
"""Columns of room behind the longest row, so that most steps find some."""


class RowCache(Cache):
    """For each layer the keys and the values: (rows, columns, heads, size), larger than what is in use."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._held: list[tuple[Tensor, Tensor]] = []
        self._rows: slice | Tensor = slice(0)
        self._starts: int | Tensor = 0
        self._depth = 0
        self._width = 0
        self._last = 0
        self._places: Tensor | None = None

    def aim(self, rows: slice | Tensor, starts: int | Tensor, depth: int, width: int) -> None:
        """Where the next pass writes: `depth` columns from `starts` on, one start for all these rows or one each.

        What the pass sees are the first `width` columns; one that starts at 0 for all sees itself only. A slice stands
        for the first rows, up to its stop.
        """
        self._rows, self._starts, self._depth, self._width = rows, starts, depth, width
        self._last = rows.stop if isinstance(rows, slice) else int(rows.max()) + 1
        self._places = None
        self._held = [(_room(keys, self._last, width), _room(values, self._last, width)) for keys, values in self._held]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write new columns of one layer where `aim` said, and return what the pass sees."""
        if layer_idx == len(self._held):
            empty = (states.new_zeros(0, 0, *states.shape[1::2]) for states in (key_states, value_states))
            keys, values = (_room(held, self._last, self._width) for held in empty)
            self._held.append((keys, values))
        keys, values = self._held[layer_idx]
        self._write(keys, key_states.transpose(1, 2))
        self._write(values, value_states.transpose(1, 2))
        if isinstance(self._starts, int) and self._starts == 0:
            return key_states, value_states
        return self._seen(keys), self._seen(values)

    def _write(self, held: Tensor, new: Tensor) -> None:
        if isinstance(self._starts, Tensor):
            if self._places is None:
                self._places = self._flat(held.shape[1], self._starts)
            held.view(-1, *held.shape[2:]).index_copy_(0, self._places, new.reshape(-1, *held.shape[2:]))
        elif isinstance(self._rows, slice):
            held.narrow(0, 0, self._last).narrow(1, self._starts, self._depth).copy_(new)
        else:
            held[self._rows, self._starts : self._starts + self._depth] = new

    def _flat(self, columns: int, starts: Tensor) -> Tensor:
        """The places of the new columns, counted through all rows."""
        rows = torch.arange(self._last, device=starts.device) if isinstance(self._rows, slice) else self._rows
        behind = torch.arange(self._depth, device=starts.device)
        return (rows[:, None] * columns + starts[:, None] + behind).flatten()

    def _seen(self, held: Tensor) -> Tensor:
        wide = held.narrow(1, 0, self._width)
        return (wide.narrow(0, 0, self._last) if isinstance(self._rows, slice) else wide[self._rows]).transpose(1, 2)

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002 - all layers are alike
        """How many columns there were before this pass."""
        return self._width - self._depth

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:  # noqa: ARG002 - as above
        """How many columns a pass sees, and which is the first."""
        return self._width, 0

    def move(self, rows: Sequence[int], width: int) -> None:
        """Put in the place of row i the first columns of row `rows[i]`; one named twice is forked."""
        to = [place for place, row in enumerate(rows) if place != row]
        if not to:
            return
        for layer, (keys, values) in enumerate(self._held):
            self._held[layer] = _moved(keys, rows, to, width), _moved(values, rows, to, width)


def _moved(held: Tensor, rows: Sequence[int], to: Sequence[int], width: int) -> Tensor:
    copied = held[torch.tensor([rows[place] for place in to], device=held.device), :width]
    held = _room(held, len(rows), width)
    held[torch.tensor(to, device=held.device), :width] = copied
    return held


def _room(held: Tensor, rows: int, columns: int) -> Tensor:
    """The same with room for so many rows and columns."""
    if rows <= held.shape[0] and columns <= held.shape[1]:
        return held
    wide = held.shape[1] if columns <= held.shape[1] else max(columns + _SPARE, held.shape[1] * 3 // 2)
    # Zeros, because a masked column still takes part: nothing times a stray NaN is NaN.
    room = held.new_zeros(max(rows, held.shape[0]), wide, *held.shape[2:])
    room[: held.shape[0], : held.shape[1]] = held
    return room
