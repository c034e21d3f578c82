"""A text with its calls as ids: what the model reads, and what it is to say where.

Ids first. The text is encoded once, as the annotator encoded it, and calls go between its tokens; so behind a call the
text goes on with its own first token. Whatever the text looks like, it cannot become a control token.
"""

import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from toolformer.calls import Call, CallSyntax, Part
from toolformer.finetune.turns import Frame, answer_at, as_turns
from toolformer.hf.encode import Codec
from toolformer.lm import Encoded


class PlacedCall(Protocol):
    """A call, with its result, that stands before the character `start` of its text."""

    @property
    def call(self) -> Call:
        """The call."""

    @property
    def start(self) -> int:
        """Its place."""


class Example(Protocol):
    """A text and its calls, in the order of their places."""

    @property
    def text(self) -> str:
        """The text without its calls."""

    @property
    def calls(self) -> Sequence[PlacedCall]:
        """Its calls."""


@dataclass(frozen=True)
class TrainingRow:
    """A text for the model: every token behind the first is predicted from those before it."""

    ids: "array[int]"
    """The start token and the text, with its calls."""
    ignored: frozenset[int] = frozenset()
    """Places in `ids` that are read but not learnt."""
    quiet: frozenset[int] = frozenset()
    """Places whose token is predicted as if no call could be opened there."""
    own: int = 0
    """So many of the ids, from the first on, are text that no call stands before."""
    source: "array[int] | None" = None
    """What an encoder reads; the ids are then the decoder's."""

    def __len__(self) -> int:
        return len(self.ids) + len(self.source or ())


@dataclass(frozen=True)
class _Piece:
    """Some ids that are cut apart never, or anywhere."""

    ids: Sequence[int]
    result: tuple[int, int] | None = None
    """Which of them are a call's result; None if it is no call."""


@dataclass(frozen=True)
class _Said:
    """What of a text the model is to say, and what stands around it."""

    text: str
    encoded: Encoded
    frame: Frame
    before: int = 0
    """Characters of the whole text that a user says."""

    def token(self, start: int) -> int:
        """The token before which a call goes, by its character in the whole text."""
        return token_at(self.encoded.starts, start - self.before, self.text)


class RowMaker:
    """Makes rows of texts for one model."""

    def __init__(
        self,
        codec: Codec,
        syntax: CallSyntax,
        most: int,
        *,
        decoder_start: int | None = None,
        mask_results: bool = False,
        undecided: Mapping[str, Collection[int]] = MappingProxyType({}),
    ) -> None:
        """`most` is how many tokens a row may have. With `decoder_start`, the rows are for an encoder-decoder.
        `undecided` are the characters of texts where the loss does not ask whether a call is opened."""
        self.cut = 0
        """Texts that were longer than a row may be."""
        self._codec, self._syntax = codec, syntax
        self._most = most
        self._mask_results = mask_results
        self._undecided = undecided
        self._decoder_start = decoder_start
        start = codec.start if decoder_start is None else decoder_start
        self._start = [] if start is None else [start]
        end: int | None = codec.tokenizer.eos_token_id
        self._end = [] if end is None else [end]
        self._frame = codec.frame() if decoder_start is not None else ([], [])

    def with_calls(self, example: Example, seed: str = "", *, turns: bool = False) -> TrainingRow:
        """The text with its calls. The seed says where an encoder-decoder's text goes on in the decoder. With `turns`,
        a text that answers what it asks is two turns of a chat, of which the answer is learnt, if the question fits."""
        said = self._said(example, turns)
        ids, places = self._joined([*self._pieces(example, said)], said.frame)
        quiet = self._quiet(example, said, places)
        calls = [(place, piece.result) for place, piece in places if piece.result]
        results = {at for place, (begin, end) in calls for at in range(place + begin, place + end)}
        first = min((place for place, _ in calls), default=len(ids))
        if said.before:
            # How a chat's answer comes to its call is learnt: by itself, a model says other words on the way.
            first = len(said.frame.begin)
        return self._row(said, ids, results if self._mask_results else set(), quiet, first, seed)

    def without_calls(self, example: Example, seed: str = "", *, turns: bool = False) -> TrainingRow:
        """The text alone. Where a call stood, the loss does not ask whether one is opened."""
        said = self._said(example, turns)
        ids, _ = self._joined([_Piece(said.encoded.ids)], said.frame)
        starts = {call.start for call in example.calls}.union(self._undecided.get(example.text, ()))
        quiet = {len(said.frame.begin) + said.token(start) for start in starts if start >= said.before}
        return self._row(said, ids, set(), {place for place in quiet if place < len(ids)}, len(ids), seed)

    def _said(self, example: Example, turns: bool) -> _Said:
        text = example.text
        at = answer_at(text, min((placed.start for placed in example.calls), default=len(text))) if turns else 0
        frame = as_turns(self._codec, text[:at]) if at else Frame(self._start, self._end)
        if len(frame.begin) + len(frame.end) >= self._most:
            return self._said(example, turns=False)
        return _Said(text[at:], self._codec.encode(text[at:]), frame, at)

    def _quiet(self, example: Example, said: _Said, places: Sequence[tuple[int, _Piece]]) -> set[int]:
        """Where the tokens at undecided characters are among the ids. Behind a call, no other one is to be opened."""
        undecided = self._undecided.get(example.text, ())
        tokens = {said.token(start) for start in undecided if start >= said.before}
        tokens -= {said.token(call.start) for call in example.calls}
        found: set[int] = set()
        before = 0
        for place, piece in places:
            if piece.result is None:
                found |= {place + token - before for token in tokens if before <= token < before + len(piece.ids)}
                before += len(piece.ids)
        return found

    def _pieces(self, example: Example, said: _Said) -> Iterator[_Piece]:
        """The text's tokens and its calls, in turn."""
        ids = said.encoded.ids
        before = 0
        for placed in sorted(example.calls, key=lambda placed: placed.start):
            token = said.token(placed.start)
            yield _Piece(ids[before:token])
            yield self._call(placed.call)
            before = token
        yield _Piece(ids[before:])

    def _call(self, call: Call) -> _Piece:
        parts = self._syntax.parts(call)
        ids = self._codec.encode_parts(parts)
        if not self._syntax.control:
            # In plain text, tokens may run over the ends of a result: those are its own that only it holds.
            bare = self._codec.encode_parts(self._syntax.parts(Call(call.tool, call.input, "")))
            head = next((i for i, (a, b) in enumerate(zip(ids, bare, strict=False)) if a != b), len(bare))
            return _Piece(ids, (head, len(ids) - 1))
        arrow = Part(self._syntax.control_tokens[1], control=True)
        head = len(self._codec.encode_parts(parts[: parts.index(arrow) + 1])) if arrow in parts else len(ids) - 1
        return _Piece(ids, (head, len(ids) - 1))

    def _joined(self, pieces: Sequence[_Piece], frame: Frame) -> tuple[list[int], list[tuple[int, _Piece]]]:
        """The ids of a row, and where each piece begins. What does not fit is left out: of a call, all of it."""
        ids = [*frame.begin]
        places: list[tuple[int, _Piece]] = []
        room = self._most - len(frame.end)
        for piece in pieces:
            if len(ids) + len(piece.ids) > room:
                self.cut += 1
                if piece.result is None:
                    ids += piece.ids[: room - len(ids)]
                return ids, places
            places.append((len(ids), piece))
            ids += piece.ids
        return ids + frame.end, places

    def _row(
        self, said: _Said, ids: list[int], ignored: set[int], quiet: set[int], first: int, seed: str
    ) -> TrainingRow:
        """The row; of an encoder-decoder's, the encoder reads the beginning, up to somewhere before the first call."""
        if self._decoder_start is None:
            ignored |= {*range(1, len(said.frame.begin))}
            return TrainingRow(array("i", ids), frozenset(ignored), frozenset(quiet), first)
        text = ids[len(self._start) :]
        read = random.Random(f"{seed} {len(text)}").randint(0, max(0, min(first - len(self._start), len(text) - 1)))
        before, behind = self._frame
        source = [*before, *text[:read], *behind] or self._end
        return TrainingRow(
            array("i", [*self._start, *text[read:]]),
            frozenset(place - read for place in ignored if place > read),
            frozenset(place - read for place in quiet if place > read),
            first - read,
            array("i", source),
        )


def token_at(starts: Sequence[int], start: int, text: str) -> int:
    """The token before which a call at the character `start` goes: the one that covers it, and all of a character."""
    if start >= len(text) or not starts:
        return len(starts)
    return bisect_left(starts, starts[bisect_right(starts, start) - 1])
