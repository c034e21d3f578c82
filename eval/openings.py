"""Where is a call likeliest? Watches the decoder's rows without changing what they say; or has a call open there."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from toolformer.calls import CallSyntax
from toolformer.lm import Ids, LanguageModel, Rows, ranks

if TYPE_CHECKING:
    import torch


@dataclass
class Nearest:
    """The place in one text where a call was likeliest: its opening's probability and rank there."""

    probability: float = 0.0
    rank: int = -1
    """How many tokens were likelier; -1 while no place was looked at."""
    place: int = -1
    """How many tokens of the text stand before it; -1 while no place was looked at."""


def watched(model: LanguageModel, syntax: CallSyntax) -> tuple[LanguageModel, list[Nearest]]:
    """The same model, and what is seen of the rows that a decoder will begin, in the order in which they are begun."""
    opening = model.encode_parts([syntax.opening])[0]
    nearest: list[Nearest] = []
    return _with_rows(model, lambda rows: _WatchedRows(rows, opening, nearest)), nearest


def forced(model: LanguageModel, syntax: CallSyntax, places: Sequence[int]) -> LanguageModel:
    """The same model, but that in each row that a decoder will begin, in their order, a call opens at its place.

    A place is counted in tokens of the text; at -1 none opens. Nowhere else does a call open.
    """
    opening = model.encode_parts([syntax.opening])[0]
    waiting = iter(places)
    return _with_rows(model, lambda rows: _ForcedRows(rows, opening, lambda: next(waiting)))


def _with_rows(model: LanguageModel, around: "Callable[[Rows], _RowsAround]") -> LanguageModel:
    return cast("LanguageModel", _ModelAround(model, around))


class _ModelAround:
    """A language model with other rows. Everything else is the model's own."""

    def __init__(self, model: LanguageModel, around: "Callable[[Rows], _RowsAround]") -> None:
        self._model, self._around = model, around

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def rows(self, prompts: Sequence[Ids]) -> Rows:
        """See `lm.LanguageModel`."""
        rows = self._around(self._model.rows(()))
        rows.add(prompts)
        return rows


class _RowsAround(ABC):
    """`lm.Rows` that knows for each row at which length it was begun."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._begun: list[int] = []

    @abstractmethod
    def _begin(self, rows: Sequence[int]) -> None:
        """These rows are new."""

    @property
    def logits(self) -> "torch.Tensor":
        return self._rows.logits

    @property
    def lengths(self) -> Sequence[int]:
        return self._rows.lengths

    @property
    def room(self) -> Sequence[int]:
        return self._rows.room

    def add(self, prompts: Sequence[Ids]) -> None:
        self._rows.add(prompts)
        first = len(self._begun)
        self._begun += self._rows.lengths[first:]
        self._begin(range(first, len(self._begun)))

    def extend(self, ids: Sequence[Ids]) -> None:
        self._rows.extend(ids)

    def truncate(self, row: int, length: int, logits: "torch.Tensor") -> None:
        self._rows.truncate(row, length, logits)

    def keep(self, rows: Sequence[int]) -> None:
        self._rows.keep(rows)
        self._begun = [self._begun[row] for row in rows]


class _WatchedRows(_RowsAround):
    """Notes, for each row, where its opening was likeliest. Inside a call it notes nonsense: of a text in which a call
    was opened, the decoder tells the numbers itself."""

    def __init__(self, rows: Rows, opening: int, nearest: list[Nearest]) -> None:
        super().__init__(rows)
        self._opening, self._nearest = opening, nearest
        self._marks: list[Nearest] = []

    def _begin(self, rows: Sequence[int]) -> None:
        new = [Nearest() for _ in rows]
        self._marks += new
        self._nearest += new
        self._note(rows)

    def extend(self, ids: Sequence[Ids]) -> None:
        super().extend(ids)
        self._note([row for row, new in enumerate(ids) if new])

    def keep(self, rows: Sequence[int]) -> None:
        super().keep(rows)
        self._marks = [self._marks[row] for row in rows]

    def _note(self, rows: Sequence[int]) -> None:
        if not rows:
            return
        logits = self._rows.logits[list(rows)]
        chances = (logits[:, self._opening] - logits.logsumexp(dim=-1)).exp().tolist()
        for row, chance, rank in zip(rows, chances, ranks(logits, self._opening), strict=True):
            mark = self._marks[row]
            if chance > mark.probability or (mark.rank < 0 and chance == 0):  # a model's NaN is neither
                mark.probability, mark.rank = chance, rank
                mark.place = self._rows.lengths[row] - self._begun[row]


class _ForcedRows(_RowsAround):
    """Has the opening as the likeliest token at one place of each row, and as an impossible one elsewhere."""

    def __init__(self, rows: Rows, opening: int, next_place: Callable[[], int]) -> None:
        super().__init__(rows)
        self._opening, self._next_place = opening, next_place
        self._places: list[int] = []

    def _begin(self, rows: Sequence[int]) -> None:
        self._places += [self._next_place() for _ in rows]

    def truncate(self, row: int, length: int, logits: "torch.Tensor") -> None:
        super().truncate(row, length, logits)
        self._places[row] = -1  # the call came to nothing, and is not tried again

    def keep(self, rows: Sequence[int]) -> None:
        super().keep(rows)
        self._places = [self._places[row] for row in rows]

    @property
    def logits(self) -> "torch.Tensor":
        logits = self._rows.logits.clone()
        logits[:, self._opening] = -float("inf")
        here = [
            row
            for row, (length, begun, place) in enumerate(zip(self.lengths, self._begun, self._places, strict=True))
            if length - begun == place
        ]
        if here:
            logits[here, self._opening] = logits[here].amax(dim=-1) + 1
        return logits
