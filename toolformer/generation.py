"""What a model wrote behind a prompt: put together from the events of one row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from toolformer.calls import Call, CallSyntax
from toolformer.decode.events import Answered, Ended, EndReason, Event, Text


@dataclass(frozen=True)
class MadeCall:
    """A call in a text that a model wrote."""

    tool: str
    input: str
    result: str
    probability: float
    """What the model gave the opening of the call as the next token."""
    rank: int
    """How many tokens were likelier."""
    start: int
    """Where it stands, in characters of the text."""
    uses: tuple[int, ...] = ()
    """The earlier calls of the text, by their number from 0, that it builds on: a number or a name of its input stood
    first in their results."""


def made_call(call: Call, probability: float, rank: int, start: int, uses: tuple[int, ...] = ()) -> MadeCall:
    """A call of the decoder's as one in a text."""
    return MadeCall(call.tool, call.input, call.result or "", probability, rank, start, uses)


@dataclass(frozen=True)
class Generation:
    """What a model wrote behind a prompt."""

    text: str
    """Without the calls."""
    calls: tuple[MadeCall, ...]
    raw: str
    """The text with the calls in it, as they are written for people to read."""
    end: EndReason
    """Why there is no more."""
    ids: tuple[int, ...]
    """The text's tokens."""


class Gathered:
    """One row's events, put together."""

    def __init__(self, syntax: CallSyntax) -> None:
        self._syntax = syntax
        self._text = ""
        self._answered: list[Answered] = []
        self._ended: Ended | None = None

    def add(self, event: Event) -> None:
        """One more of the row's events."""
        if isinstance(event, Text):
            self._text += event.text
        elif isinstance(event, Answered):
            self._answered.append(event)
        elif isinstance(event, Ended):
            self._ended = event

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text

    @property
    def ended(self) -> Ended | None:
        """The last event, once it came."""
        return self._ended

    @property
    def answered(self) -> Sequence[Answered]:
        """The calls so far, as events."""
        return self._answered

    @property
    def placed(self) -> list[tuple[int, Call]]:
        """The calls so far, each with how many tokens of the text stand before it."""
        return [(one.tokens, one.call) for one in self._answered]

    @property
    def calls(self) -> tuple[MadeCall, ...]:
        """The calls so far. One behind the place where a stop string ended the text stands at its end."""
        return tuple(
            made_call(one.call, one.probability, one.rank, min(one.start, len(self._text)), one.uses)
            for one in self._answered
        )

    def generation(self) -> Generation:
        """All of it, once the row has ended."""
        assert self._ended is not None
        raw, at = "", 0
        for answered, made in zip(self._answered, self.calls, strict=True):
            # Never a CallFormatError: a call that could not be read back was undone.
            raw += self._text[at : made.start] + self._syntax.format(answered.call)
            at = made.start
        return Generation(self._text, self.calls, raw + self._text[at:], self._ended.reason, self._ended.ids)


def with_calls(
    ids: Sequence[int], calls: Iterable[tuple[int, Call]], write: Callable[[Call], Sequence[int]]
) -> tuple[int, ...]:
    """A text's tokens with its calls among them. Each comes with how many tokens of the text stand before it."""
    among: list[int] = []
    before = 0
    for at, call in calls:
        among += [*ids[before:at], *write(call)]
        before = at
    return (*among, *ids[before:])
