"""Search, read, search again with what was read; then answer from the notes, and say where they are from.

Each query is a call that the model writes itself, in its own spelling, behind the question and the notes so far: a call
is opened there whatever the model thinks of it. Every round reads question and notes again.
"""

from dataclasses import dataclass
from typing import Literal

from toolformer.decode.decoder import Decoder
from toolformer.decode.events import Answered, Undone
from toolformer.decode.options import AT_ONCE, Options
from toolformer.errors import ConfigError
from toolformer.generation import Gathered

_ASKING = AT_ONCE.changed(calls_sampled=4, choose="call")
"""The likeliest query is written, and three samples, which stand in for it where it finds nothing new."""
_ANSWER = "Answer:"

Why = Literal["rounds", "nothing new", "nothing found", "tokens"]


@dataclass(frozen=True)
class Note:
    """What one search gave."""

    query: str
    result: str

    @property
    def source(self) -> str:
        """The title of what was found, if the result begins with one, as WikiSearch's do."""
        title, colon, _ = self.result.partition(": ")
        return title if colon else self.result


@dataclass(frozen=True)
class Research:
    """An answer, and how it was found."""

    question: str
    notes: tuple[Note, ...]
    answer: str
    end: Why
    """Why there was no further search: as many rounds as were allowed; nothing new was found, or nothing at all; or
    another round would have taken more tokens than were allowed."""
    tokens: int
    """Those that were read and written."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The titles of what was read."""
        return tuple(note.source for note in self.notes)

    def __str__(self) -> str:
        """A transcript."""
        told = [self.question]
        for number, note in enumerate(self.notes, 1):
            told += [f"{number}. searched for: {note.query}", f"   found: {note.result}"]
        sources = f" [{', '.join(self.sources)}]" if self.notes else ""
        return "\n".join([*told, f"{self.answer}{sources}"])


class Researcher:
    """One question that a model looks into, with one tool."""

    def __init__(self, decoder: Decoder, question: str, tool: str, options: Options, most: int) -> None:
        """`options` says how the answer is written; `most` tokens are read and written in all."""
        self._question = " ".join(question.split())
        if not self._question:
            raise ConfigError("the question is empty")
        self._decoder = Decoder(decoder.model, decoder.toolbox.only(tool), decoder.syntax)
        self._answering = options.changed(k=0, stop=("\n", *options.stop))
        self._notes: list[Note] = []
        self._used, self._most = 0, most
        if (least := len(self._ids(_ANSWER)) + self._answering.max_new_tokens) > most:
            raise ConfigError(f"tokens={most}: the question and its answer alone may take {least}; allow more")

    def run(self, rounds: int) -> Research:
        """Answer it after at most so many searches."""
        end: Why = "rounds"
        while len(self._notes) < rounds:
            if not self._fits():
                end = "tokens"
                break
            if (note := self._search()) is None:
                end = "nothing new" if self._notes else "nothing found"
                break
            self._notes.append(note)
        answer = self._write()
        return Research(self._question, tuple(self._notes), answer, end, self._used)

    def _fits(self) -> bool:
        """Whether another search and the answer can take no more tokens than they may."""
        size = len(self._ids(""))
        call = _ASKING.input_tokens + _ASKING.result_tokens
        answer = size + call + self._answering.max_new_tokens
        search = size + _ASKING.calls_sampled * call
        return answer <= self._decoder.model.context and self._used + search + answer <= self._most

    def _search(self) -> Note | None:
        """What the model's likeliest query finds, or one that it samples, if that is new."""
        ids = self._ids("")
        events = [event for event in self._decoder.run([ids], _ASKING) if isinstance(event, Answered | Undone)]
        events.sort(key=lambda event: isinstance(event, Undone))  # samples, behind the call that stays
        notes = [Note(event.call.input, event.call.result) for event in events if event.call and event.call.result]
        self._used += len(ids) + sum(len(self._decoder.model.encode(f"{one.query} {one.result}").ids) for one in notes)
        known = {one.result for one in self._notes}
        return next((note for note in notes if note.result not in known), None)

    def _write(self) -> str:
        """The answer."""
        ids = self._ids(_ANSWER)
        row = Gathered(self._decoder.syntax)
        for event in self._decoder.run([ids], self._answering):
            row.add(event)
        written = row.generation()
        self._used += len(ids) + len(written.ids)
        return written.text.strip()

    def _ids(self, end: str) -> tuple[int, ...]:
        """What the model reads: the notes, the question, and what its own words follow."""
        lines = [*(note.result for note in self._notes), f"Question: {self._question}", end]
        return self._decoder.model.encode("\n".join(lines)).ids
