"""Long documents as passages that a model can read in one piece."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import ceil

from toolformer.data_gen.records import Document

MOST = 1_024
"""Tokens in a passage, by default."""
CHARS_PER_TOKEN = 8
"""A text with more characters for each token it may have is cut without being counted first: no text is that dense."""
ROOM = 0.9
"""How full passages are meant to be: the seams of a text do not lie where one would have them."""

# In this order: after a sentence (a mark behind a word of two letters, so not behind an initial, and no small letter
# after it; or an empty line), after a line, after a word.
_SEAMS = (
    re.compile(r"(?<=[^\W_]{2})[.!?…]++[\"'”’»)\]]*+\s++(?![a-z])|[。！？][”」』]?\s*+|\n[^\S\n]*+\n\s*+"),
    re.compile(r"[\n\f]\s*+"),
    re.compile(r"\s++"),
)


def cut_passages(document: Document, count_tokens: Callable[[str], int], most: int = MOST) -> Iterator[Document]:
    """The document, or if it has more tokens than that, its passages, called `id#1`, `id#2` and so on.

    Passages end where sentences do. A sentence too long by itself is cut at a line's end or between words, a word
    too long by itself anywhere. Joined, the passages are the document: the space at a seam is kept at the end of the
    former. They are cut to be about equally long, so that no crumb is left over. Each text is counted a few times at
    most, whatever the document's length. Only a single character can have too many tokens.
    """
    texts = list(_fitting(document.text, count_tokens, most))
    if len(texts) == 1:
        yield document
        return
    for number, text in enumerate(texts, 1):
        yield replace(document, id=f"{document.id}#{number}", text=text)


def _fitting(text: str, count_tokens: Callable[[str], int], most: int) -> Iterator[str]:
    parts = 2
    if len(text) <= CHARS_PER_TOKEN * most:
        tokens = count_tokens(text)
        if tokens <= most or len(text) == 1:
            yield text
            return
        parts = ceil(tokens / (ROOM * most))
    cut = _seam(text, len(text) * (parts // 2) // parts, CHARS_PER_TOKEN * most)
    yield from _fitting(text[:cut], count_tokens, most)
    yield from _fitting(text[cut:], count_tokens, most)


def _seam(text: str, middle: int, reach: int) -> int:
    """The best place to cut within reach of the middle: there is a sentence's end, or else a line's, or a word's."""
    start, end = max(0, middle - reach), min(len(text), middle + reach)
    for seam in _SEAMS:
        places = [match.end() for match in seam.finditer(text, start, end) if match.end() < end]
        if places:
            return min(places, key=lambda place: abs(place - middle))
    return max(1, middle)
