"""Passages with some of their words exchanged, so that a few dozen templates do not come to be known by heart.

Numbers, answers, and whatever a call's input says stay as they are: what is right for the passage stays right.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from recipes.builtin.words import ShortText

_WORD = re.compile(r"\S+")
_EDGES = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)


def varied(rng: random.Random, passage: ShortText, words: Sequence[str]) -> ShortText:
    """The passage in which up to half of the words that may go are others, missing, or joined by more."""
    share = rng.uniform(0.05, 0.5)
    kept = {word for call in passage.calls for word in re.findall(r"\w+", call.input)}
    spans = [(call.start, call.start + len(call.said)) for call in passage.calls]
    text, starts, done = "", [call.start for call in passage.calls], 0
    for match in _WORD.finditer(passage.text):
        text += passage.text[done : match.start()]
        done = match.end()
        for number, (start, _) in enumerate(spans):
            if match.start() <= start < match.end():
                starts[number] = len(text) + start - match.start()
        told = any(start < match.end() and match.start() < end for start, end in spans)
        free = not told and not re.search(r"\d", match[0]) and not kept & set(re.findall(r"\w+", match[0]))
        text += _other(rng, match[0], words) if free and rng.random() < share else match[0]
    calls = (replace(call, start=start) for call, start in zip(passage.calls, starts, strict=True))
    return ShortText(text + passage.text[done:], tuple(calls))


def _other(rng: random.Random, word: str, words: Sequence[str]) -> str:
    """Another word between the same marks, at times two."""
    match = _EDGES.fullmatch(word)
    assert match is not None
    # Numbers would change what follows from what.
    chosen = (re.sub("[^A-Za-z'-]", "", rng.choice(words)) for _ in range(rng.choice((1, 1, 1, 1, 2))))
    new = " ".join(chosen).strip() or "so"
    new = new[0].upper() + new[1:] if match[2][:1].isupper() else new
    return match[1] + new + match[3]
