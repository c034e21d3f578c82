"""A call while a text is written: opened, named, asked, answered, or undone.

What the model may write inside a call is a registered name, `(`, and then what it likes until the arrow or the close;
the result is fed. Whatever goes wrong, the row falls back to where it stood, and at that place no call opens again.
Where several calls are tried at one place, the row is copied, and the copies are a fork (`branches.py`).
"""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace

from torch import Tensor

from toolformer.calls import Call, CallSyntax, Part
from toolformer.decode.branches import Fork
from toolformer.decode.choice import CallChooser, Chooser, call_seed
from toolformer.decode.events import Answered, Called, Event, Opened, Undone
from toolformer.decode.names import Node, forced, name_tree
from toolformer.decode.options import Options
from toolformer.decode.row import OpenCall, Row
from toolformer.errors import CallFormatError, ToolError
from toolformer.lm import WINDOW, LanguageModel, Rows
from toolformer.tool import DocumentFacts
from toolformer.toolbox import Toolbox

_FAILURES = 8
"""After so many calls of a row have failed, no more are tried: each costs what it wrote."""
_NO_ROOM = "the context has no room for it"


class Calling:
    """The calls of one run. `told` is what happened, `born` are copies of rows, with the place of the row copied."""

    def __init__(
        self,
        model: LanguageModel,
        toolbox: Toolbox,
        syntax: CallSyntax,
        options: Options,
        port: Rows,
        facts: Sequence[DocumentFacts] | None = None,
    ) -> None:
        self._model, self._toolbox, self._syntax, self._options, self._port = model, toolbox, syntax, options, port
        self._facts = facts
        self.opening = model.encode_parts([syntax.opening])
        control = self._control = [
            model.encode_parts([Part(token, control=True)])[0] for token in syntax.control_tokens
        ]
        self._stops = control[1:]
        self._most = options.k if options.calls and len(toolbox) else 0
        self.chooser = Chooser(options, model, self._control, self.opening if self._most else ())
        """Chooses what is text: where calls can open, the opening never is."""
        self._inside = CallChooser(options)
        names = name_tree(model, syntax, toolbox.names, one_way=options.branches > 1)
        self._first, self._names = forced(names)
        rows = options.batch * max(options.branches, options.calls_sampled)
        self._pool = ThreadPoolExecutor(max_workers=min(32, rows))
        self.told: list[Event] = []
        self.born: list[tuple[int, Row]] = []

    def close(self) -> None:
        """Wait for no tool."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def tell(self, row: Row, event: Event) -> None:
        """Something happened; of a branch it is told only if the branch lives."""
        (row.held if row.fork else self.told).append(event)

    def ranks(self, logits: Tensor) -> list[int]:
        """How many tokens are at least as likely as the opening, for each row of logits; 0 if it does not matter."""
        if not self._most:
            return [0] * len(logits)
        return ((logits >= logits[:, self.opening[0], None]).sum(dim=-1) - 1).tolist()

    def may_open(self, place: int, row: Row, rank: int) -> bool:
        """Whether a call begins here, by the numbers."""
        return (
            rank < self._most
            and row.calls < self._options.calls
            and row.undone < _FAILURES
            and row.barred != len(row.said)
            and row.fork is None
            and self._port.room[place] >= len(self.opening) + len(self._first)
        )

    def open(self, place: int, row: Row, logits: Tensor, rank: int) -> None:
        """Begin a call."""
        probability = float(logits.softmax(dim=-1)[self.opening[0]])
        start = row.writer.length
        length, front = self._port.lengths[place], list(self._first)
        row.call = OpenCall(start, probability, rank, length, logits.clone(), self._names, ids=front)
        # What nothing else can follow goes through the model at once.
        row.pending = (*self.opening, *front)
        self.tell(row, Opened(row.index, start, probability, rank))
        if self._options.branches > 1:
            row.fork, row.named, row.scores = Fork([row], tools=self._options.branches), 0.0, []

    def go_on(self, place: int, row: Row, best: int, logits: Tensor, *, broken: bool) -> None:
        """The next token inside a call; `best` is the likeliest."""
        assert row.call is not None
        if broken:
            self._undo(place, row, "the model's answers are no numbers")
        elif row.call.node is not None and row.fork and row.fork.tools:
            self._part(place, row, row.call.node, logits)
        else:
            for one in self._samples(place, row):
                self._next(place, one, best, logits)

    def _samples(self, place: int, row: Row) -> list[Row]:
        """The row, and, where its call begins, a copy for each further one that is to be sampled."""
        more = self._options.calls_sampled - 1
        if not more or row.fork:
            return [row]
        row.fork = Fork([row], choose=self._options.choose)
        row.sample, row.written, row.votes, row.scores = 0, 0.0, 1, []
        for number in range(1, more + 1):
            twin = row.copy()
            twin.sample = number
            row.fork.members.append(twin)
            self.born.append((place, twin))
        return [*row.fork.members]

    def _next(self, place: int, row: Row, best: int, logits: Tensor) -> None:
        """One more token, chosen by itself: of a name that is registered, or of the input."""
        call = row.call
        assert call is not None
        seed, step = call_seed(row.seed, len(row.said), row.sample), len(call.ids)
        if call.node is not None:
            shares, tokens = logits[list(call.node)], list(call.node)
            chosen = self._inside.choose(shares, int(shares.argmax()), seed, row.sample, step)
            self._count(row, shares, chosen)
            self._named(place, row, tokens[chosen], 0.0)
            return
        token = self._inside.choose(logits, best, seed, row.sample, step)
        self._count(row, logits, token)
        if token in self._model.ends:
            self._undo(place, row, "the text ended inside the call")
        elif token in self._stops:
            self._stopped(place, row)
        elif token in self._control:
            self._undo(place, row, "another call opened inside it")
        else:
            self._write(place, row, token)

    def _count(self, row: Row, logits: Tensor, chosen: int) -> None:
        if row.fork:
            row.written += float(logits.log_softmax(dim=-1)[chosen])

    def _part(self, place: int, row: Row, node: Node, logits: Tensor) -> None:
        """A row that tries several tools parts where their names do."""
        likelihood = logits[list(node)].log_softmax(dim=-1)
        ranked = sorted(zip(likelihood.tolist(), node, strict=True), reverse=True)
        for share, token in ranked[1:]:
            twin = row.copy()
            assert row.fork
            row.fork.members.append(twin)
            self.born.append((place, twin))
            self._named(place, twin, token, share)
        self._named(place, row, ranked[0][1], ranked[0][0])

    def _named(self, place: int, row: Row, token: int, share: float) -> None:
        call = row.call
        assert call is not None
        assert call.node is not None
        below = call.node[token]
        row.named += share
        if isinstance(below, str):
            call.node, call.tool = None, below
            row.resting = row.fork is not None and row.fork.tools > 0
            self._write(place, row, token)
        else:
            path, call.node = forced(below)
            self._write(place, row, token, *path)
        call.input_at = len(call.ids)
        self._settle(row)

    def _write(self, place: int, row: Row, *tokens: int) -> None:
        """More of the name, or one token of the input; as text, it may be the one that ends the input."""
        call = row.call
        assert call is not None
        if call.tool and not self._syntax.control:
            asked = call.read(self._model.decode([*call.ids, *tokens]), self._syntax)
            if asked:
                self._ask(row, asked)
                return
        if call.tool and call.input_at and len(call.ids) - call.input_at >= self._options.input_tokens:
            self._undo(place, row, f"its input has no end within {self._options.input_tokens} tokens")
        elif self._port.room[place] < len(tokens):
            self._undo(place, row, _NO_ROOM)
        else:
            call.ids += tokens
            row.pending = tokens

    def _stopped(self, place: int, row: Row) -> None:
        """A control token ends the input."""
        assert row.call is not None
        written = self._model.decode(row.call.ids)
        asked = row.call.read(written, self._syntax)
        if asked:
            self._ask(row, asked)
        else:
            self._undo(place, row, f"its input does not end with a bracket: {written[-40:]!r}")

    def _ask(self, row: Row, asked: Call) -> None:
        assert row.call is not None
        row.call.asked = asked
        if row.fork and row.fork.joined(row, asked):
            self._settle(row)
            return
        self.tell(row, Called(row.index, row.call.start, asked))
        toolbox = self._toolbox.bind(self._facts[row.index]) if self._facts else self._toolbox
        row.call.result = self._pool.submit(toolbox.run, asked.tool, asked.input)

    def collect(self, rows: Sequence[Row]) -> None:
        """Feed the results that have come; wait for one only if nothing else is to be done."""
        out = [row.waiting for row in rows if row.waiting]
        if out and not any(row.ready for row in rows):
            wait(out, return_when=FIRST_COMPLETED)
        for place, row in enumerate(rows):
            if row.waiting and row.waiting.done():
                self._answer(place, row)

    def _answer(self, place: int, row: Row) -> None:
        call = row.call
        assert call is not None
        assert call.asked is not None
        assert call.result is not None
        try:
            answered = replace(call.asked, result=self._cut(call.result.result()))
            self._syntax.format(answered)
            rest = self._syntax.rest(answered, self._model.decode(call.ids))
        except (ToolError, CallFormatError) as error:
            self._undo(place, row, str(error))
            return
        ids = self._model.encode_parts(rest)
        if len(ids) > self._port.room[place]:
            self._undo(place, row, _NO_ROOM)
            return
        row.answered = Answered(row.index, call.start, answered, call.probability, call.rank, len(row.said))
        self.tell(row, row.answered)
        row.pending, row.call = ids, None
        row.calls += 1
        if row.fork and row.fork.choose != "text":
            row.resting = True
            self._settle(row)

    def _cut(self, result: str) -> str:
        encoded = self._model.encode(result)
        limit = self._options.result_tokens
        return result[: encoded.starts[limit]].rstrip() if len(encoded.ids) > limit else result

    def _undo(self, place: int, row: Row, reason: str) -> None:
        """As if it had not been tried."""
        call = row.call
        assert call is not None
        self.told.append(Undone(row.index, call.start, call.asked, reason))
        if row.fork and row.fork.drop(row):
            self._settle(row)
            return
        row.fork, row.held, row.call = None, [], None
        row.undone += 1
        row.barred = len(row.said)
        self._port.truncate(place, call.length, call.before)

    def _settle(self, row: Row) -> None:
        """Of a branch: see whether the others have come as far."""
        if row.fork:
            self.told += row.fork.settle()

    def scored(self, row: Row, logits: Tensor, token: int) -> None:
        """Of a branch: this token of the text behind its result was chosen, or its text has ended."""
        row.scores.append(float(logits.log_softmax(dim=-1)[token]))
        if len(row.scores) == len(WINDOW):
            row.resting = True
            self._settle(row)

    def end(self, row: Row) -> None:
        """The row's text has ended; a branch stays until it is known which one lives."""
        row.over = row.fork is None
        if row.fork:
            row.finished = row.resting = True
            self._settle(row)
