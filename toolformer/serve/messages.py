"""What a request says was said before: messages, and the calls of earlier answers, sent back as they came."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from toolformer.chat import Turn
from toolformer.errors import ConfigError
from toolformer.generation import MadeCall

_IGNORED = {
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
}
"""What changes no answer: nothing of a request is kept here."""


class Asking(BaseModel):
    """A part of a request. `neutral` are the values with which a parameter that is not supported changes nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    neutral: ClassVar[Mapping[str, Sequence[Any]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _without_neutral(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            name: value
            for name, value in given.items()
            if name not in _IGNORED and not (value is None or (name in cls.neutral and value in cls.neutral[name]))
        }


class CallBefore(Asking):
    """A call of an earlier answer, as the server told it."""

    tool: str
    input: str
    result: str
    probability: float = 0.0
    rank: int = 0
    start: int = Field(ge=0)
    uses: list[int] = Field([], max_length=100)
    seconds: float = 0.0


class CallsBefore(Asking):
    """The calls of an earlier answer."""

    calls: list[CallBefore] = Field(max_length=100)


class TextPart(Asking):
    """A part of a message's content."""

    neutral: ClassVar[Mapping[str, Sequence[Any]]] = {"annotations": [[]], "logprobs": [[]]}
    type: Literal["text", "input_text", "output_text"]
    text: str


class Message(Asking):
    """One turn. An assistant's may hold the calls that the server told of it, so that later turns can read them."""

    neutral: ClassVar[Mapping[str, Sequence[Any]]] = {
        "annotations": [[]],
        "refusal": [""],
        "status": ["completed"],
        "tool_calls": [[]],
        "type": ["message"],
    }
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] = Field(max_length=2**30)
    id: str | None = None
    name: str | None = None
    toolformer: CallsBefore | None = None

    def turn(self) -> Turn:
        """It as a turn of a conversation."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        calls = self.toolformer.calls if self.toolformer else []
        starts = [call.start for call in calls]
        if starts != sorted(starts) or any(start > len(text) for start in starts):
            raise ConfigError("messages: the calls of a turn stand in its text, in their order")
        made = tuple(MadeCall(**call.model_dump(exclude={"seconds"}) | {"uses": tuple(call.uses)}) for call in calls)
        if self.role == "system" or self.role == "developer":
            return Turn("system", text)
        return Turn(self.role, text, made if self.role == "assistant" else ())


class CallItem(Asking):
    """A call of an earlier response, as `--tool-items` has it told: its result is beside it, or in another item."""

    type: Literal["function_call", "mcp_call"]
    name: str
    arguments: str
    id: str | None = None
    call_id: str | None = None
    output: str | None = None
    neutral: ClassVar[Mapping[str, Sequence[Any]]] = {"server_label": ["toolformer"], "status": ["completed"]}

    def turn(self, outputs: Mapping[str, str]) -> Turn:
        """It as a turn that says nothing else."""
        result = self.output if self.type == "mcp_call" else outputs.get(self.call_id or "")
        try:
            arguments = json.loads(self.arguments)
        except (ValueError, RecursionError):
            arguments = None
        if result is None or not isinstance(arguments, dict) or not isinstance(text := arguments.get("input"), str):
            raise ConfigError('input: a call has arguments such as {"input": "2 + 2"} and an output: send both back')
        return Turn("assistant", "", (MadeCall(self.name, text, result, probability=0.0, rank=0, start=0),))


class OutputItem(Asking):
    """The result of such a call."""

    neutral: ClassVar[Mapping[str, Sequence[Any]]] = {"status": ["completed"]}
    type: Literal["function_call_output"]
    call_id: str
    output: str
    id: str | None = None


def _kind(item: Any) -> str:
    """Which item it is: what is none of the others is a message."""
    kind = item.get("type") if isinstance(item, dict) else None
    return {"function_call": "call", "mcp_call": "call", "function_call_output": "output"}.get(str(kind), "message")


Item: TypeAlias = Annotated[
    Annotated[Message, Tag("message")] | Annotated[CallItem, Tag("call")] | Annotated[OutputItem, Tag("output")],
    Discriminator(_kind),
]
"""What the input of a response is made of."""


def joined(items: Sequence[Item]) -> list[Turn]:
    """The turns of these items. What an answer was told as, its texts and the calls between them, is one turn."""
    outputs = {item.call_id: item.output for item in items if isinstance(item, OutputItem)}
    turns: list[Turn] = []
    for item in items:
        if isinstance(item, OutputItem):
            continue
        turn = item.turn(outputs) if isinstance(item, CallItem) else item.turn()
        if turn.role == "assistant" and turns and turns[-1].role == "assistant":
            before = turns.pop()
            calls = (replace(call, start=call.start + len(before.text)) for call in turn.calls)
            turn = Turn("assistant", before.text + turn.text, (*before.calls, *calls))
        turns.append(turn)
    return turns


def turns_of(turns: list[Turn]) -> list[Turn]:
    """The conversation, if it is one: at most one system turn, then user and assistant by turns, the user's last."""
    spoken = [turn.role for turn in turns[1 if turns[0].role == "system" else 0 :]]
    if len(spoken) % 2 == 0 or spoken != [("user", "assistant")[place % 2] for place in range(len(spoken))]:
        raise ConfigError(
            "messages: at most one system message comes first; then user and assistant speak by turns, and the last "
            "message is the user's"
        )
    return turns
