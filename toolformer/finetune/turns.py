"""Texts that ask something and answer it, as two turns of a chat: a model that learns them calls in its turns, too."""

import re
from dataclasses import dataclass

from toolformer.calls import Part
from toolformer.hf.encode import Codec

_ASKED = re.compile(r"\?(?=\s)")


@dataclass(frozen=True)
class Frame:
    """What a row holds around the text that the model is to say."""

    begin: list[int]
    """What it reads before that: a question, in the words of the chat template."""
    end: list[int]
    """What it says in the end."""


def answer_at(text: str, first: int) -> int:
    """The character at which a text begins to answer what it asks, or 0 if it does not. Its first call is at `first`.

    It asks up to the last question mark before that call; a text of two lines may also ask with the first.
    """
    ends = [found.end() for found in _ASKED.finditer(text) if found.end() <= first]
    if not ends and text.count("\n") == 1:
        ends = [text.index("\n")]
    if not ends or not text[: ends[-1]].strip():
        return 0
    answer = text[ends[-1] :].lstrip()
    # A call may stand before the space of its word.
    return min(len(text) - len(answer), first) if answer else 0


def as_turns(codec: Codec, asked: str) -> Frame:
    """What the model's chat template writes around its answer to a question."""
    before, behind = codec.frame_turns(["user"]) or ((), ())
    *_, after = codec.frame_turns(["user", "assistant"]) or [()]
    said = codec.encode_parts([Part(asked.strip())])
    return Frame(codec.started((*before, *said, *behind)), [*after[:1]])
