"""A model that uses its tools: `generate` and `stream` from a text, `chat` over turns.

tf = Toolformer.from_pretrained("builtin-tools")
print(tf.generate("There are 8 boxes with 76 oranges in each, so there are").text)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from toolformer.decode.decoder import Decoder
from toolformer.decode.events import Answered, Ended, EndReason, Event, Text
from toolformer.decode.options import Options
from toolformer.lm import Ids, LanguageModel
from toolformer.tool import Tool
from toolformer.toolbox import ResultMemory, Toolbox

if TYPE_CHECKING:
    from toolformer.chat import Chat

_STRIDE = 16
"""Tokens between two looks at the text when nobody watches it grow."""


@dataclass(frozen=True)
class MadeCall:
    """A call in a text that a model wrote."""

    tool: str
    input: str
    result: str
    probability: float
    """What the model gave the opening of the call as the next token."""
    rank: int
    """How many tokens were likelier."""
    start: int
    """Where it stands, in characters of the text."""


@dataclass(frozen=True)
class Generation:
    """What a model wrote behind a prompt."""

    text: str
    """Without the calls."""
    calls: tuple[MadeCall, ...]
    raw: str
    """The text with the calls in it, as they are written for people to read."""
    end: EndReason
    """Why there is no more."""
    ids: tuple[int, ...]
    """The text's tokens."""


class Gathered:
    """One row's events, put together."""

    def __init__(self, decoder: Decoder) -> None:
        self._syntax = decoder.syntax
        self._text = ""
        self._answered: list[Answered] = []
        self._ended: Ended | None = None

    def add(self, event: Event) -> None:
        """One more of the row's events."""
        if isinstance(event, Text):
            self._text += event.text
        elif isinstance(event, Answered):
            self._answered.append(event)
        elif isinstance(event, Ended):
            self._ended = event

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text

    @property
    def ended(self) -> Ended | None:
        """The last event, once it came."""
        return self._ended

    @property
    def answered(self) -> Sequence[Answered]:
        """The calls so far, as events."""
        return self._answered

    @property
    def calls(self) -> tuple[MadeCall, ...]:
        """The calls so far. One behind the place where a stop string ended the text stands at its end."""
        return tuple(
            MadeCall(
                one.call.tool,
                one.call.input,
                one.call.result or "",
                one.probability,
                one.rank,
                min(one.start, len(self._text)),
            )
            for one in self._answered
        )

    def generation(self) -> Generation:
        """All of it, once the row has ended."""
        assert self._ended is not None
        raw, at = "", 0
        for answered, made in zip(self._answered, self.calls, strict=True):
            # Never a CallFormatError: a call that could not be read back was undone.
            raw += self._text[at : made.start] + self._syntax.format(answered.call)
            at = made.start
        return Generation(self._text, self.calls, raw + self._text[at:], self._ended.reason, self._ended.ids)


class Toolformer:
    """A language model with its tools. Not for several threads at once."""

    def __init__(
        self,
        model: LanguageModel,
        tools: Iterable[Tool] | None = None,
        *,
        memory: ResultMemory | None = None,
        workers: int = 4,
    ) -> None:
        """Without `tools`, those of the package that need neither a network nor a model.

        `memory` is what tools answered before, and where new answers are kept. Up to `workers` calls of one tool run at
        a time, in processes that are started when they are needed.
        """
        from toolformer import default_tools

        self.model = model
        self.toolbox = Toolbox(default_tools() if tools is None else tools, memory=memory, workers=workers)
        self.decoder = Decoder(model, self.toolbox)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        tools: Iterable[Tool] | None = None,
        *,
        memory: ResultMemory | None = None,
        **loading: Any,
    ) -> Self:
        """Load a model by name or path: `builtin-tools`, what `toolformer train` wrote, or any other.

        `loading` is what `toolformer.load` takes: dtype, device, revision, quantize, adapter, offline.
        """
        from toolformer.hf import load

        return cls(load(name_or_path, **loading), tools, memory=memory)

    @overload
    def generate(self, prompt: str, options: Options = ..., **changes: Any) -> Generation: ...

    @overload
    def generate(self, prompt: Sequence[str], options: Options = ..., **changes: Any) -> list[Generation]: ...

    def generate(
        self, prompt: str | Sequence[str], options: Options | None = None, **changes: Any
    ) -> Generation | list[Generation]:
        """Go on from a text, or from each of several. `changes` are fields of Options, such as `max_new_tokens=20`."""
        chosen = (options or Options()).changed(**changes)
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        rows = [Gathered(self.decoder) for _ in prompts]
        for event in self.decoder.run([self.model.encode(one).ids for one in prompts], chosen, stride=_STRIDE):
            rows[event.row].add(event)
        made = [row.generation() for row in rows]
        return made[0] if isinstance(prompt, str) else made

    def stream(self, prompt: str, options: Options | None = None, **changes: Any) -> Iterator[Event]:
        """Go on from a text, and tell what happens as it does: text, calls, results, the end."""
        return self.stream_ids(self.model.encode(prompt).ids, (options or Options()).changed(**changes))

    def stream_ids(self, prompt: Ids, options: Options) -> Iterator[Event]:
        """The same from a prompt that is encoded already."""
        return self.decoder.run([prompt], options)

    def chat(self, system: str | None = None, options: Options | None = None, **changes: Any) -> "Chat":
        """A conversation. `system` is a first turn that says how to answer, where the model knows such."""
        from toolformer.chat import Chat

        return Chat(self, system, (options or Options()).changed(**changes))

    def close(self) -> None:
        """Stop the tools' processes."""
        self.toolbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
