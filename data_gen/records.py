"""What passes from stage to stage: one record type each, all of them plain data.

    Document -> Text -> Place -> Candidate -> Executed -> Scored -> Annotated,  and at every stage -> Rejected

A sample ends in exactly one record: a call of an Annotated document, or a Rejected that says why.
"""

import bisect
from dataclasses import dataclass

from toolformer.calls import Call
from toolformer.lm import Encoded, window_loss
from toolformer.tool import DocumentFacts


@dataclass(frozen=True)
class Document:
    """A text of the corpus, or a passage of a long one, with what is known of it."""

    id: str
    text: str
    facts: DocumentFacts = DocumentFacts()


@dataclass(frozen=True)
class Text:
    """A document as the filter's model sees it: its ids, and how likely each of them is behind nothing."""

    document: Document
    encoded: Encoded
    log_probabilities: tuple[float, ...]
    rounding: float = 0.0
    """How far the loss of a window may be off, for want of the model's precision."""

    def token_at(self, start: int) -> int:
        """The token that covers the character `start`: where a call that another tokenizer placed is put."""
        return bisect.bisect_right(self.encoded.starts, start) - 1

    def plain_loss(self, position: int) -> float:
        """L_i(ε): the weighted loss of the tokens from `position` on, without any call."""
        return window_loss(self.log_probabilities, position)


@dataclass(frozen=True)
class Place:
    """Where in which text a call of which tool might stand: before the token `position`."""

    text: Text
    tool: str
    position: int
    p_open: float | None
    """How likely the sampler found a call there; None if it could not say."""

    @property
    def start(self) -> int:
        """The place as a character offset in the document."""
        return self.text.encoded.starts[self.position]


@dataclass(frozen=True)
class Candidate:
    """A sampled call."""

    place: Place
    call: Call


@dataclass(frozen=True)
class Executed:
    """A call with its result."""

    place: Place
    call: Call


@dataclass(frozen=True)
class Losses:
    """L(ε), L(e(c, ε)) and L(e(c, r)) of a call at its place."""

    plain: float
    call: float | None
    """None where the plain loss alone decided: the call is not kept."""
    result: float

    @property
    def gain(self) -> float:
        """L⁻ - L⁺; where the call's own loss was not needed, the most it can be."""
        return (self.plain if self.call is None else min(self.plain, self.call)) - self.result


@dataclass(frozen=True)
class Scored:
    """A call with its result and its losses."""

    place: Place
    call: Call
    losses: Losses


@dataclass(frozen=True)
class Rejected:
    """A place or a call that went no further: at which stage, and why."""

    place: Place
    stage: str
    reason: str
    call: Call | None = None
    losses: Losses | None = None


@dataclass(frozen=True)
class Annotated:
    """A document and the calls that were kept, in the order of their places."""

    document: Document
    calls: tuple[Scored, ...]
