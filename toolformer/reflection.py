"""What comes of a text that is drafted, reviewed and revised: each step, and what it came to in the end."""

from dataclasses import dataclass
from typing import Literal

from toolformer.calls import Call
from toolformer.decode.events import EndReason
from toolformer.generation import MadeCall

Verdict = Literal["changed", "confirmed", "no gain", "failed"]
"""The text behind the result is another, and pays; it is the same, or asks this already; it is another that does not
pay; there was no result."""
Why = Literal["settled", "rounds", "no words", "context"]


@dataclass(frozen=True)
class Draft:
    """A text as far as it is: the first draft, or a revision."""

    row: int
    """The number of its prompt."""
    number: int
    """0 is the draft, and each revision counts on."""
    text: str
    """With its calls in place."""


@dataclass(frozen=True)
class Review:
    """A place of a draft at which a call was tried."""

    row: int
    draft: int
    """The number of the draft."""
    start: int
    """Characters of the draft before it, without its calls."""
    probability: float
    """Of the call's opening, with the whole draft in view."""
    rank: int
    call: Call | None
    verdict: Verdict
    gain: float = 0.0
    """How much surer the model is of the words behind the result than it was of the draft's: the difference of their
    losses, weighted as the annotator weights them. 0 where both are the same words."""

    def __str__(self) -> str:
        call = self.call and f"{self.call.tool}({self.call.input}) gave {self.call.result or 'nothing'}"
        gain = f" (gain {self.gain:.2f})" if self.gain else ""
        return f"review at {self.start} (rank {self.rank}): {call or 'no call'}: {self.verdict}{gain}"


@dataclass(frozen=True)
class Reflection:
    """What a prompt came to."""

    row: int
    drafts: tuple[str, ...]
    """The first one, and each revision, with calls in place."""
    reviews: tuple[Review, ...]
    text: str
    """What was written in the end, without calls."""
    calls: tuple[MadeCall, ...]
    why: Why
    """Why it ended: the last review changed nothing; as many rounds as were allowed are over; or there was nothing to
    review, as the draft had no words but calls, or does not fit into the context twice."""
    end: EndReason
    """Why the text ended."""
    ids: tuple[int, ...]
    """The text's tokens, its calls among them."""
    tokens: int
    """Those that were read and written."""

    @property
    def raw(self) -> str:
        """The text with the calls in it."""
        return self.drafts[-1]

    def __str__(self) -> str:
        """A transcript: draft, reviews, revision."""
        told = []
        for number, draft in enumerate(self.drafts):
            told.append(f"{'revision' if number else 'draft'}: {draft}")
            told += [f"  {one}" for one in self.reviews if one.draft == number]
        return "\n".join([*told, *([f"  {NOT_REVIEWED[self.why]}"] if self.why in NOT_REVIEWED else [])])


Step = Draft | Review | Reflection
NOT_REVIEWED: dict[str, str] = {
    "no words": "not reviewed: the draft has no words of its own, at most calls",
    "context": "not reviewed: the draft does not fit into the context twice",
}
"""What is said of a text that was not reviewed, by why."""
