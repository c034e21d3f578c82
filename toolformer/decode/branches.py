"""Several calls at one place: the row is copied, and the best copy lives.

Either the likeliest tools are tried (`branches`): the row is copied wherever the names of the tools part, until each
copy has one name; the likeliest stay. Or several calls are sampled (`calls_sampled`), names and all; equal ones are
one, with so many votes. Each branch asks its tool. Which one lives, `choose` says:

    text     each goes on behind its result as it would alone, and is scored as the method scores a result when a call
             is taught: by the log-probabilities of the next five tokens, weighted 5 to 1 (`lm.WINDOW`), over the
             weights used where the text ends sooner; in this window no further call opens
    call     the likeliest call, by the model that wrote it
    votes    of the calls with the result that most samples have, the likeliest

The best branch keeps what it said; of the others nothing is left but the event that they were undone.
"""

from collections import Counter
from dataclasses import dataclass

from toolformer.calls import Call
from toolformer.decode.events import Event, Undone
from toolformer.decode.options import Choose
from toolformer.decode.row import Row
from toolformer.lm import WINDOW


@dataclass
class Fork:
    """The branches of one call that are still alive."""

    members: list[Row]
    tools: int = 0
    """How many tools are tried; 0 where calls are sampled instead."""
    choose: Choose = "text"

    def settle(self) -> list[Event]:
        """See whether all branches have come to where some can be dropped, and do it: what there is to tell of it."""
        if not all(row.resting for row in self.members):
            return []
        if self.tools and all(row.call is not None for row in self.members):
            self._keep_likeliest()
            return []
        return self._choose()

    def joined(self, row: Row, asked: Call) -> bool:
        """Whether another sample has written the same call: it gets this one's vote, and this one is over."""
        for other in self.members:
            before = _asked(other)
            if other is not row and before and (before.tool, before.input) == (asked.tool, asked.input):
                other.votes += row.votes
                self.drop(row)
                return True
        return False

    def _keep_likeliest(self) -> None:
        """All names stand."""
        ranked = sorted(self.members, key=lambda row: row.named, reverse=True)
        for row in ranked[self.tools :]:
            row.over = True
        self.members = ranked[: self.tools]
        for row in self.members:
            row.resting = False

    def _choose(self) -> list[Event]:
        """All results stand, and, if that is asked for, the text behind them."""
        best = max(self.members, key=self._worth)
        worse = [row.answered for row in self.members if row is not best and row.answered]
        told: list[Event] = [Undone(one.row, one.start, one.call, self._why(best)) for one in worse]
        for row in self.members:
            row.over = row is not best or row.finished
        best.fork, best.resting = None, False
        told += best.held
        best.held = []
        return told

    def _worth(self, row: Row) -> tuple[float, float]:
        if self.choose == "text":
            return score(row), row.written
        if self.choose == "call":
            return row.written, 0.0
        results = Counter[str | None]()
        for one in self.members:
            results[_result(one)] += one.votes
        return results[_result(row)], row.written

    def _why(self, best: Row) -> str:
        """Why the others were undone."""
        assert best.answered
        call = best.answered.call
        if self.choose == "text":
            return f"the text goes on better behind {call.tool if self.tools else f'{call.tool}({call.input})'}"
        if self.choose == "call":
            return f"{call.tool}({call.input}) is likelier"
        return f"more samples agree with {call.tool}({call.input})"

    def drop(self, row: Row) -> bool:
        """A branch failed: it is over if there are others."""
        self.members = [member for member in self.members if member is not row]
        row.over = bool(self.members)
        return row.over


def _asked(row: Row) -> Call | None:
    """The call that a branch has written, once it is whole."""
    if row.call is not None:
        return row.call.asked
    return row.answered.call if row.answered else None


def _result(row: Row) -> str | None:
    return row.answered.call.result if row.answered else None


def score(row: Row) -> float:
    """How well the model went on behind the branch's result: the weighted mean of its log-probabilities."""
    weights = WINDOW[: len(row.scores)]
    return sum(w * p for w, p in zip(weights, row.scores, strict=True)) / sum(weights) if weights else -float("inf")
