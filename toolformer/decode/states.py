"""What a row is doing. It is always in exactly one of these states, and `FOLLOWS` says which may come after which.

States never change: a row moves on by getting another one. What is fed to the model is decided a step before it is
forwarded, so `Feeding` holds the state behind it, as `Resting` holds the one that a branch goes on with if it lives.
"""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from toolformer.calls import Call
from toolformer.decode.events import Event
from toolformer.decode.names import Node


@dataclass(frozen=True)
class OpenCall:
    """Where a call was opened, and the way back to there."""

    start: int
    """Its place in the text, in characters."""
    probability: float
    rank: int
    evidence: float
    """What its log-odds say for a call, in nats."""
    length: int
    """The row's length in tokens before it."""
    logits: Tensor
    """What the model answered there."""


@dataclass(frozen=True)
class Writing:
    """The next token is text, or opens a call."""


@dataclass(frozen=True)
class Naming:
    """A call is open, and only the name of a tool can follow."""

    call: OpenCall
    ids: tuple[int, ...]
    """What was written behind the opening."""
    node: Node
    """The tokens that may be next."""


@dataclass(frozen=True)
class Asking:
    """The tool's name is written: the next token belongs to the input, or ends it."""

    call: OpenCall
    ids: tuple[int, ...]
    tool: str
    input_at: int
    """How many of the ids are the name's."""


@dataclass(frozen=True)
class Waiting:
    """The call is written, and its tool runs."""

    call: OpenCall
    ids: tuple[int, ...]
    """What was fed behind the opening: as text, the call's last token may be missing."""
    asked: Call
    result: "Future[str]"


@dataclass(frozen=True)
class Undoing:
    """The call came to nothing: the row goes back to where it opened, at once."""

    call: OpenCall
    asked: Call | None
    reason: str
    failed: bool = True
    """Whether something went wrong; not where the call is of a tool that asks for a likelier opening."""


@dataclass(frozen=True)
class Scoring:
    """Of a branch: the next token is text behind its result, and what the model gives it is noted."""

    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Resting:
    """A branch has come as far as it may before the others have."""

    then: "Feeding | Over"
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Over:
    """The text has ended, or another branch lives."""


@dataclass(frozen=True)
class Feeding:
    """These tokens go through the model at the end of this step."""

    ids: tuple[int, ...]
    then: Writing | Naming | Asking | Scoring


State: TypeAlias = Writing | Naming | Asking | Waiting | Undoing | Scoring | Resting | Over | Feeding

FOLLOWS: dict[type[State], tuple[type[State], ...]] = {
    Writing: (
        Writing,  # a token of the text
        Naming,  # the opening
        Over,  # the end, a stop string, a limit, or no numbers
    ),
    Naming: (
        Naming,  # a token of the name
        Asking,  # its last
        Resting,  # its last, where several tools are tried: the likeliest will be asked
        Waiting,  # its last, which holds a whole call, as in `Clock()]`
        Undoing,
        Over,  # the same, and another branch has written the same call
    ),
    Asking: (Asking, Waiting, Undoing, Over),
    Waiting: (
        Writing,  # the result has come
        Scoring,  # the same, where the text behind the results decides which branch lives
        Resting,  # the same, where something else does
        Undoing,
    ),
    Undoing: (
        Writing,
        Over,  # other branches are left
    ),
    Scoring: (Scoring, Resting),
    Resting: (Asking, Writing, Over),
    Over: (),
}
"""What may follow each state, at once or behind what is fed first."""


@dataclass(frozen=True)
class Step:
    """What a row does next, and what there is to tell of it."""

    state: State
    events: tuple[Event, ...] = ()


def goal(state: State) -> State:
    """The state, or the one behind what is fed first."""
    return state.then if isinstance(state, Feeding) else state
