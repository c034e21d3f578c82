"""`lm.Rows` of a model behind a server: the texts are here, and what follows each is asked for.

The server writes on, greedily, and tells the likeliest tokens at each place that it comes to. As long as a row takes
the tokens that the server wrote, nothing is asked. Where it goes another way, because a call opens, a result is fed or
a token was sampled, its place is asked for anew: only a server's program knows the model's cache, and none of them lets
a request wait in the middle of a text.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from toolformer.errors import ServerError
from toolformer.hf.causal_rows import cut
from toolformer.hf.load import Words
from toolformer.lm import Ids
from toolformer.remote.asking import Asker, Refused
from toolformer.remote.dialects import Dialect, Place

_LEAST, _FIRST, _MOST = 4, 16, 64
"""Tokens that one request asks for: first so many, later twice as many as the row took of the last ones."""


@dataclass
class _Row:
    """One text."""

    ids: list[int]
    logits: Tensor
    """What follows it."""
    ahead: deque[Place] = field(default_factory=deque)
    """The places that the server has told, from the present one on; none where it must be asked."""
    taken: int = _FIRST // 2
    """At how many of the places of the last reply the row has been."""

    def move(self, token: int) -> None:
        """Go on by a token."""
        if self.ahead and self.ahead[0].written == token:
            self.ahead.popleft()
            self.taken += bool(self.ahead)
        else:
            self.ahead.clear()
        self.ids.append(token)


class RemoteRows:
    """`lm.Rows`. Rows that must be asked for are asked for at once."""

    def __init__(self, asker: Asker, dialect: Dialect, words: Words, prompts: Sequence[Ids]) -> None:
        self._asker, self._dialect, self._words = asker, dialect, words
        self._rows: list[_Row] = []
        self.add(prompts)

    @property
    def logits(self) -> Tensor:
        """See `lm.Rows`: log-probabilities, of those tokens that are not told in equal shares."""
        return torch.stack([row.logits for row in self._rows]) if self._rows else torch.zeros(0, self._words.size)

    @property
    def lengths(self) -> Sequence[int]:
        """See `lm.Rows`."""
        return [len(row.ids) for row in self._rows]

    @property
    def room(self) -> Sequence[int]:
        """See `lm.Rows`. A place is left for the token that is asked for behind the last one."""
        return [self._dialect.context - 1 - len(row.ids) for row in self._rows]

    def add(self, prompts: Sequence[Ids]) -> None:
        """See `lm.Rows`."""
        new = [_Row(self._words.codec.started(prompt), torch.zeros(self._words.size)) for prompt in prompts]
        self._rows += new
        self._look(new)

    def extend(self, ids: Sequence[Ids]) -> None:
        """See `lm.Rows`."""
        grown = []
        for row, new in zip(self._rows, ids, strict=True):
            for token in new:
                row.move(token)
            if new:
                grown.append(row)
        self._look(grown)

    def truncate(self, row: int, length: int, logits: Tensor) -> None:
        """See `lm.Rows`."""
        cut_row = self._rows[row]
        del cut_row.ids[cut(len(cut_row.ids), length) :]
        cut_row.logits = logits
        cut_row.ahead.clear()

    def keep(self, rows: Sequence[int]) -> None:
        """See `lm.Rows`."""
        old = self._rows
        self._rows = [replace(old[row], ids=[*old[row].ids], ahead=deque(old[row].ahead)) for row in rows]

    def _look(self, rows: Sequence[_Row]) -> None:
        """See what follows these rows: ask for those whose place has not been told."""
        asked = [row for row in rows if not row.ahead]
        questions = [self._dialect.go_on(row.ids, self._count(row), self._words.size) for row in asked]
        for row, places in zip(asked, self._asker.ask(questions), strict=True):
            if isinstance(places, Refused):
                raise ServerError(f"{self._asker.url} refuses to go on behind {len(row.ids):,} tokens: {places.why}")
            row.ahead, row.taken = deque(places), 1
        for row in rows:
            row.logits = _logits(row.ahead[0], self._words.size)

    def _count(self, row: _Row) -> int:
        return min(max(2 * row.taken, _LEAST), _MOST, self._dialect.context - len(row.ids))


def _logits(place: Place, size: int) -> Tensor:
    """What follows a place, as log-probabilities that add up to 1."""
    rest = max(1 - math.fsum(map(math.exp, place.log_probabilities)), 1e-12)
    share = math.log(rest / max(1, size - len(place.tokens)))
    # No token that was not told is likelier than one that was.
    logits = torch.full((size,), min(share, place.log_probabilities[-1]))
    logits[list(place.tokens)] = torch.tensor(place.log_probabilities)
    return logits
