"""What passes from stage to stage, all of it plain data.

    Document -> Text -> Place -> Candidate -> Annotated,  and at every stage -> Rejected

A candidate gains a result when its tool has answered, and losses when the model was asked. It ends in exactly one
record: as a call of an Annotated document, or as a Rejected that says why.
"""

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
    log_probabilities: tuple[float, ...] | None
    """None until somebody has asked; up to the last place that anybody asks about, or further."""
    rounding: float = 0.0
    """How far the loss of a window may be off, for want of the model's precision."""

    def plain_loss(self, position: int) -> float:
        """L_i(ε): the weighted loss of the tokens from `position` on, without any call."""
        assert self.log_probabilities is not None
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

    @property
    def following(self) -> str:
        """The text behind the place."""
        return self.text.document.text[self.start :]


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
        return self.without - self.result

    @property
    def without(self) -> float:
        """L⁻: the smaller of the losses without a result."""
        return self.plain if self.call is None else min(self.plain, self.call)


@dataclass(frozen=True)
class Candidate:
    """A call at a place: first its input alone, then with its result, then with its losses."""

    place: Place
    call: Call
    losses: Losses | None = None

    @property
    def gain(self) -> float:
        """What the result gains, once it has been scored."""
        assert self.losses is not None
        return self.losses.gain


@dataclass(frozen=True)
class Rejected:
    """A place or a call that went no further: at which stage, and why."""

    place: Place
    stage: str
    reason: str
    call: Call | None = None
    losses: Losses | None = None
    kind: str = ""
    """Of a call that ran and has no result: the kind of the failure, as `errors.ToolError.kind` says it."""


@dataclass(frozen=True)
class Annotated:
    """A document and the calls that were kept, in the order of their places."""

    document: Document
    calls: tuple[Candidate, ...]
