"""Texts that are being written together. They come and go between two tokens, and each has options of its own."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from torch import Tensor

from toolformer.calls import CallSyntax
from toolformer.decode.branches import Branches, scored
from toolformer.decode.calling import Calling, Seen, undone
from toolformer.decode.choice import Chooser, row_seed
from toolformer.decode.events import Ended, EndReason, Event, Undone
from toolformer.decode.options import Options
from toolformer.decode.row import Asked, Row
from toolformer.decode.states import Asking, Feeding, Naming, Over, Resting, Scoring, Step, Undoing, Waiting, Writing
from toolformer.decode.trigger import Thresholds, log_odds
from toolformer.decode.writer import Writer
from toolformer.lm import DecodingModel, ranks
from toolformer.toolbox import Toolbox

_READY = (Writing, Scoring, Naming, Asking)
"""What a row does that the model's next token moves on."""
_TOOLS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class _Way:
    """How texts with the same options are written, however long they become and wherever they end."""

    options: Options
    branches: Branches
    calls: Calling
    chooser: Chooser


class Running:
    """The texts that are in the model together. Not for several threads at once."""

    def __init__(
        self, model: DecodingModel, toolbox: Toolbox, syntax: CallSyntax, calibrated: Thresholds | None = None
    ) -> None:
        """`calibrated` are the thresholds that were found for the model, if any were."""
        self._model, self._toolbox, self._syntax, self._calibrated = model, toolbox, syntax, calibrated
        self._port = model.rows(())
        self._pool = ThreadPoolExecutor(max_workers=_TOOLS_AT_ONCE)
        self._ways: dict[int, _Way] = {}
        """By the index of each text that is in."""
        self._rows: list[Row] = []
        self._born: list[tuple[int, Row]] = []
        """New branches, each with the place of the row that it is a copy of."""

    @property
    def texts(self) -> int:
        """How many are in; several branches of one text count once."""
        return len(self._ways)

    def add(self, asked: Sequence[Asked]) -> None:
        """Begin these. Each prompt fits into the model's context, and each index is not in yet."""
        if not asked:
            return
        for one in asked:
            self._ways[one.index] = self._way(one.options)
        self._port.add([one.prompt for one in asked])
        for one in asked:
            options, before = one.options, () if self._model.reads_apart else one.prompt
            writer = Writer(self._model.decode, before, options.stop, late=options.late_stop)
            self._rows.append(Row(one, row_seed(options.seed, one.prompt, one.before), writer))

    def _way(self, options: Options) -> _Way:
        """The one that others are written in, if there is one."""
        options = replace(options, max_new_tokens=1, stop=(), seed=0, batch=1)
        for way in self._ways.values():
            if way.options == options:
                return way
        branches = Branches(options)
        thresholds = options.thresholds(self._calibrated)
        calls = Calling(self._model, self._toolbox, self._syntax, options, branches, self._pool, thresholds)
        # Where calls can open, the opening is never text.
        chooser = Chooser(options, self._model, calls.control, calls.opening if calls.k else ())
        return _Way(options, branches, calls, chooser)

    def drop(self, index: int) -> None:
        """End a text that nobody waits for any more. A call that no thread has taken yet is not run."""
        if index in self._ways:
            self._ways[index].branches.forget(index)
        for row in self._rows:
            if row.index == index:
                if isinstance(row.state, Waiting):
                    row.state.result.cancel()
                row.state = Over()

    def choose(self, patience: float | None = None) -> list[Event]:
        """Decide what comes next in every text that can go on, and tell it; `feed` takes it through the model.

        Where all of them wait for tools, one result is waited for, or so many seconds.
        """
        return [*self._collect(patience), *self._advance()]

    def feed(self) -> None:
        """Texts that have ended leave, and what was decided for the others goes through the model."""
        self._leave()
        self._port.extend([row.feed for row in self._rows])
        for row in self._rows:
            row.fed()

    def close(self) -> None:
        """Wait for no tool."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _collect(self, patience: float | None) -> Iterator[Event]:
        """Results that have come; one is waited for only if nothing else is to be done."""
        out = [row.state.result for row in self._rows if isinstance(row.state, Waiting)]
        if out and not any(isinstance(row.state, _READY) for row in self._rows):
            wait(out, patience, return_when=FIRST_COMPLETED)
        for place, row in enumerate(self._rows):
            if isinstance(row.state, Waiting) and row.state.result.done():
                yield from self._take(
                    place, row, self._ways[row.index].calls.answer(row, row.state, self._port.room[place])
                )

    def _advance(self) -> Iterator[Event]:
        """The next token of every row that is ready for one."""
        ready = [place for place, row in enumerate(self._rows) if isinstance(row.state, _READY)]
        if not ready:
            return
        logits = self._port.logits
        if len(ready) < len(self._rows):
            logits = logits[ready]
        seen = self._see(ready, logits)
        rows = [self._rows[place] for place in ready]
        tokens = self._choose(rows, seen, logits)
        for place, row, saw, token in zip(ready, rows, seen, tokens, strict=True):
            for one, step in self._next(row, saw, token):
                if one is not row:
                    self._born.append((place, one))
                yield from self._take(place, one, step)

    def _see(self, places: Sequence[int], logits: Tensor) -> list[Seen]:
        """What the model answers to the rows at these places."""
        most, best = logits.max(dim=-1)
        behind, evidence = [0] * len(places), [0.0] * len(places)
        calls = next((way.calls for way in self._ways.values() if way.calls.k), None)
        if calls:
            behind = ranks(logits, calls.opening[0])
            if any(way.calls.thresholds for way in self._ways.values()):
                chances = (logits[:, calls.opening[0]] - logits.logsumexp(dim=-1)).exp().tolist()
                evidence = [self._evidence(place, chance) for place, chance in zip(places, chances, strict=True)]
        lengths, room = self._port.lengths, self._port.room
        numbers = zip(places, logits, most.tolist(), best.tolist(), behind, evidence, strict=True)
        return [Seen(one, b, rank, said, m != m, lengths[at], room[at]) for at, one, m, b, rank, said in numbers]

    def _evidence(self, place: int, chance: float) -> float:
        """What the probability of an opening says, by the thresholds of the row's options."""
        thresholds = self._ways[self._rows[place].index].calls.thresholds
        return thresholds.evidence(log_odds(chance)) if thresholds else 0.0

    def _choose(self, rows: Sequence[Row], seen: Sequence[Seen], logits: Tensor) -> list[int | None]:
        """The next token of each text, chosen for all at once: -1 for none, None where it is a call's or opens one."""
        tokens: list[int | None] = [None] * len(rows)
        text: defaultdict[_Way, list[int]] = defaultdict(list)
        for place, (row, saw) in enumerate(zip(rows, seen, strict=True)):
            if isinstance(row.state, Writing | Scoring):
                way = self._ways[row.index]
                if saw.broken:
                    tokens[place] = -1
                elif not way.calls.opens(row, saw):
                    text[way].append(place)
        for way, places in text.items():
            some = logits[places] if len(places) < len(rows) else logits
            best = [seen[place].best for place in places]
            for place, token in zip(places, way.chooser.choose([rows[n] for n in places], some, best), strict=True):
                tokens[place] = token
        return tokens

    def _next(self, row: Row, seen: Seen, token: int | None) -> Iterator[tuple[Row, Step]]:
        """What comes next, by what the row is doing; where it is copied, for each copy.

        `_collect` moves rows that wait for a tool, and `Branches` those that rest.
        """
        calls = self._ways[row.index].calls
        match row.state:
            case Naming() | Asking() as state if seen.broken:
                yield row, undone(state, "the model's answers are no numbers")
            case Naming() as state:
                yield from calls.name(row, state, seen)
            case Asking() as state:
                yield row, calls.ask(row, state, seen)
            case Writing() if token is None:
                yield row, calls.open(row, seen)
            case Writing() | Scoring():
                assert token is not None
                yield row, self._say(row, token, seen)

    def _say(self, row: Row, token: int, seen: Seen) -> Step:
        """One more token of the text, or its end; -1 where the model's answers are no numbers."""
        reason: EndReason | None = None
        events: list[Event] = []
        if token < 0 or token in self._model.ends:
            reason = "nan" if token < 0 else "end"
        else:
            row.said.append(token)
            row.writer.push(token)
            if row.writer.waiting >= row.asked.stride:
                events += row.text()
            if row.writer.stopped:
                reason = "stop"
            elif len(row.said) == row.asked.options.max_new_tokens:
                reason = "length"
            elif seen.room == 0:
                reason = "context"
        if reason:
            events += row.text(final=True)
            events.append(Ended(row.index, "stop" if row.writer.stopped else reason, tuple(row.said)))
        step = Step(Over() if reason else Feeding((token,), Writing()), tuple(events))
        return scored(row.state, step, seen.logits, token) if isinstance(row.state, Scoring) else step

    def _take(self, place: int, row: Row, step: Step) -> Iterator[Event]:
        """Do a step. What it tells of a branch is held until the branch is chosen."""
        row.become(step.state)
        if row.branch:
            row.branch.held += step.events
        else:
            yield from step.events
        if isinstance(step.state, Undoing):
            yield from self._undo(place, row, step.state)
        if row.branch and isinstance(row.state, Resting | Over):
            yield from self._ways[row.index].branches.settle(row.index)

    def _undo(self, place: int, row: Row, state: Undoing) -> Iterator[Event]:
        """The row goes back to where its call opened, and none opens there again; a branch leaves it to the others."""
        yield Undone(row.index, state.call.start, state.asked, state.reason)
        if self._ways[row.index].branches.others(row):
            row.become(Over())
            return
        self._port.truncate(place, state.call.length, state.call.logits)
        row.branch = None
        row.undone += state.failed
        row.barred = len(row.said)
        row.become(Writing())

    def _leave(self) -> None:
        """Rows that are over make room: the last ones take their places, so that few have to be moved."""
        alive = [place for place, row in enumerate(self._rows) if not isinstance(row.state, Over)]
        if len(alive) == len(self._rows) and not self._born:
            return
        last = [place for place in alive if place >= len(alive)]
        places = [last.pop() if isinstance(self._rows[place].state, Over) else place for place in range(len(alive))]
        living = [self._rows[place] for place in places]
        for place, row in self._born:
            if not isinstance(row.state, Over):
                places.append(place)
                living.append(row)
        self._born.clear()
        self._port.keep(places)
        self._rows = living
        in_it = {row.index for row in living}
        self._ways = {index: way for index, way in self._ways.items() if index in in_it}
