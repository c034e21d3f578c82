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
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from toolformer.calls import Call
from toolformer.decode.events import Answered, Event, Undone
from toolformer.decode.options import Options
from toolformer.decode.row import Branch, Row
from toolformer.decode.states import Feeding, Over, Resting, Scoring, Step
from toolformer.lm import WINDOW


class Branches:
    """The branches of each prompt's open call, for a whole run."""

    def __init__(self, options: Options) -> None:
        self._tools = options.branches if options.branches > 1 else 0
        self._choose = "text" if self._tools else options.choose
        self._alive: dict[int, list[Row]] = {}
        """By the prompt's number, those that are not over."""

    @property
    def scored(self) -> bool:
        """Whether the text behind the results decides."""
        return self._choose == "text"

    def fork(self, row: Row, count: int) -> list[Row]:
        """So many copies of a row, which becomes a branch like them, if it was none."""
        if row.branch is None:
            row.branch = Branch()
            self._alive[row.index] = [row]
        copies = [row.copy() for _ in range(count)]
        self._alive[row.index] += copies
        return copies

    def others(self, row: Row) -> list[Row]:
        """The other branches of the same call."""
        return [other for other in self._alive.get(row.index, ()) if other is not row]

    def forget(self, index: int) -> None:
        """The text is over."""
        self._alive.pop(index, None)

    def joined(self, row: Row, asked: Call) -> bool:
        """Note the call that a branch has written. Whether another has written the same: it gets this one's votes."""
        mine = _branch(row)
        mine.asked = asked
        for other in map(_branch, self.others(row)):
            if other.asked == asked:
                other.votes += mine.votes
                return True
        return False

    def settle(self, index: int) -> list[Event]:
        """See whether all branches have come to where some can be dropped, and do it: what there is to tell of it.

        Where tools are tried, branches rest twice: before the likeliest are asked, and behind the results.
        """
        alive = self._alive[index] = [row for row in self._alive[index] if not isinstance(row.state, Over)]
        if not all(isinstance(row.state, Resting) for row in alive):
            return []
        if any(_branch(row).answered for row in alive):
            return self._one(self._alive.pop(index))
        ranked = sorted(alive, key=lambda row: _branch(row).likelihood, reverse=True)
        self._alive[index] = ranked[: self._tools]
        _part(ranked[: self._tools], ranked[self._tools :])
        return []

    def _one(self, alive: Sequence[Row]) -> list[Event]:
        """All results stand, and, if that is asked for, the text behind them: one branch lives."""
        votes = Counter[str | None]()
        for row in alive:
            votes[_result(row)] += _branch(row).votes

        def worth(row: Row) -> tuple[float, float]:
            likelihood = _branch(row).likelihood
            if self._choose == "call":
                return likelihood, 0.0
            if self._choose == "votes":
                return votes[_result(row)], likelihood
            return score(row.state.scores if isinstance(row.state, Resting) else ()), likelihood

        best = max(alive, key=worth)
        others = [row for row in alive if row is not best]
        held, why = _branch(best).held, self._why(_answer(best).call)
        best.branch = None
        _part([best], others)
        worse = [_answer(row) for row in others]
        return [*(Undone(one.row, one.start, one.call, why) for one in worse), *held]

    def _why(self, call: Call) -> str:
        """Why the others were undone."""
        if self._choose == "text":
            return f"the text goes on better behind {call.tool if self._tools else f'{call.tool}({call.input})'}"
        if self._choose == "call":
            return f"{call.tool}({call.input}) is likelier"
        return f"more samples agree with {call.tool}({call.input})"


def _part(living: Sequence[Row], others: Sequence[Row]) -> None:
    """Some branches go on from where they rest, and the others are over."""
    for row in living:
        assert isinstance(row.state, Resting)
        row.become(row.state.then)
    for row in others:
        row.become(Over())


def _branch(row: Row) -> Branch:
    assert row.branch is not None
    return row.branch


def _answer(row: Row) -> Answered:
    answered = _branch(row).answered
    assert answered is not None
    return answered


def _result(row: Row) -> str | None:
    return _answer(row).call.result


def scored(state: Scoring, step: Step, logits: Tensor, token: int) -> Step:
    """What a row would do next with this token of its text, or -1 for none, as a branch that is scored does it."""
    scores = state.scores if token < 0 else (*state.scores, float(logits.log_softmax(dim=-1)[token]))
    assert isinstance(step.state, Feeding | Over)
    if isinstance(step.state, Over) or len(scores) == len(WINDOW):
        return replace(step, state=Resting(step.state, scores))
    return replace(step, state=Feeding(step.state.ids, Scoring(scores)))


def score(scores: Sequence[float]) -> float:
    """How well a text went on behind a result: the weighted mean of its first log-probabilities."""
    weights = WINDOW[: len(scores)]
    return sum(w * p for w, p in zip(weights, scores, strict=True)) / sum(weights) if weights else -float("inf")
