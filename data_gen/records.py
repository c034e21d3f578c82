"""What passes from stage to stage, all of it plain data.

    Document -> Text -> Place -> Candidate -> Annotated,  and at every stage -> Rejected

A candidate gains a result when its tool has answered, and losses when the model was asked. It ends in exactly one
record: as a call of an Annotated document, or as a Rejected that says why.
"""

from bisect import bisect_left
from dataclasses import dataclass

from toolformer.calls import Call
from toolformer.lm import WINDOW, Encoded, window_loss
from toolformer.tool import DocumentFacts


@dataclass(frozen=True)
class Document:
    """A text of the corpus, or a passage of a long one, with what is known of it."""

    id: str
    text: str
    facts: DocumentFacts = DocumentFacts()


@dataclass(frozen=True)
class EncodedText:
    """A document as the filter's model sees it: its ids, and how likely each of them is behind nothing.

    In a later round of annotating, the calls that the document has kept stand among the ids, each before the token that
    it helps with; their ids begin at that token's character.
    """

    document: Document
    encoded: Encoded
    log_probabilities: tuple[float, ...] | None
    """None until somebody has asked; up to the last place that anybody asks about, or further."""
    rounding: float = 0.0
    """How far the loss of a window may be off, for want of the model's precision."""
    calls: tuple["Candidate", ...] = ()
    """Those that stand among the ids, in the order of their places."""

    @property
    def chain(self) -> int:
        """Which round of annotating this text is for: 1 where it has no call yet."""
        return 1 + max((one.place.text.chain for one in self.calls), default=0)

    def takes_call(self, position: int) -> bool:
        """Whether a call may be tried before this token. In a text with calls: behind one of them, and where the window
        that judges it holds words of the text alone."""
        if not self.calls:
            return True
        start = self.encoded.starts[position]
        behind = [one.place.start for one in self.calls if one.place.start <= start]
        if not behind or not self.document.text[behind[-1] : start].strip():
            return False
        ahead = self.calls[len(behind) :]
        return not ahead or bisect_left(self.encoded.starts, ahead[0].place.start) >= position + len(WINDOW)

    def plain_loss(self, position: int) -> float:
        """L_i(ε): the weighted loss of the tokens from `position` on, without any call."""
        assert self.log_probabilities is not None
        return window_loss(self.log_probabilities, position)


@dataclass(frozen=True)
class Place:
    """Where in which text a call of which tool might stand: before the token `position`."""

    text: EncodedText
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
