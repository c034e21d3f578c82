"""How a tool call is written into text, and found there again. No other file spells a marker.

A call is a tool's name, its input, and, once it has run, its result. Two spellings:

    TEXT     [Calculator(400 / 1400) -> 0.29]                      plain text, for models that were never finetuned
    TOKENS   <API> Calculator(400 / 1400) → 0.29 </API>            three added tokens, for finetuned models

`format` and `find` work on strings. Models are fed ids: `parts` says which pieces of a call are control tokens and
which are plain text, so that a text which merely looks like a marker can never become one. This module knows nothing
of tokenizers, and nothing of what tools exist.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import ClassVar

from toolformer.errors import CallFormatError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
"""What a tool may be called. ASCII, so that no two names can look the same in another script."""


@dataclass(frozen=True)
class Call:
    """One call. `result` is None before the tool has run; an empty result writes the arrow with nothing after it."""

    tool: str
    input: str
    result: str | None = None

    @property
    def gist(self) -> tuple[str, str]:
        """Of calls that ask the same, but for spaces, the same."""
        return self.tool, "".join(self.input.split())


@dataclass(frozen=True)
class Found:
    """A call and the characters `text[start:end]` that it was read from."""

    call: Call
    start: int
    end: int


@dataclass(frozen=True)
class Part:
    """A piece of a written call: a control token, or plain text that must never be encoded as one."""

    text: str
    control: bool = False


@dataclass(frozen=True)
class CallSyntax:
    """A way to write calls. A space at a marker's front belongs to the string, never to its token."""

    open: str
    arrow: str
    close: str
    control: bool
    """Whether the markers are tokens of their own, to be added to a model's vocabulary."""

    TEXT: ClassVar["CallSyntax"]
    TOKENS: ClassVar["CallSyntax"]

    def format(self, call: Call) -> str:
        """The call as a string from which `find` reads the same call, or a CallFormatError that says why not."""
        if not NAME.fullmatch(call.tool):
            raise CallFormatError(
                f"{call.tool[:60]!r} is no tool name: a letter, then up to 63 letters, digits or underscores"
            )
        for what, value, end in (("input", call.input, self._input_end), ("result", call.result or "", self._close)):
            if marker := self._open.search(value) or end.search(value):
                raise CallFormatError(f"the {what} of {call.tool} holds {marker.group()!r}, which opens or ends a call")
        text = "".join(piece for piece, _ in self._pieces(call))
        if [found.call for found in self.find(text)] != [call]:
            raise CallFormatError(
                f"{call.tool} with input {call.input[:60]!r} would not be read back as it was written"
            )
        return text

    def find(self, text: str) -> Iterator[Found]:
        """The complete calls in `text`, left to right, none inside another. Linear in the length of the text."""
        opens = list(self._open.finditer(text))
        for this, following in zip_longest(opens, opens[1:]):
            # A call that another call opens into was never closed: what stands there is not its input.
            limit = following.start() if following else len(text)
            body = self._input_end.search(text, this.end(), limit)
            if body is None:
                continue
            name, argument = this["name"], text[this.end() : body.start()]
            if body["arrow"] is None:
                yield Found(Call(name, argument), this.start(), body.end())
            elif close := self._close.search(text, body.end(), limit):
                yield Found(Call(name, argument, text[body.end() : close.start()]), this.start(), close.end())

    def parts(self, call: Call) -> list[Part]:
        """The written call as pieces for a tokenizer. Refuses nothing: in ids, a marker in a result is plain text."""
        if not self.control:
            return [Part("".join(piece for piece, _ in self._pieces(call)))]
        return [Part(piece.strip(), control=True) if marker else Part(piece) for piece, marker in self._pieces(call)]

    def front(self, tool: str) -> str:
        """What stands between the opening and the input."""
        return f"{' ' if self.control else ''}{tool}("

    def begun(self, tool: str) -> list[Part]:
        """A call up to its input: the opening, the tool's name and its bracket, as pieces for a tokenizer."""
        if self.control:
            return [self.opening, Part(self.front(tool))]
        return [Part(f"{self.open}{self.front(tool)}")]

    def rest(self, call: Call, written: str) -> list[Part]:
        """The pieces that are missing when the call is written, behind the opening, up to its input or a bit further.

        As tokens, the input's bracket must be there and the arrow not; as text, the pieces go on anywhere.
        """
        if self.control:
            return self.parts(call)[2:]
        whole = "".join(piece for piece, _ in self._pieces(call)).removeprefix(self.open)
        if not whole.startswith(written):
            raise CallFormatError(f"{written[:60]!r} is not how a call of {call.tool} begins")
        return [Part(whole[len(written) :])]

    @property
    def opening(self) -> Part:
        """What opens a call. Its first token is the one whose probability decides whether a call begins."""
        return Part(self.open.strip(), control=True) if self.control else Part(self.open)

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """The tokens a vocabulary needs for this spelling: open, arrow, close; or none."""
        return (self.open.strip(), self.arrow.strip(), self.close.strip()) if self.control else ()

    @property
    def stops(self) -> tuple[str, str]:
        """What ends an input that a model writes, in its decoded text: the arrow or the close."""
        if self.control:
            return self.arrow.strip(), self.close.strip()
        return f"){self.arrow}", f"){self.close}"

    def read(self, written: str) -> Call | None:
        """The call, without a result, that a model wrote behind the opening and up to a stop; None if malformed."""
        found = next(self.find(f"{self.open}{written}{self.close}"), None)
        return Call(found.call.tool, found.call.input) if found and found.start == 0 else None

    def _pieces(self, call: Call) -> Iterator[tuple[str, bool]]:
        """The strings that make up the call, each with whether it is a marker."""
        yield self.open, True
        yield f"{self.front(call.tool)}{call.input})", False
        if call.result is not None:
            yield self.arrow, True
            if call.result:
                # The space is written before the result so that its first token is the one the text itself would use.
                yield f" {call.result}", False
        yield self.close, True

    @cached_property
    def _open(self) -> re.Pattern[str]:
        return re.compile(rf"{_lenient(self.open)} ?(?P<name>{NAME.pattern})\(")

    @cached_property
    def _input_end(self) -> re.Pattern[str]:
        return re.compile(rf"\)(?:(?P<arrow>{_lenient(self.arrow)}) ?|{_lenient(self.close)})")

    @cached_property
    def _close(self) -> re.Pattern[str]:
        return re.compile(_lenient(self.close))


def _lenient(marker: str) -> str:
    """A pattern for the marker in which the space at its front may be missing: models forget it."""
    return f" ?{re.escape(marker.strip())}" if marker.startswith(" ") else re.escape(marker)


CallSyntax.TEXT = CallSyntax(open=" [", arrow=" ->", close="]", control=False)
CallSyntax.TOKENS = CallSyntax(open="<API>", arrow=" →", close=" </API>", control=True)
