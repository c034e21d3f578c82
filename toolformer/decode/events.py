"""What happens while a model writes: the one interface of decoding. Everything a caller sees is made of these.

A row is a prompt's number. For each row the texts, put together, are what the model wrote without its calls; a call
stands at a character offset in that text. Rows take turns; of one row, events come in their order.
"""

from dataclasses import dataclass
from typing import Literal

from toolformer.calls import Call

EndReason = Literal["end", "stop", "length", "context", "nan"]
"""The model ended its text; a stop string came; as many tokens as were allowed; the context is full; the model's
answers were no numbers."""


@dataclass(frozen=True)
class Text:
    """Some more of the text, in whole characters."""

    row: int
    text: str
    ids: tuple[int, ...] = ()
    """The text's tokens since the last of these events. Characters that they begin may come with the next one."""


@dataclass(frozen=True)
class Opened:
    """A call begins."""

    row: int
    start: int
    probability: float
    """What the model gave the opening as the next token."""
    rank: int
    """How many tokens were likelier."""


@dataclass(frozen=True)
class Called:
    """The model has written a whole call, and the tool runs."""

    row: int
    start: int
    call: Call


@dataclass(frozen=True)
class Answered:
    """The tool's result stands behind the call, and the row goes on."""

    row: int
    start: int
    call: Call
    probability: float
    rank: int
    tokens: int
    """Those of the text before it."""
    uses: tuple[int, ...] = ()
    """The earlier calls, by their number from 0, in whose results a number or a name of its input stood first."""


@dataclass(frozen=True)
class Undone:
    """A call that came to nothing: the row goes on from before it as if it had not been tried."""

    row: int
    start: int
    call: Call | None
    """As far as it was written: None without a whole call."""
    reason: str


@dataclass(frozen=True)
class Ended:
    """The row's last event."""

    row: int
    reason: EndReason
    ids: tuple[int, ...]
    """The text's tokens. Those of a stop string, and of what its last token held behind it, are among them."""


Event = Text | Opened | Called | Answered | Undone | Ended
