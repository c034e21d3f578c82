"""A call while a text is written: opened, named, asked, answered, or undone.

What the model may write inside a call is a registered name, `(`, and then what it likes until the arrow or the close;
the result is fed. Each method says what a row does next; `decoder.py` does it. Where several calls are tried at one
place, the row is copied (`branches.py`).
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from torch import Tensor

from toolformer.calls import Call, CallSyntax, Part
from toolformer.chains import uses
from toolformer.decode.branches import Branches
from toolformer.decode.choice import CallChooser, call_seed
from toolformer.decode.events import Answered, Called, Opened
from toolformer.decode.names import forced, name_tree
from toolformer.decode.options import Options
from toolformer.decode.row import Row
from toolformer.decode.states import (
    Asking,
    Feeding,
    Naming,
    OpenCall,
    Over,
    Resting,
    Scoring,
    Step,
    Undoing,
    Waiting,
    Writing,
)
from toolformer.decode.trigger import Thresholds
from toolformer.errors import CallFormatError, ToolError
from toolformer.lm import DecodingModel
from toolformer.toolbox import Toolbox

_FAILURES = 8
"""After so many calls of a row have failed, no more are tried: each costs what it wrote."""
_NO_ROOM = "the context has no room for it"


@dataclass(frozen=True)
class Seen:
    """What the model answers to a row of so many tokens."""

    logits: Tensor
    best: int
    """The likeliest token."""
    rank: int
    """How many tokens are at least as likely as a call's opening; 0 where none can open."""
    evidence: float
    """What the log-odds of the opening say for a call, in nats; 0 where only its rank counts."""
    broken: bool
    """Whether the answers are no numbers."""
    length: int
    room: int
    """How many more tokens fit into the row's context."""


class Calling:
    """The calls of texts with the same options."""

    def __init__(
        self,
        model: DecodingModel,
        toolbox: Toolbox,
        syntax: CallSyntax,
        options: Options,
        branches: Branches,
        pool: ThreadPoolExecutor,
        thresholds: Thresholds | None = None,
    ) -> None:
        """Tools run in the threads of `pool`."""
        self._model, self._toolbox, self._syntax, self._options = model, toolbox, syntax, options
        self._branches, self._pool = branches, pool
        self.thresholds = thresholds
        """What an opening must reach besides its rank; None where the rank alone decides."""
        self._lowest = thresholds.lowest(toolbox.names) if thresholds else -math.inf
        self.opening = model.encode_parts([syntax.opening])
        self.control = [model.encode_parts([Part(token, control=True)])[0] for token in syntax.control_tokens]
        self._stops = self.control[1:]
        self.k = options.ranks if options.calls and len(toolbox) else 0
        """A call can open where it is among so many of the likeliest tokens; 0 where none can."""
        self._inside = CallChooser(options)
        names = name_tree(model, syntax, toolbox.names, one_way=options.branches > 1)
        self._first, self._names = forced(names)

    def opens(self, row: Row, seen: Seen) -> bool:
        """Whether a call begins here: never inside a character, nor beside other branches."""
        return (
            seen.rank < self.k
            and seen.evidence >= self._lowest
            and len(row.calls) < self._options.calls
            and row.undone < _FAILURES
            and row.barred != len(row.said)
            and row.branch is None
            and seen.room >= len(self.opening) + len(self._first)
            and row.writer.whole
        )

    def open(self, row: Row, seen: Seen) -> Step:
        """Begin a call."""
        before = row.text()
        probability = float(seen.logits.softmax(dim=-1)[self.opening[0]])
        call = OpenCall(row.writer.length, probability, seen.rank, seen.evidence, seen.length, seen.logits.clone())
        # What nothing else can follow goes through the model at once.
        ids = (*self.opening, *self._first)
        return Step(
            Feeding(ids, Naming(call, tuple(self._first), self._names)),
            (*before, Opened(row.index, call.start, probability, seen.rank)),
        )

    def name(self, row: Row, state: Naming, seen: Seen) -> Iterator[tuple[Row, Step]]:
        """The next token of the name, in each copy of the row that goes its own way from here."""
        tokens = self._told(list(state.node), seen.logits)
        if not tokens:
            yield row, undone(state, f"no tool's name goes on with one of the {self._model.known} likeliest tokens")
            return
        shares = seen.logits[tokens]
        likelihood = shares.log_softmax(dim=-1).tolist()
        if self._options.branches > 1:
            # A row that tries several tools parts where their names do.
            best, *others = sorted(zip(likelihood, tokens, strict=True), reverse=True)
            for one, (share, token) in zip([*self._branches.fork(row, len(others)), row], [*others, best], strict=True):
                yield one, self._named(one, state, token, share, seen.room)
            return
        rows = [row]
        if self._options.calls_sampled > 1 and row.branch is None:
            rows += self._branches.fork(row, self._options.calls_sampled - 1)
            for number, one in enumerate(rows):
                assert one.branch
                one.branch.number = number
        for one in rows:
            chosen = self._chosen(one, len(state.ids), shares, int(shares.argmax()))
            yield one, self._named(one, state, tokens[chosen], likelihood[chosen], seen.room)

    def _told(self, tokens: list[int], logits: Tensor) -> list[int]:
        """Those of the tokens whose probability the model tells."""
        if (known := self._model.known) is None:
            return tokens
        told = set(logits.topk(known).indices.tolist())
        return [token for token in tokens if token in told]

    def _chosen(self, row: Row, step: int, logits: Tensor, best: int) -> int:
        """A token inside a call, as this row's randomness has it."""
        number = row.branch.number if row.branch else 0
        return self._inside.choose(logits, best, call_seed(row.seed, len(row.said), number), number, step)

    def _named(self, row: Row, state: Naming, token: int, share: float, room: int) -> Step:
        if row.branch:
            row.branch.likelihood += share
        below = state.node[token]
        if isinstance(below, str):
            if self.thresholds and state.call.evidence < self.thresholds.needed(below):
                reason = f"p = {state.call.probability:.2g} is below the threshold of {below}"
                return Step(Undoing(state.call, None, reason, failed=False))
            step = self._write(row, Asking(state.call, state.ids, below, len(state.ids) + 1), token, room)
            if self._options.branches > 1 and isinstance(step.state, Feeding):
                # Only the branches with the likeliest tools will ask them: which these are is known when all have one.
                return Step(Resting(step.state))
            return step
        path, node = forced(below)
        return _feed(Naming(state.call, (*state.ids, token, *path), node), (token, *path), room)

    def ask(self, row: Row, state: Asking, seen: Seen) -> Step:
        """The next token of the input, or of its end."""
        token = self._chosen(row, len(state.ids), seen.logits, seen.best)
        if row.branch:
            row.branch.likelihood += float(seen.logits.log_softmax(dim=-1)[token])
        if token in self._model.ends:
            return undone(state, "the text ended inside the call")
        if token in self._stops:
            written = self._model.decode(state.ids)
            asked = self._read(state.tool, written)
            if asked:
                return self._run(row, state, asked)
            return undone(state, f"its input does not end with a bracket: {written[-40:]!r}")
        if token in self.control:
            return undone(state, "another call opened inside it")
        return self._write(row, state, token, seen.room)

    def _write(self, row: Row, state: Asking, token: int, room: int) -> Step:
        """One more token, the name's last or one of the input; as text, it may be the one that ends the input."""
        ids = (*state.ids, token)
        if not self._syntax.control and (asked := self._read(state.tool, self._model.decode(ids))):
            return self._run(row, state, asked)
        if len(state.ids) - state.input_at >= self._options.input_tokens:
            return undone(state, f"its input has no end within {self._options.input_tokens} tokens")
        return _feed(replace(state, ids=ids), (token,), room)

    def _read(self, tool: str, written: str) -> Call | None:
        """The call, if the text behind its opening is a whole one; where control tokens end it, without these."""
        body = written.lstrip().removeprefix(self._syntax.front(tool).lstrip())
        if self._syntax.control:
            body = body.rstrip()
            return Call(tool, body[:-1]) if body.endswith(")") else None
        ends = [place for stop in self._syntax.stops if (place := body.find(stop)) >= 0]
        return Call(tool, body[: min(ends)]) if ends else None

    def _run(self, row: Row, state: Asking, asked: Call) -> Step:
        """The call is whole: the tool begins to run."""
        if row.branch and self._branches.joined(row, asked):
            return Step(Over())
        toolbox = self._toolbox.bind(row.asked.facts) if row.asked.facts else self._toolbox
        result = self._pool.submit(toolbox.run, asked.tool, asked.input)
        return Step(Waiting(state.call, state.ids, asked, result), (Called(row.index, state.call.start, asked),))

    def answer(self, row: Row, state: Waiting, room: int) -> Step:
        """The result has come."""
        call = state.call
        try:
            answered = replace(state.asked, result=self._cut(state.result.result()))
            self._syntax.format(answered)
            rest = self._syntax.rest(answered, self._model.decode(state.ids))
        except (ToolError, CallFormatError) as error:
            return undone(state, str(error))
        ids = self._model.encode_parts(rest)
        if len(ids) > room:
            return undone(state, _NO_ROOM)
        earlier = self._uses(row, answered)
        row.calls = (*row.calls, (len(row.said), answered))
        event = Answered(row.index, call.start, answered, call.probability, call.rank, len(row.said), earlier)
        if not row.branch:
            return Step(Feeding(ids, Writing()), (event,))
        row.branch.answered = event
        return Step(Feeding(ids, Scoring()) if self._branches.scored else Resting(Feeding(ids, Writing())), (event,))

    def _uses(self, row: Row, asked: Call) -> tuple[int, ...]:
        """The row's earlier calls that the input builds on."""
        if not row.calls:
            return ()
        before: list[str | Call] = [self._model.decode(row.asked.prompt)]
        end = 0
        for tokens, call in row.calls:
            before += [self._model.decode(row.said[end:tokens]), call]
            end = tokens
        return uses([*before, self._model.decode(row.said[end:])], asked.input)

    def _cut(self, result: str) -> str:
        encoded = self._model.encode(result)
        limit = self._options.result_tokens
        return result[: encoded.starts[limit]].rstrip() if len(encoded.ids) > limit else result


def undone(state: Naming | Asking | Waiting, reason: str) -> Step:
    """As if the call had not been tried."""
    return Step(Undoing(state.call, state.asked if isinstance(state, Waiting) else None, reason))


def _feed(then: Naming | Asking, ids: tuple[int, ...], room: int) -> Step:
    """More of the name or of the input goes through the model, if there is room for it."""
    return undone(then, _NO_ROOM) if room < len(ids) else Step(Feeding(ids, then))
