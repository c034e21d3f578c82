"""A reader for QA that is an expert of the model which calls: it reads a passage and says the answer in a few words.

    QA(SearchIndex.open("index"), ExpertReader(Expert("Reader", "reader")))

It needs no second model in memory. recipes/reader trains such an expert; it writes `unknown` where a passage does not
say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from toolformer.errors import ToolError, ToolNothing
from toolformer.expert import Expert, HasAdapters, checked
from toolformer.tools.passages import Passage
from toolformer.tools.wiki_search import shorten

CHARS = 500
"""Of a passage, only the beginning is read."""
UNKNOWN = "unknown"
"""What the expert was trained to write where a passage does not say."""


@dataclass(frozen=True)
class ExpertReader:
    """It reads all passages at once; the first one in which it finds an answer counts."""

    expert: Expert
    needs_passages = True

    def with_model(self, model: HasAdapters) -> Self:
        """The same reader, ready to answer with this model."""
        return replace(self, expert=self.expert.with_model(model))

    @property
    def version(self) -> str:
        """The expert's."""
        return f"expert {self.expert.traits.version} {CHARS}"

    def answer(self, question: str, passages: Sequence[Passage]) -> str:
        """What it reads; ToolNothing if no passage says."""
        refused: ToolError | None = None
        for written in self.expert.written(reading(passage, question) for passage in passages):
            try:
                answer = checked(written)
            except ToolError as error:
                refused = error
                continue
            if answer.casefold().rstrip(".") != UNKNOWN:
                return answer
        raise ToolNothing(f"no answer to {question[:100]!r} in the passages found") from refused


def reading(passage: Passage, question: str) -> str:
    """What the expert is asked: a passage, and the question behind it."""
    text = shorten(passage.text, CHARS)
    return f"{passage.title}: {text}\nQuestion: {question}" if passage.title else f"{text}\nQuestion: {question}"
