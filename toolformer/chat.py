"""A conversation with a model that uses its tools: what was said, and what of it fits into the model's context.

A model with a chat template gets its turns as the template frames them; to any other the conversation is one text, in
which each turn of the user begins a line and the model goes on from it. What a user says is encoded as plain text, and
what the model said is kept as its own tokens, so that neither can become a control token. Its calls and their results
stay where they were: what a tool has answered once, later turns can read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Unpack

from toolformer.calls import Call, Part
from toolformer.decode.decoder import Decoder
from toolformer.decode.events import Event
from toolformer.decode.options import OptionChanges, Options
from toolformer.errors import ConfigError
from toolformer.generation import Gathered, Generation, MadeCall, with_calls
from toolformer.lm import DecodingModel, Ids
from toolformer.reflect import ROUNDS, Reflector
from toolformer.reflection import Reflection, Step


@dataclass(frozen=True)
class Turn:
    """What one side said."""

    role: Literal["system", "user", "assistant"]
    text: str
    calls: tuple[MadeCall, ...] = ()
    ids: tuple[int, ...] | None = None
    """The tokens of what the model said, its calls among them, if it came to its end by itself."""


class Chat:
    """A conversation that goes on. Turns are added when they are said, and taken back by `undo`."""

    def __init__(self, decoder: Decoder, system: str | None, options: Options) -> None:
        self._decoder, self._model = decoder, decoder.model
        self.options = options
        self.turns: list[Turn] = [] if system is None else [Turn("system", system)]

    def send(self, text: str, **changes: Unpack[OptionChanges]) -> Generation:
        """Say something and get the whole answer."""
        gathered = Gathered(self._decoder.syntax)
        for event in self.stream(text, **changes):
            gathered.add(event)
        return gathered.generation()

    def stream(self, text: str, **changes: Unpack[OptionChanges]) -> Iterator[Event]:
        """Say something and see the answer come. If nobody listens to its end, what came so far is what was said."""
        options = self.options.changed(**changes)
        said = Turn("user", text)
        prompt = conversation(self._decoder, [*self.turns, said], options)
        gathered = Gathered(self._decoder.syntax)
        try:
            for event in self._decoder.run([prompt], options):
                gathered.add(event)
                yield event
        finally:
            self.turns += [said, Turn("assistant", gathered.text, gathered.calls, self._written(gathered))]

    def reflect(self, text: str, rounds: int = ROUNDS, **changes: Unpack[OptionChanges]) -> Iterator[Step]:
        """Say something, and see the answer drafted, reviewed and revised. It is a turn once it came to its end."""
        options = self.options.changed(**changes)
        said = Turn("user", text)
        prompt = conversation(self._decoder, [*self.turns, said], options)
        for step in Reflector(self._decoder, options).steps([prompt], rounds):
            if isinstance(step, Reflection):
                ids = None if step.end == "stop" else step.ids
                self.turns += [said, Turn("assistant", step.text, step.calls, ids)]
            yield step

    def undo(self) -> bool:
        """Take the last question and its answer back; False if there is none."""
        if len(self.turns) < 2:
            return False
        del self.turns[-2:]
        return True

    def _written(self, gathered: Gathered) -> tuple[int, ...] | None:
        """The tokens of an answer with its calls. One that a stop string ended has tokens that are not in its text."""
        if gathered.ended is None or gathered.ended.reason == "stop":
            return None
        model, syntax = self._model, self._decoder.syntax
        return with_calls(gathered.ended.ids, gathered.placed, lambda call: model.encode_parts(syntax.parts(call)))


def conversation(decoder: Decoder, turns: Sequence[Turn], options: Options) -> Ids:
    """The prompt of these turns, the last one the user's, less the oldest exchanges if not all of them fit."""
    model = decoder.model
    system = [turn for turn in turns if turn.role == "system"]
    *exchanges, said = turns[len(system) :]
    # An answer may need its full length, but half of the context is enough to remember by.
    room = model.context if model.reads_apart else model.context - min(options.max_new_tokens, model.context // 2)
    ids_of = cache(lambda place: _said(decoder, exchanges[place]))
    own = [_said(decoder, turn) for turn in (*system, said)]
    for first in range(0, len(exchanges) + 1, 2):
        kept = [ids_of(place) for place in range(first, len(exchanges))]
        ids = _encoded(model, [*system, *exchanges[first:], said], [*own[:-1], *kept, own[-1]])
        if len(ids) <= room:
            return ids
    raise ConfigError(
        f"{len(ids):,} tokens do not fit into the context of {model.name} ({model.context:,}) with an answer "
        "behind them: say less, or lower max_new_tokens"
    )


def _encoded(model: DecodingModel, turns: Sequence[Turn], said: Sequence[Ids]) -> Ids:
    """The turns in their frame, or as one text; `said` are the tokens of each."""
    frame = model.frame_turns([turn.role for turn in turns])
    if frame is None:
        ids = [*model.encode(turns[0].text).ids]
        for turn, own in zip(turns[1:], said[1:], strict=True):
            ids += [*(() if turn.role == "assistant" else model.encode_parts([Part("\n")])), *own]
        return tuple(ids)
    ids = [*frame[0]]
    for own, behind in zip(said, frame[1:], strict=True):
        ids += [*own, *behind]
    return tuple(ids)


def _said(decoder: Decoder, turn: Turn) -> Ids:
    if turn.ids is not None:
        return turn.ids
    parts: list[Part] = []
    before = 0
    for made in turn.calls:
        call = Call(made.tool, made.input, made.result)
        parts += [Part(turn.text[before : made.start]), *decoder.syntax.parts(call)]
        before = made.start
    return decoder.model.encode_parts([*parts, Part(turn.text[before:])])
