"""Several tools at one moment: the call is forked over the likeliest ones, and the best branch lives.

First a row is copied wherever the names of the tools part, until each copy has one name; the likeliest stay. Each
branch asks its tool. Behind its result it goes on as it would alone, and is scored as the method scores a result when
a call is taught: by the log-probabilities of the next five tokens, weighted 5 to 1 (`lm.WINDOW`), over the weights used
where the text ends sooner. The best branch keeps what it said; of the others nothing is left but the event that they
were undone. In this window no further call opens.
"""

from dataclasses import dataclass, field

from toolformer.decode.events import Event, Undone
from toolformer.decode.row import Row
from toolformer.lm import WINDOW


@dataclass
class Fork:
    """The branches of one call that are still alive."""

    most: int
    """How many tools are tried."""
    members: list[Row] = field(default_factory=list)

    def settle(self) -> list[Event]:
        """See whether all branches have come to where some can be dropped, and do it: what there is to tell of it."""
        if not all(row.resting for row in self.members):
            return []
        if all(row.call is not None for row in self.members):
            self._keep_likeliest()
            return []
        return self._choose()

    def _keep_likeliest(self) -> None:
        """All names stand."""
        ranked = sorted(self.members, key=lambda row: row.named, reverse=True)
        for row in ranked[self.most :]:
            row.over = True
        self.members = ranked[: self.most]
        for row in self.members:
            row.resting = False

    def _choose(self) -> list[Event]:
        """All results stand, and the text behind them."""
        best = max(self.members, key=score)
        worse = [row.answered for row in self.members if row is not best and row.answered]
        why = f"the text goes on better behind {best.answered.call.tool}" if best.answered else ""
        told: list[Event] = [Undone(one.row, one.start, one.call, why) for one in worse]
        for row in self.members:
            row.over = row is not best or row.finished
        best.fork, best.resting = None, False
        told += best.held
        best.held = []
        return told

    def drop(self, row: Row) -> bool:
        """A branch failed: it is over if there are others."""
        self.members = [member for member in self.members if member is not row]
        row.over = bool(self.members)
        return row.over


def score(row: Row) -> float:
    """How well the model went on behind the branch's result: the weighted mean of its log-probabilities."""
    weights = WINDOW[: len(row.scores)]
    return sum(w * p for w, p in zip(weights, row.scores, strict=True)) / sum(weights) if weights else -float("inf")
