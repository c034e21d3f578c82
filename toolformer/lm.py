"""The narrow port through which everything else asks a language model.

Everything is ids: a text is encoded once, as plain text, and what a model produced is never decoded and encoded again.
`hf` implements this for transformers; tests use a scripted model. A position i of a text is a place between tokens:
0 is before the first one, and `text[i]` is the token that follows it.

For an encoder-decoder, a prompt or a prefix is the encoder's input and the text is the decoder's.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from toolformer.calls import CallSyntax, Part
from toolformer.errors import ConfigError

if TYPE_CHECKING:
    import torch

Ids = Sequence[int]

WINDOW = (5 / 15, 4 / 15, 3 / 15, 2 / 15, 1 / 15)
"""The weight of each token behind a position in the window loss: w_t = max(0, 1 - 0.2 t), normalised."""


@dataclass(frozen=True)
class Encoded:
    """A text as ids; token j covers the characters `starts[j]` to `starts[j + 1]` (or the end)."""

    ids: tuple[int, ...]
    starts: tuple[int, ...]

    def token_at(self, start: int) -> int:
        """The token that covers the character `start`; the first one, for what stands before it."""
        return max(0, bisect.bisect_right(self.starts, start) - 1)


@dataclass(frozen=True)
class Prompted:
    """A text behind its prompt: the model sees head + tail + text. The head is the same object for many texts."""

    head: tuple[int, ...]
    tail: tuple[int, ...]
    text: tuple[int, ...]


@dataclass(frozen=True)
class Draw:
    """One continuation to sample: of text `row`, cut at `position`, with the opening and then what the model says.

    `seed` alone decides the randomness, whatever else is sampled in the same batch.
    """

    row: int
    position: int
    seed: int


@dataclass(frozen=True)
class Continuation:
    """Something that could be written into text `row` at `position`. It begins with the opening's first token."""

    row: int
    position: int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """What was sampled behind the opening: its text up to and with the stop, or all of it if none came."""

    text: str
    stopped: bool
    tokens: int


@dataclass(frozen=True)
class Window:
    """The question: how surprising are the (up to five) tokens of `text` from `position` on, behind `prefix`?"""

    prefix: tuple[int, ...]
    text: tuple[int, ...]
    position: int

    @property
    def tokens(self) -> range:
        """The places in the text of the tokens that are weighed."""
        return range(self.position, min(self.position + len(WINDOW), len(self.text)))


def ranks(logits: "torch.Tensor", token: int) -> list[int]:
    """In each row of logits, how many tokens are at least as likely as this one: among equals, it comes last."""
    found: list[int] = ((logits >= logits[:, token, None]).sum(dim=-1) - 1).tolist()
    return found


class Openings(Protocol):
    """One proposing pass over a batch of texts, whose cache the samples continue. Use it in a `with` statement."""

    @property
    def probabilities(self) -> Sequence[Sequence[float]]:
        """For each text, p(opening | prompt, text[:i]) at every i from 0 to len(text) - 1; 0 where nobody asked."""

    @property
    def ranks(self) -> Sequence[Sequence[int]]:
        """How many tokens are at least as likely as the opening at these places; as many as there are, where nobody
        asked."""

    def sample(
        self,
        draws: Sequence[Draw],
        *,
        given: Ids = (),
        stops: Sequence[str],
        max_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> list[Sample]:
        """One sample a draw, behind the opening and what is given behind it. The decoded text behind those ends at the
        first of `stops`, which is kept."""

    def log_probabilities(self, continuations: Sequence[Continuation]) -> list[float]:
        """How likely the model finds it to write each continuation at its place."""

    def __enter__(self) -> "Openings": ...

    def __exit__(self, *exception: object) -> None: ...


class Rows(Protocol):
    """Texts that grow token by token, each at its own pace, for the decoder. No token is forwarded twice."""

    @property
    def logits(self) -> "torch.Tensor":
        """One row of fp32 logits for each text: what follows its last token."""

    @property
    def lengths(self) -> Sequence[int]:
        """How many tokens each row has (for an encoder-decoder: the decoder's, its start token included)."""

    @property
    def room(self) -> Sequence[int]:
        """How many more tokens fit into each row's context."""

    def extend(self, ids: Sequence[Ids]) -> None:
        """Append to each row its ids, none for a row that waits."""

    def truncate(self, row: int, length: int, logits: "torch.Tensor") -> None:
        """Cut a row to an earlier length: what came after never was. `logits` are those it had there, which whoever
        means to come back has kept."""

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row named twice is forked."""

    def add(self, prompts: Sequence[Ids]) -> None:
        """Put new rows behind the present ones."""


@dataclass
class Counter:
    """What went through the model, so that its speed can be explained."""

    tokens: int = 0
    """Tokens forwarded through the layers, those that only pad a batch included."""
    padding: int = 0
    """Those of them that only padded."""
    head_rows: int = 0
    """Positions for which the vocabulary head was asked."""
    operations: float = field(default=0.0, compare=False)
    """Floating-point operations of all that, about: two for each weight that a token meets, and none for attention."""


class DecodingModel(Protocol):
    """What a model must answer to write texts."""

    name: str
    context: int
    """Tokens that fit, prompt and text together. A start token, where there is one, is not among them."""
    ends: frozenset[int]
    """The tokens with which the model ends its text."""
    reads_apart: bool
    """Whether a prompt is read by an encoder, so that it neither precedes the text nor takes its room."""
    known: int | None
    """How many of the likeliest next tokens it tells, each with its probability; None if all. Of the others, `Rows`
    holds only what is left of the probability, in equal shares."""

    def encode(self, text: str) -> Encoded:
        """A text from its beginning as ids, none of them a control id, whatever the text looks like."""

    def encode_parts(self, parts: Sequence[Part]) -> tuple[int, ...]:
        """What goes on from other ids, such as a written call: control parts as their own tokens, the rest as plain.

        Some tokenizers put a space before a text's first word: `encode` does, this does not.
        """

    def frame_turns(self, roles: Sequence[str]) -> list[tuple[int, ...]] | None:
        """What the model's chat template writes before, between and behind turns of these roles (system, user,
        assistant), ready for the model's own turn; None if it has no template. Control ids are among it."""

    def decode(self, ids: Ids) -> str:
        """The ids as text, for people and for tools to read; never to be encoded again."""

    def rows(self, prompts: Sequence[Ids]) -> Rows:
        """Begin to decode behind these prompts."""


class Judge(Protocol):
    """What a model must answer to say which results help. Probabilities are plain, log-probabilities and losses
    natural."""

    context: int
    """See DecodingModel."""
    precision: str
    """How its weights are held, such as float32 or bfloat16+nf4: that decides answers, too."""
    rounding: float
    """How far a window's loss may be off for want of precision; 0 where asking exactly gives nothing more."""

    def log_probabilities(self, texts: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """The log-probability of each token of the texts, behind nothing: one pass, and L_i(ε) follows for all i.

        Where a model has no start token, the first token cannot be asked for and counts as certain (0.0), here and in
        `window_losses` behind an empty prefix.
        """

    def window_losses(self, windows: Sequence[Window], *, exact: bool = False) -> list[float]:
        """The weighted loss of each window. A row is forwarded to its window's end and no further.

        `exact` is fp32 whatever the model's own precision: slower, for losses that `rounding` leaves in doubt.
        """


class LanguageModel(DecodingModel, Judge, Protocol):
    """What a model must answer besides, to propose calls and to be taught."""

    fingerprint: str
    """Which model it is: changes with every weight, with the adapter, the settings, the tokenizer. Not with how it was
    loaded: what was annotated in one precision may be trained on in another."""
    lone_space: bool
    """Whether the model has learnt prompts that end in a space by itself, before a text encoded from its beginning."""
    counter: Counter

    def encode_behind(self, text: str) -> Encoded:
        """`encode` of a text that stands behind other words and a space, which its first token holds or is."""

    def open(
        self,
        prompted: Sequence[Prompted],
        opening: tuple[int, ...],
        places: Sequence[Sequence[int]] | None = None,
    ) -> Openings:
        """How likely the opening's first token is at every position of the texts, or at these `places` in each.

        A head is computed once and kept.
        """

    def under(self, adapter: str) -> "LanguageModel":
        """The same base model under another of its adapters, by name or path, with the weights in memory once.

        Both can be asked from different threads: passes take turns.
        """


def syntax_of(model: DecodingModel) -> CallSyntax:
    """How this model writes calls: with the added tokens if its vocabulary has them, otherwise as plain text."""
    try:
        model.encode_parts([Part(token, control=True) for token in CallSyntax.TOKENS.control_tokens])
    except ConfigError:
        return CallSyntax.TEXT
    return CallSyntax.TOKENS


def window_loss(log_probabilities: Sequence[float], position: int) -> float:
    """L_i from the log-probabilities of a text's tokens: the weighted sum over the window that begins at `position`."""
    return -sum(w * p for w, p in zip(WINDOW, log_probabilities[position : position + len(WINDOW)], strict=False))
