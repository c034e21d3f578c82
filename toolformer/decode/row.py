"""One text while it is written, and the call in it while that is written: what is known, and what comes next.

A row is in one of these states, and `Decoder` moves it from one to the next:

    writing    no call is open: the next token is text, or opens a call
    naming     a call is open, and the tool's name is not complete: only a registered name can follow
    asking     the name stands: the next token belongs to the input, or ends it
    waiting    the tool runs
    resting    a branch that waits for the others
    over       nothing more will come

From naming, asking and waiting a row falls back to writing when the call fails. This file knows no tensors but those
that undoing puts back.
"""

from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from toolformer.calls import Call, CallSyntax
from toolformer.decode.events import Answered, Event
from toolformer.decode.names import Node
from toolformer.decode.writer import Writer
from toolformer.lm import Ids

if TYPE_CHECKING:
    from torch import Tensor

    from toolformer.decode.branches import Fork


@dataclass
class OpenCall:
    """A call from its opening to the end of its result."""

    start: int
    """Where it stands in the text, in characters."""
    probability: float
    rank: int
    length: int
    """The row's length before it, and what followed there: for undoing."""
    before: "Tensor"
    node: Node | None
    """What may follow of the name; None when it is complete."""
    tool: str = ""
    ids: list[int] = field(default_factory=list)
    """What stands behind the opening."""
    input_at: int = 0
    """How many of the ids are the name's."""
    result: "Future[str] | None" = None
    asked: Call | None = None
    """The call as it was made, once it was."""

    def read(self, written: str, syntax: CallSyntax) -> Call | None:
        """The call, if the text behind its opening is a whole one; where control tokens end it, without these."""
        body = written.lstrip().removeprefix(syntax.front(self.tool).lstrip())
        if syntax.control:
            body = body.rstrip()
            return Call(self.tool, body[:-1]) if body.endswith(")") else None
        ends = [place for stop in syntax.stops if (place := body.find(stop)) >= 0]
        return Call(self.tool, body[: min(ends)]) if ends else None


@dataclass
class Row:
    """One prompt's text. A fork is a copy that goes its own way."""

    index: int
    prompt: Ids
    seed: int
    writer: Writer
    said: list[int] = field(default_factory=list)
    """The tokens of the text; those of calls are not among them."""
    pending: tuple[int, ...] = ()
    """What goes through the model next."""
    call: OpenCall | None = None
    calls: int = 0
    undone: int = 0
    barred: int = -1
    """The length of the text at which a call failed: none opens there again."""
    answered: Answered | None = None
    """The last call that had a result."""
    fork: "Fork | None" = None
    named: float = 0.0
    """Of a branch: the log-probability of the tool's name, among the registered ones."""
    sample: int = 0
    """Of a branch: the number of the sample that it is."""
    written: float = 0.0
    """Of a sample: the log-probability of its call."""
    votes: int = 1
    """Of a sample: how many wrote this call."""
    resting: bool = False
    finished: bool = False
    """Of a branch: its text has ended, but which branch lives is not known yet."""
    over: bool = False
    held: list[Event] = field(default_factory=list)
    """Of a branch: what happened, to be told if it is the best."""
    scores: list[float] = field(default_factory=list)
    """Of a branch: the log-probabilities of the tokens behind its result."""

    @property
    def waiting(self) -> "Future[str] | None":
        """The tool's answer to come, if one is out."""
        return self.call.result if self.call else None

    @property
    def ready(self) -> bool:
        """Whether a token is to be chosen now."""
        return not (self.pending or self.over or self.resting or self.waiting)

    def copy(self) -> "Row":
        """A fork of this row, while a call begins."""
        assert self.call is not None
        call = replace(self.call, ids=[*self.call.ids])
        return replace(self, call=call, writer=self.writer.copy(), said=[*self.said], held=[*self.held], scores=[])
