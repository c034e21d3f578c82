"""QA: a question in, a short answer out, from a retriever that finds passages and a reader that answers from them.

    QA(SearchIndex.open("index"), ExtractiveReader("deepset/roberta-base-squad2"))("Who wrote The Hobbit?")
    QA(None, KnowledgeTable.load("knowledge.jsonl"))("What is the capital of France?")

Not knowing is ToolNothing, never a guess. The readers that need a model of their own are in readers.py, the one that
asks the model which calls in expert_reader.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from toolformer.errors import ConfigError, ToolError, ToolNothing
from toolformer.expert import AsksModel, HasAdapters
from toolformer.tool import Traits
from toolformer.tools.passages import Passage, Source

MAX_QUESTION = 1_000
"""Characters in a question at most."""


class Reader(Protocol):
    """Something that answers a question from passages. It bounds its own time and memory."""

    @property
    def version(self) -> str:
        """Which reader this is (a model's name, a table's hash): it changes whenever the answers may."""

    @property
    def needs_passages(self) -> bool:
        """Whether it knows nothing by itself."""

    def answer(self, question: str, passages: Sequence[Passage]) -> str:
        """A short answer, or a ToolError that says why there is none; ToolNothing if it looked and does not know."""


@dataclass(frozen=True)
class QA:
    """The tool."""

    retriever: Source | None
    """Where passages are searched; None for a reader that knows by itself."""
    reader: Reader
    passages: int = 5
    """How many of them the reader gets."""
    name: str = "QA"
    description: str = "Answers a question about facts in a few words."

    def __post_init__(self) -> None:
        if self.retriever is None and self.reader.needs_passages:
            raise ConfigError(
                f"{type(self.reader).__name__} answers from passages: give QA a retriever, such as an index"
            )

    def with_model(self, model: HasAdapters) -> Self:
        """The same tool; a reader that answers with the model that calls has it from now on."""
        return replace(self, reader=self.reader.with_model(model)) if isinstance(self.reader, AsksModel) else self

    @property
    def traits(self) -> Traits:
        """In this process: retriever and reader bound their own time and memory."""
        searched = self.retriever.identity if self.retriever else "no retriever"
        version = f"1 {self.reader.version} {searched} {self.passages}"
        return Traits(version=version, chars=300, in_process=True, remember=True)

    def __call__(self, text: str, /) -> str:
        """The answer to the question."""
        question = " ".join(text.split())
        if not question:
            raise ToolError("the question is empty")
        if len(question) > MAX_QUESTION:
            raise ToolError(f"the question has {len(question):,} characters; {MAX_QUESTION:,} are allowed")
        found: list[Passage] = []
        if self.retriever is not None:
            found = self.retriever.search(question, self.passages)
            if not found:
                raise ToolNothing(f"nothing found about {question[:100]!r}")
        return self.reader.answer(question, found)
