"""How near was a model to calling where it did not call? Watches the decoder's rows without changing what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from toolformer.calls import CallSyntax
from toolformer.lm import Ids, LanguageModel, Rows

if TYPE_CHECKING:
    import torch


@dataclass
class Nearest:
    """The place in one text where a call was likeliest: its opening's probability and rank there."""

    probability: float = 0.0
    rank: int = -1
    """How many tokens were likelier; -1 while no place was looked at."""


class Watched:
    """A language model whose rows are watched. Everything else is the model's own."""

    def __init__(self, model: LanguageModel, syntax: CallSyntax) -> None:
        self._model = model
        self._opening = model.encode_parts([syntax.opening])[0]
        self.nearest: list[Nearest] = []
        """For each prompt, in the order in which rows were begun."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def rows(self, prompts: Sequence[Ids]) -> Rows:
        """See `lm.LanguageModel`."""
        return _WatchedRows(self._model.rows(()), self._opening, self.nearest, prompts)


def watched(model: LanguageModel, syntax: CallSyntax) -> tuple[LanguageModel, list[Nearest]]:
    """The same model, and what is seen of the rows that a decoder will begin."""
    watch = Watched(model, syntax)
    return cast("LanguageModel", watch), watch.nearest


class _WatchedRows:
    """`lm.Rows` that notes, for each row, where its opening was likeliest. Inside a call it notes nonsense: of a text
    in which a call was opened, the decoder tells the numbers itself."""

    def __init__(self, rows: Rows, opening: int, nearest: list[Nearest], prompts: Sequence[Ids]) -> None:
        self._rows, self._opening, self._nearest = rows, opening, nearest
        self._marks: list[Nearest] = []
        self.add(prompts)

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
        first = len(self._marks)
        self._marks += [Nearest() for _ in prompts]
        self._nearest += self._marks[first:]
        self._note(range(first, len(self._marks)))

    def extend(self, ids: Sequence[Ids]) -> None:
        self._rows.extend(ids)
        self._note([row for row, new in enumerate(ids) if new])

    def truncate(self, row: int, length: int, logits: "torch.Tensor") -> None:
        self._rows.truncate(row, length, logits)

    def keep(self, rows: Sequence[int]) -> None:
        self._rows.keep(rows)
        self._marks = [self._marks[row] for row in rows]

    def _note(self, rows: Sequence[int]) -> None:
        if not rows:
            return
        logits = self._rows.logits[list(rows)]
        opening = logits[:, self._opening, None]
        chances = (opening[:, 0] - logits.logsumexp(dim=-1)).exp().tolist()
        ranks = ((logits >= opening).sum(dim=-1) - 1).tolist()
        for row, chance, rank in zip(rows, chances, ranks, strict=True):
            mark = self._marks[row]
            if chance > mark.probability or (mark.rank < 0 and chance == 0):  # a model's NaN is neither
                mark.probability, mark.rank = chance, rank
