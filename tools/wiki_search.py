"""WikiSearch: a query in, the beginning of the best passage out. What is searched is any Source.

    WikiSearch(Wikipedia(contact="you@example.org"))("The Hobbit")

Neither finds nor ranks anything itself: wikipedia.py asks the live encyclopedia, search_index.py a local index.
"""

import re
from dataclasses import dataclass

from toolformer.errors import ToolError, ToolNothing
from toolformer.tool import Traits
from toolformer.tools.passages import Source

CHARS = 400
"""What a result has at most: a model reads it in the middle of a text."""


@dataclass(frozen=True)
class WikiSearch:
    """The tool. Its answers may be remembered; that nothing was found is ToolNothing and is not."""

    source: Source
    name: str = "WikiSearch"
    description: str = "Looks something up in Wikipedia and gives the beginning of the best passage."

    @property
    def traits(self) -> Traits:
        """In this process: a source bounds its own time and memory."""
        return Traits(version=f"1 {self.source.identity}", chars=CHARS, in_process=True, remember=True)

    def __call__(self, text: str, /) -> str:
        """`Title: first sentences`, in one line of CHARS characters at most."""
        query = " ".join(text.split())
        if not query:
            raise ToolError("the query is empty")
        passages = self.source.search(query, 1)
        if not passages:
            raise ToolNothing(f"nothing found for {query[:100]!r}")
        return shorten(f"{passages[0].title}: {passages[0].text}", CHARS)


# A sentence ends after a word of two letters at least (so not after an initial), or with a full-width mark.
_SENTENCE_END = re.compile(r"(?<=[^\W_]{2}[.!?])(?=\s)|(?<=[。！？])")


def shorten(text: str, chars: int) -> str:
    """The whole sentences at the beginning of a text that fit; words if that would be less than half of what fits."""
    line = " ".join(text[: 4 * chars].split())
    if len(line) <= chars:
        return line
    ends = [end.start() for end in _SENTENCE_END.finditer(line, 0, chars + 1) if end.start() <= chars]
    if ends and ends[-1] >= chars // 2:
        return line[: ends[-1]]
    head = line[:chars]
    words = head[: head.rfind(" ")] if " " in head[chars // 2 :] else head[: chars - 1]
    return words.rstrip() + "…"
