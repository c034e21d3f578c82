"""A few thousand passages in memory, searched by their words: a `Source` that needs no folder and nothing prepared."""

import hashlib
from collections.abc import Sequence
from functools import cached_property

from toolformer.errors import ConfigError
from toolformer.tools.passages import Passage
from toolformer.tools.search_index import MAX_QUERY, Words, words_of


class MemoryIndex:
    """Passages given as they are; their words are counted at the first search."""

    def __init__(self, name: str, passages: Sequence[Passage]) -> None:
        if not any(words_of(_searched(passage)) for passage in passages):
            raise ConfigError(f"the passages of {name} hold no word that could be looked up")
        self._name = name
        self._passages = passages

    @property
    def identity(self) -> str:
        """The name and a hash of the passages."""
        told = "\0".join(f"{passage.title}\0{passage.text}" for passage in self._passages)
        return f"{self._name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"

    def search(self, query: str, limit: int) -> list[Passage]:
        """Up to `limit` passages, the best first; none for a query without a word that could be looked up."""
        ranked = self._words.rank(query[:MAX_QUERY], min(limit, len(self._passages)))
        return [Passage(self._passages[n].title, self._passages[n].text, score) for n, score in ranked]

    @cached_property
    def _words(self) -> Words:
        return Words.of(map(_searched, self._passages))


def _searched(passage: Passage) -> str:
    """What is searched of a passage."""
    return f"{passage.title}\n{passage.text}"
