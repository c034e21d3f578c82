"""What is answered to completions and chat completions: whole, or chunk by chunk as it is written."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from toolformer.calls import CallSyntax
from toolformer.decode.events import Answered, Called, Ended, EndReason, Event, Text
from toolformer.generation import Gathered, Generation
from toolformer.lm import Ids
from toolformer.serve.engine import Stopped, Ticket

Json = dict[str, Any]
FINISH: dict[EndReason, str] = {"end": "stop", "stop": "stop", "length": "length", "context": "length", "nan": "length"}
"""Why a text ends, in OpenAI's words."""


class Completion:
    """One answer of `n` choices to each prompt; `chat` decides its shape, `calls` whether it tells the calls."""

    def __init__(self, model: str, prompts: Sequence[Ids], syntax: CallSyntax, *, chat: bool, calls: bool) -> None:
        self._chat, self._calls, self._syntax = chat, calls, syntax
        self._texts = [Gathered(syntax) for _ in prompts]
        self._called: dict[tuple[int, str, str], float] = {}
        """When each call began to run that has no result yet."""
        self._seconds: list[list[float]] = [[] for _ in prompts]
        """What each answered call of a text took."""
        self._prompt_tokens = sum(map(len, prompts))
        self._written_tokens = 0
        self._head = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}",
            "object": "chat.completion" if chat else "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    async def whole(self, ticket: Ticket) -> Json:
        """All of it, when it is there."""
        async with aclosing(ticket.events()) as events:
            async for event in events:
                self._add(event.row - ticket.first, event)
        made = [text.generation() for text in self._texts]
        self._written_tokens = sum(len(one.ids) for one in made)
        choices = [self._choice(index, one) for index, one in enumerate(made)]
        return self._head | {"choices": choices, "usage": self._usage()}

    def _add(self, index: int, event: Event) -> None:
        """One more event of a text."""
        self._texts[index].add(event)
        if isinstance(event, Called | Answered):
            now, key = time.monotonic(), (index, event.call.tool, event.call.input)
            if isinstance(event, Called):
                self._called[key] = now
            else:
                self._seconds[index].append(round(now - self._called.pop(key, now), 3))

    def _calls_of(self, index: int) -> list[Json]:
        calls = zip(self._texts[index].calls, self._seconds[index], strict=True)
        return [asdict(call) | {"seconds": seconds} for call, seconds in calls]

    def _choice(self, index: int, made: Generation) -> Json:
        finish = {"index": index, "finish_reason": FINISH[made.end], "logprobs": None}
        told: Json = {"toolformer": {"calls": self._calls_of(index)}} if self._calls else {}
        if not self._chat:
            return {"text": made.text} | finish | told
        return {"message": {"role": "assistant", "content": made.text, "refusal": None} | told} | finish

    async def chunks(self, ticket: Ticket, *, usage: bool) -> AsyncIterator[str]:
        """It as server-sent events."""
        if self._chat:
            self._head["object"] = "chat.completion.chunk"
            for index in range(len(self._texts)):
                yield self._chunk(index, {"role": "assistant", "content": ""}, usage)
        try:
            async with aclosing(ticket.events()) as events:
                async for event in events:
                    index = event.row - ticket.first
                    self._add(index, event)
                    if isinstance(event, Text):
                        yield self._chunk(index, {"content": event.text}, usage)
                    elif isinstance(event, Answered) and self._calls:
                        yield self._chunk(index, {"toolformer": {"calls": self._calls_of(index)[-1:]}}, usage)
                    elif isinstance(event, Ended):
                        self._written_tokens += len(event.ids)
                        yield self._chunk(index, {}, usage, FINISH[event.reason])
        except Stopped as error:
            yield sse({"error": failure(str(error), "server_error")})
            return
        if usage:
            yield sse(self._head | {"choices": [], "usage": self._usage()})
        yield "data: [DONE]\n\n"

    def _chunk(self, index: int, delta: Json, usage: bool, finish: str | None = None) -> str:
        choice: Json = {"index": index, "finish_reason": finish, "logprobs": None}
        if self._chat:
            choice["delta"] = delta
        else:
            choice["text"] = delta.get("content", "")
            choice |= {name: value for name, value in delta.items() if name == "toolformer"}
        return sse(self._head | {"choices": [choice]} | ({"usage": None} if usage else {}))

    def _usage(self) -> Json:
        """The texts' tokens; those of calls and results are not among them."""
        written = self._written_tokens
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": written,
            "total_tokens": self._prompt_tokens + written,
        }


def sse(data: Json, event: str | None = None) -> str:
    """A server-sent event."""
    named = f"event: {event}\n" if event else ""
    return f"{named}data: {json.dumps(data, separators=(',', ':'))}\n\n"


def failure(message: str, kind: str, param: str | None = None, code: str | None = None) -> Json:
    """OpenAI's error object."""
    return {"message": message, "type": kind, "param": param, "code": code}
