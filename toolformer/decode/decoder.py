"""The runtime decoder: a model writes texts, calls tools while it does, and their results are fed to it.

All rows go through the model together, each in its own state (`states.py`). Tools run in threads beside it; finished
rows leave and waiting prompts take their places. A call that fails is cut out of its row's cache, which costs nothing:
no token goes through the model twice.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait

from torch import Tensor

from toolformer.calls import CallSyntax
from toolformer.decode.branches import Branches, scored
from toolformer.decode.calling import Calling, Seen, undone
from toolformer.decode.choice import Chooser, row_seed
from toolformer.decode.events import Ended, EndReason, Event, Undone
from toolformer.decode.options import Options
from toolformer.decode.row import Row
from toolformer.decode.states import Asking, Feeding, Naming, Over, Resting, Scoring, Step, Undoing, Waiting, Writing
from toolformer.decode.trigger import Thresholds, log_odds
from toolformer.decode.writer import Writer
from toolformer.errors import ConfigError
from toolformer.lm import Ids, LanguageModel, syntax_of
from toolformer.tool import DocumentFacts
from toolformer.toolbox import Toolbox

_READY = (Writing, Scoring, Naming, Asking)
"""What a row does that the model's next token moves on."""


class Decoder:
    """A model with its tools. Not for several threads at once: a model is not."""

    def __init__(
        self,
        model: LanguageModel,
        toolbox: Toolbox,
        syntax: CallSyntax | None = None,
        calibrated: Thresholds | None = None,
    ) -> None:
        """`calibrated` are the thresholds that were found for the model, if any were."""
        self.model = model
        self.toolbox = toolbox
        self.syntax = syntax or syntax_of(model)
        self.calibrated = calibrated

    def run(
        self,
        prompts: Sequence[Ids],
        options: Options,
        *,
        stride: int = 1,
        facts: Sequence[DocumentFacts] | None = None,
    ) -> Iterator[Event]:
        """Go on from each prompt, and tell what happens; text comes at least every `stride` tokens.

        `facts` says what is known of each prompt, for tools that depend on it.

        To stop early, close the generator or leave it: a tool that is out is not waited for.
        """
        for number, prompt in enumerate(prompts):
            if len(prompt) > self.model.context:
                raise ConfigError(
                    f"prompt {number} has {len(prompt):,} tokens, and the context of {self.model.name} "
                    f"{self.model.context:,}: shorten it"
                )
        return _Run(self, prompts, options, stride, facts).events()


class _Run:
    """One call of `Decoder.run`."""

    def __init__(
        self,
        decoder: Decoder,
        prompts: Sequence[Ids],
        options: Options,
        stride: int,
        facts: Sequence[DocumentFacts] | None,
    ) -> None:
        self._model, self._options = decoder.model, options
        self._stride = 1 if options.stop else stride
        self._port = self._model.rows(())
        self._branches = Branches(options)
        thresholds = options.thresholds(decoder.calibrated)
        self._calls = Calling(self._model, decoder.toolbox, decoder.syntax, options, self._branches, thresholds, facts)
        # Where calls can open, the opening is never text.
        opening = self._calls.opening if self._calls.k else ()
        self._chooser = Chooser(options, self._model, self._calls.control, opening)
        self._coming = deque(enumerate(prompts))
        self._came: Counter[tuple[int, ...]] = Counter()
        self._rows: list[Row] = []
        self._born: list[tuple[int, Row]] = []
        """New branches, each with the place of the row that it is a copy of."""

    def events(self) -> Iterator[Event]:
        try:
            while self._rows or self._coming:
                self._admit()
                # A listener may be slow: all tools that can run now are started before anything is told.
                yield from [*self._collect(), *self._advance()]
                self._leave()
                self._port.extend([row.feed for row in self._rows])
                for row in self._rows:
                    row.fed()
        finally:
            self._calls.close()

    def _admit(self) -> None:
        """Waiting prompts take the places that are free."""
        free = self._options.batch - len({row.index for row in self._rows})
        new = [self._coming.popleft() for _ in range(min(free, len(self._coming)))]
        if not new:
            return
        self._port.add([prompt for _, prompt in new])
        for index, prompt in new:
            before = () if self._model.reads_apart else prompt
            writer = Writer(self._model.decode, before, self._options.stop, late=self._options.late_stop)
            seed = row_seed(self._options.seed, prompt, self._came[tuple(prompt)])
            self._came[tuple(prompt)] += 1
            self._rows.append(Row(index, prompt, seed, writer))

    def _collect(self) -> Iterator[Event]:
        """Results that have come; one is waited for only if nothing else is to be done."""
        out = [row.state.result for row in self._rows if isinstance(row.state, Waiting)]
        if out and not any(isinstance(row.state, _READY) for row in self._rows):
            wait(out, return_when=FIRST_COMPLETED)
        for place, row in enumerate(self._rows):
            if isinstance(row.state, Waiting) and row.state.result.done():
                yield from self._take(place, row, self._calls.answer(row, row.state, self._port.room[place]))

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
        ranks, evidence = [0] * len(places), [0.0] * len(places)
        if self._calls.k:
            opening = logits[:, self._calls.opening[0]]
            ranks = ((logits >= opening[:, None]).sum(dim=-1) - 1).tolist()
            if self._calls.thresholds:
                chances = (opening - logits.logsumexp(dim=-1)).exp().tolist()
                evidence = [self._calls.thresholds.evidence(log_odds(chance)) for chance in chances]
        lengths, room = self._port.lengths, self._port.room
        numbers = zip(places, logits, most.tolist(), best.tolist(), ranks, evidence, strict=True)
        return [Seen(one, b, rank, said, m != m, lengths[at], room[at]) for at, one, m, b, rank, said in numbers]

    def _choose(self, rows: Sequence[Row], seen: Sequence[Seen], logits: Tensor) -> list[int | None]:
        """The next token of each text, chosen for all at once: -1 for none, None where it is a call's or opens one."""
        tokens: list[int | None] = [None] * len(rows)
        text = []
        for place, (row, saw) in enumerate(zip(rows, seen, strict=True)):
            if isinstance(row.state, Writing | Scoring):
                if saw.broken:
                    tokens[place] = -1
                elif not self._calls.opens(row, saw):
                    text.append(place)
        if text:
            logits = logits[text] if len(text) < len(rows) else logits
            best = [seen[place].best for place in text]
            for place, token in zip(text, self._chooser.choose([rows[n] for n in text], logits, best), strict=True):
                tokens[place] = token
        return tokens

    def _next(self, row: Row, seen: Seen, token: int | None) -> Iterator[tuple[Row, Step]]:
        """What comes next, by what the row is doing; where it is copied, for each copy.

        `_collect` moves rows that wait for a tool, and `Branches` those that rest.
        """
        match row.state:
            case Naming() | Asking() as state if seen.broken:
                yield row, undone(state, "the model's answers are no numbers")
            case Naming() as state:
                yield from self._calls.name(row, state, seen)
            case Asking() as state:
                yield row, self._calls.ask(row, state, seen)
            case Writing() if token is None:
                yield row, self._calls.open(row, seen)
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
            if row.writer.waiting >= self._stride:
                events += row.text()
            if row.writer.stopped:
                reason = "stop"
            elif len(row.said) == self._options.max_new_tokens:
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
            yield from self._branches.settle(row.index)

    def _undo(self, place: int, row: Row, state: Undoing) -> Iterator[Event]:
        """The row goes back to where its call opened, and none opens there again; a branch leaves it to the others."""
        yield Undone(row.index, state.call.start, state.asked, state.reason)
        if self._branches.others(row):
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
