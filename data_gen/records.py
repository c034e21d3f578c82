"""What passes from stage to stage: one record type each, all of them plain data.

    Document -> Candidate -> Executed -> Scored -> Annotated,  and at every stage -> Rejected

A sample ends in exactly one record: a call of an Annotated document, or a Rejected that says why.
"""

import bisect
from dataclasses import dataclass

from toolformer.calls import Call
from toolformer.lm import Encoded
from toolformer.tool import DocumentFacts


@dataclass(frozen=True)
class Document:
    """A text of the corpus, or a passage of a long one, with what is known of it."""

    id: str
    text: str
    facts: DocumentFacts = DocumentFacts()


@dataclass(frozen=True)
class Text:
    """A document as the ids of one model."""

    document: Document
    encoded: Encoded

    def token_at(self, start: int) -> int:
        """The token that covers the character `start`: where a call found by another tokenizer is put."""
        return bisect.bisect_right(self.encoded.starts, start) - 1


@dataclass(frozen=True)
class Place:
    """Where in which document a call of which tool might stand: before the character `start`."""

    document: Document
    tool: str
    start: int
    p_open: float | None
    """How likely the sampler found a call there; None if it could not say."""


@dataclass(frozen=True)
class Candidate:
    """A sampled call."""

    place: Place
    input: str


@dataclass(frozen=True)
class Executed:
    """A call that has run."""

    place: Place
    call: Call


@dataclass(frozen=True)
class Scored:
    """A call with its losses: L(ε), L(e(c, ε)), L(e(c, r)), and by how much the result helps."""

    place: Place
    call: Call
    loss_plain: float
    loss_call: float | None
    """None where the plain loss alone decided that the call is not kept."""
    loss_result: float

    @property
    def gain(self) -> float:
        """L⁻ - L⁺; where the call's own loss was not needed, the most it can be."""
        known = [loss for loss in (self.loss_plain, self.loss_call) if loss is not None]
        return min(known) - self.loss_result


@dataclass(frozen=True)
class Rejected:
    """A place, a sample or a call that went no further, and why."""

    place: Place
    reason: str
    stage: str
    """The stage that rejected it: propose, sample, execute, score, select or merge."""
    input: str | None = None
    result: str | None = None
    losses: tuple[float, float | None, float] | None = None


@dataclass(frozen=True)
class Annotated:
    """A document and the calls that were kept, by their place."""

    document: Document
    calls: tuple[Scored, ...]
