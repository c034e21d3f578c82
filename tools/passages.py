"""What a search finds, and what can be searched: shared by the live Wikipedia, the local index, WikiSearch and QA."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Passage:
    """A piece of text that answers a query."""

    title: str
    text: str
    score: float | None = None
    """How well it fits, if the source says: comparable only with other scores of that source."""


@runtime_checkable
class Source(Protocol):
    """Something that can be searched, from several threads at once. It bounds its own time and memory."""

    @property
    def identity(self) -> str:
        """What is searched (a host and a language, an index's hash): it changes whenever the answers may."""

    def search(self, query: str, limit: int) -> list[Passage]:
        """Up to `limit` passages, the best first; none if nothing fits. A search that fails raises ToolError."""
