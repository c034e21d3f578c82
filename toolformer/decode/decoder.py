"""The runtime decoder: a model writes texts, calls tools while it does, and their results are fed to it.

All rows go through the model together, each in its own state (`row.py`). Tools run in threads beside it; finished rows
leave and waiting prompts take their places. A call that fails is cut out of its row's cache, which costs nothing: no
token goes through the model twice.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence

from torch import Tensor

from toolformer.calls import CallSyntax
from toolformer.decode.calling import Calling
from toolformer.decode.choice import row_seed
from toolformer.decode.events import Ended, EndReason, Event, Text
from toolformer.decode.options import Options
from toolformer.decode.row import Row
from toolformer.decode.writer import Writer
from toolformer.errors import ConfigError
from toolformer.lm import Ids, LanguageModel, syntax_of
from toolformer.tool import DocumentFacts
from toolformer.toolbox import Toolbox


class Decoder:
    """A model with its tools. Not for several threads at once: a model is not."""

    def __init__(self, model: LanguageModel, toolbox: Toolbox, syntax: CallSyntax | None = None) -> None:
        self.model = model
        self.toolbox = toolbox
        self.syntax = syntax or syntax_of(model)

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
        self._calls = Calling(self._model, decoder.toolbox, decoder.syntax, options, self._port, facts)
        self._coming = deque(enumerate(prompts))
        self._seen: Counter[tuple[int, ...]] = Counter()
        self._rows: list[Row] = []

    def events(self) -> Iterator[Event]:
        told = self._calls.told
        try:
            while self._rows or self._coming:
                self._admit()
                self._calls.collect(self._rows)
                self._choose()
                yield from told
                told.clear()
                self._leave()
                self._port.extend([row.pending for row in self._rows])
                for row in self._rows:
                    row.pending = ()
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
            seed = row_seed(self._options.seed, prompt, self._seen[tuple(prompt)])
            self._seen[tuple(prompt)] += 1
            self._rows.append(Row(index, prompt, seed, writer))

    def _choose(self) -> None:
        """The next token of every row that is ready for one."""
        ready = [place for place, row in enumerate(self._rows) if row.ready]
        if not ready:
            return
        logits = self._port.logits
        if len(ready) < len(self._rows):
            logits = logits[ready]
        most, best = logits.max(dim=-1)
        tokens, ranks, broken = best.tolist(), self._calls.ranks(logits), [value != value for value in most.tolist()]
        text = []
        for number, place in enumerate(ready):
            row = self._rows[place]
            if row.call is not None:
                self._calls.go_on(place, row, tokens[number], logits[number], broken=broken[number])
            elif broken[number]:
                self._end(row, "nan")
            elif not self._open(place, row, logits[number], ranks[number]):
                text.append(number)
        if not text:
            return
        if len(text) < len(ready):
            logits, tokens = logits[text], [tokens[number] for number in text]
        places = [ready[number] for number in text]
        chosen = self._calls.chooser.choose([self._rows[place] for place in places], logits, tokens)
        room = self._port.room
        for number, place in enumerate(places):
            self._say(self._rows[place], chosen[number], logits[number], full=room[place] == 0)

    def _open(self, place: int, row: Row, logits: Tensor, rank: int) -> bool:
        """Begin a call, if one begins here: never inside a character."""
        if not self._calls.may_open(place, row, rank):
            return False
        self._flush(row)
        if row.over or row.writer.waiting:
            return row.over
        self._calls.open(place, row, logits, rank)
        return True

    def _say(self, row: Row, token: int, logits: Tensor, *, full: bool) -> None:
        """One more token of the text."""
        if row.fork:
            self._calls.scored(row, logits, token)
            if row.over:  # another branch lives
                return
        if token in self._model.ends or token < 0:
            self._end(row, "nan" if token < 0 else "end")
            return
        row.said.append(token)
        row.writer.push(token)
        if row.writer.waiting >= self._stride:
            self._flush(row)
        if row.over or row.finished:
            return
        if len(row.said) == self._options.max_new_tokens:
            self._end(row, "length")
        elif full:
            self._end(row, "context")
        else:
            row.pending = (token,)

    def _flush(self, row: Row) -> None:
        """Tell the text that has become certain. A stop string may be in it."""
        if text := row.writer.take():
            self._calls.tell(row, Text(row.index, text))
        if row.writer.stopped:
            self._end(row, "stop")

    def _end(self, row: Row, reason: EndReason) -> None:
        """Tell the rest of the text, and that there is no more."""
        if text := row.writer.take(final=True):
            self._calls.tell(row, Text(row.index, text))
        self._calls.tell(row, Ended(row.index, "stop" if row.writer.stopped else reason, tuple(row.said)))
        self._calls.end(row)

    def _leave(self) -> None:
        """Rows that are over make room: the last ones take their places, so that few have to be moved."""
        born = self._calls.born
        alive = [place for place, row in enumerate(self._rows) if not row.over]
        if len(alive) == len(self._rows) and not born:
            return
        last = [place for place in alive if place >= len(alive)]
        places = [last.pop() if self._rows[place].over else place for place in range(len(alive))]
        living = [self._rows[place] for place in places]
        for place, row in born:
            if not row.over:
                places.append(place)
                living.append(row)
        born.clear()
        self._port.keep(places)
        self._rows = living
