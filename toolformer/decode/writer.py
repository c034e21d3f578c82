"""Tokens to text as they come: only whole characters, and nothing that may turn out to be a stop string."""

from collections.abc import Callable, Sequence
from copy import copy

from toolformer.lm import Ids

_CONTEXT = 4
"""Tokens before the new ones that are decoded with them: a decoder may treat a text's first token otherwise."""
_BYTES = 4
"""Those of the longest character."""


class Writer:
    """The text of one row. `push` is cheap; text is decoded when it is taken."""

    def __init__(self, decode: Callable[[Ids], str], before: Ids, stops: Sequence[str], *, late: bool = False) -> None:
        """`late`: stops that are all white space wait until something else was said."""
        self._decode = decode
        self._before = list(before[-_CONTEXT:])
        self._new: list[int] = []
        self._stops = stops
        self._waits = late
        self._held = ""
        self.length = 0
        """Characters decoded so far; those that are held back, because a stop may begin with them, included."""
        self.stopped = False
        """Whether a stop string came. What follows it is no text."""

    def copy(self) -> "Writer":
        """The same, to go on in another way."""
        twin = copy(self)
        twin._new = [*self._new]
        return twin

    def push(self, token: int) -> None:
        """Add a token."""
        self._new.append(token)

    @property
    def waiting(self) -> int:
        """Tokens that were not taken as text yet; after `take`, those of an unfinished character."""
        return len(self._new)

    @property
    def whole(self) -> bool:
        """Whether the tokens so far end with a whole character."""
        return not (self._new and self._told(len(self._new)).endswith("\ufffd"))

    def take(self, *, final: bool = False) -> str:
        """The text that has become certain since the last time; `final`: there will be no more."""
        if self.stopped:
            return ""
        text = self._held + self._decoded(final)
        begins = len(text) - len(text.lstrip()) if self._waits else 0
        ends = [place for stop in self._stops if (place := text.find(stop, begins if stop.isspace() else 0)) >= 0]
        if ends:
            self.stopped, self._held = True, ""
            self.length += min(ends) - len(text)
            return text[: min(ends)]
        keep = 0 if final else max((_overlap(text, stop) for stop in self._stops), default=0)
        self._waits = self._waits and begins >= len(text) - keep
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _decoded(self, final: bool) -> str:
        if not self._new:
            return ""
        # Of a character that is not whole there are less than four bytes; what is still broken before them stays so.
        certain = max(0, len(self._new) - _BYTES + 1)
        counts = range(len(self._new), certain, -1)
        count = len(self._new) if final else next((n for n in counts if not self._told(n).endswith("\ufffd")), certain)
        text = self._told(count)
        self._before, self._new = [*self._before, *self._new[:count]][-_CONTEXT:], self._new[count:]
        self.length += len(text)
        return text

    def _told(self, count: int) -> str:
        """What so many of the new tokens say."""
        return self._decode([*self._before, *self._new[:count]])[len(self._decode(self._before)) :]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the text's end could be the stop's beginning."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
