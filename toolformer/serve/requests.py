"""What may be asked for, as OpenAI's API reference has it. What would change the answer and is not known is refused.

Without a temperature, the likeliest token is taken, unless the server was started with other options.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from toolformer.chat import Turn
from toolformer.decode.options import OptionChanges, Options
from toolformer.errors import ConfigError
from toolformer.serve.messages import Asking, Item, Message, joined, turns_of

_GREEDY = 0.01
"""Temperatures below it take the likeliest token."""


class StreamOptions(Asking):
    """What a stream says besides."""

    neutral: ClassVar[Mapping[str, Sequence[Any]]] = {"include_obfuscation": [False]}
    include_usage: bool = False


class Writing(Asking):
    """What every request can say about how is written."""

    model: str
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stream: bool = False
    k: int | None = Field(None, ge=0, le=1_000_000)
    """A call opens where its opening is among the k likeliest tokens; 0 for none."""
    calls: int | None = Field(None, ge=0, le=100)
    """Maximum number of calls in a text."""

    def options(self, base: Options, most: int | None, **more: Any) -> Options:
        """How it is written, where the server's own options are `base` and `most` tokens are asked for."""
        changes: OptionChanges = {"max_new_tokens": most or base.max_new_tokens, **more}  # type: ignore[typeddict-item]
        if self.k is not None:
            changes["k"] = self.k
        if self.calls is not None:
            changes["calls"] = self.calls
        heat = base.temperature if self.temperature is None else self.temperature
        samples = base.do_sample or self.top_p not in (None, 1.0) if self.temperature is None else bool(heat)
        if not samples or (heat is not None and heat < _GREEDY):
            return base.changed(**_GREEDILY, **changes)  # type: ignore[misc]
        changes |= {"do_sample": True, "temperature": heat}
        if self.top_p is not None:
            changes["top_p"] = self.top_p
        return base.changed(**changes)


_GREEDILY: OptionChanges = {
    "do_sample": False,
    "temperature": None,
    "top_k": None,
    "top_p": None,
    "min_p": None,
    "typical_p": None,
    "top_h": None,
    "epsilon_cutoff": None,
    "eta_cutoff": None,
}


class _Completing(Writing):
    """What completions and chat completions have in common."""

    n: int = Field(1, ge=1, le=16)
    stop: str | list[str] = Field(default_factory=list, max_length=256)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stream_options: StreamOptions = Field(default_factory=StreamOptions)
    toolformer: bool = False
    """Whether the answer has the calls beside the text."""

    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop
        if len(stop) > 4 or any(len(one) > 256 for one in stop):
            raise ConfigError("stop: at most 4 strings of at most 256 characters")
        return tuple(stop)


class CompletionRequest(_Completing):
    """`POST /v1/completions`."""

    neutral: ClassVar[Mapping[str, Sequence[Any]]] = {
        "best_of": [1],
        "echo": [False],
        "frequency_penalty": [0],
        "logit_bias": [{}],
        "presence_penalty": [0],
        "suffix": [""],
    }
    prompt: str | list[str] = Field(max_length=2**30)
    max_tokens: int | None = Field(None, ge=1)


class ChatRequest(_Completing):
    """`POST /v1/chat/completions`."""

    neutral: ClassVar[Mapping[str, Sequence[Any]]] = {
        "frequency_penalty": [0],
        "functions": [[]],
        "logit_bias": [{}],
        "logprobs": [False],
        "modalities": [["text"]],
        "presence_penalty": [0],
        "response_format": [{"type": "text"}],
        "tool_choice": ["none", "auto"],
        "tools": [[]],
        "top_logprobs": [0],
    }
    messages: list[Message] = Field(min_length=1, max_length=256)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)

    def turns(self) -> list[Turn]:
        """The conversation."""
        return turns_of([message.turn() for message in self.messages])

    @property
    def most(self) -> int | None:
        """How many tokens are asked for, by its new name or the old one."""
        return self.max_completion_tokens or self.max_tokens


class ResponseRequest(Writing):
    """`POST /v1/responses`."""

    neutral: ClassVar[Mapping[str, Sequence[Any]]] = {
        "background": [False],
        "include": [[]],
        "stream_options": [{"include_obfuscation": False}],
        "text": [{"format": {"type": "text"}}],
        "tool_choice": ["none", "auto"],
        "tools": [[]],
        "top_logprobs": [0],
        "truncation": ["auto", "disabled"],
    }
    input: str | list[Item] = Field(max_length=2**30)
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1)

    def turns(self) -> list[Turn]:
        """The conversation."""
        said = [Message(role="user", content=self.input)] if isinstance(self.input, str) else self.input
        system = [] if self.instructions is None else [Message(role="system", content=self.instructions)]
        if not 1 <= len(said) <= 256:
            raise ConfigError("input: between 1 and 256 items")
        return turns_of(joined([*system, *said]))
