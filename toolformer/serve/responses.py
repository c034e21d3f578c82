"""What is answered to `/v1/responses`: the text in messages, and between them each call that ran.

A call is an `mcp_call`, OpenAI's item for what the server ran; or, for clients that do not show those, a
`function_call` with its `function_call_output` behind it. One walk through the events makes both the items of the whole
response and the events of a streamed one.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Literal

from toolformer.decode.events import Answered, Ended, Event, Text
from toolformer.decode.options import Options
from toolformer.serve.completions import FINISH, Json, sse
from toolformer.serve.engine import Stopped, Ticket
from toolformer.serve.requests import ResponseRequest

ToolItems = Literal["mcp", "function"]
_LABEL = "toolformer"
"""What the tools' server is called in an item; they run here."""


class Answer:
    """One response, while it comes to be."""

    def __init__(
        self, model: str, asked: ResponseRequest, options: Options, prompt_tokens: int, tool_items: ToolItems
    ) -> None:
        self._prompt_tokens, self._tool_items = prompt_tokens, tool_items
        self._sequence = 0
        self._message: Json | None = None
        """The message that is being written: the last item."""
        self._response: Json = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.instructions,
            "max_output_tokens": options.max_new_tokens,
            "metadata": {},
            "model": model,
            "output": [],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "temperature": (1.0 if options.temperature is None else options.temperature) if options.do_sample else 0.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0 if options.top_p is None else options.top_p,
            "truncation": "auto",
            "usage": None,
        }

    async def whole(self, ticket: Ticket) -> Json:
        """All of it, when it is there."""
        async with aclosing(ticket.events()) as events:
            async for event in events:
                for _ in self._grow(event):
                    pass
        return self._response

    async def events(self, ticket: Ticket) -> AsyncIterator[str]:
        """It as server-sent events."""
        for name in ("response.created", "response.in_progress"):
            yield self._sent({"type": name, "response": self._response})
        try:
            async with aclosing(ticket.events()) as events:
                async for event in events:
                    for told in self._grow(event):
                        yield self._sent(told)
        except Stopped as error:
            self._response |= {"status": "failed", "error": {"code": "server_error", "message": str(error)}}
            yield self._sent({"type": "response.failed", "response": self._response})

    def _sent(self, told: Json) -> str:
        numbered = told | {"sequence_number": self._sequence}
        self._sequence += 1
        return sse(numbered, told["type"])

    def _grow(self, event: Event) -> Iterator[Json]:
        """What one more event of the text adds."""
        if isinstance(event, Text):
            yield from self._write(event.text)
        elif isinstance(event, Answered):
            yield from self._end_message()
            yield from self._call(event)
        elif isinstance(event, Ended):
            if not self._response["output"]:
                yield from self._write("")
            yield from self._end_message()
            yield self._end(event)

    def _write(self, text: str) -> Iterator[Json]:
        output = self._response["output"]
        if self._message is None:
            part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            self._message = {
                "id": f"msg_{uuid.uuid4().hex}",
                "type": "message",
                "role": "assistant",
                "status": "in_progress",
                "content": [],
            }
            output.append(self._message)
            yield {"type": "response.output_item.added", "output_index": len(output) - 1, "item": self._message}
            yield {"type": "response.content_part.added", **self._where(), "part": part}
            self._message["content"] = [part]
        self._message["content"][0]["text"] += text
        if text:
            yield {"type": "response.output_text.delta", **self._where(), "delta": text, "logprobs": []}

    def _where(self) -> Json:
        """Of the message that is being written."""
        assert self._message is not None
        place = len(self._response["output"]) - 1
        return {"item_id": self._message["id"], "output_index": place, "content_index": 0}

    def _end_message(self) -> Iterator[Json]:
        if self._message is None:
            return
        (part,) = self._message["content"]
        yield {"type": "response.output_text.done", **self._where(), "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **self._where(), "part": part}
        self._message["status"] = "completed"
        place = len(self._response["output"]) - 1
        yield {"type": "response.output_item.done", "output_index": place, "item": self._message}
        self._message = None

    def _call(self, event: Answered) -> Iterator[Json]:
        """A call is told when its result stands: until then it may be undone."""
        key, call, arguments = uuid.uuid4().hex, event.call, json.dumps({"input": event.call.input})
        kind = f"{self._tool_items}_call"
        written = [
            {"type": f"response.{kind}_arguments.delta", "delta": arguments},
            {"type": f"response.{kind}_arguments.done", "arguments": arguments},
        ]
        item: Json = {"id": f"{kind}_{key}", "type": kind, "name": call.tool, "arguments": ""}
        if self._tool_items == "mcp":
            item |= {"server_label": _LABEL, "error": None, "output": None}
            told = [{"type": "response.mcp_call.in_progress"}, *written, {"type": "response.mcp_call.completed"}]
            yield from self._item(item, told, arguments=arguments, output=call.result)
        else:
            yield from self._item(item | {"call_id": key}, written, arguments=arguments)
            output = {"id": f"output_{key}", "type": "function_call_output", "call_id": key, "output": call.result}
            yield from self._item(output, [])

    def _item(self, item: Json, told: Sequence[Json], **done: str | None) -> Iterator[Json]:
        """An item from its beginning to its end, by which it has what is `done`."""
        place = len(self._response["output"])
        item["status"] = "in_progress"
        self._response["output"].append(item)
        yield {"type": "response.output_item.added", "output_index": place, "item": {**item}}
        for one in told:
            yield one | {"output_index": place, "item_id": item["id"]}
        item |= {"status": "completed", **done}
        yield {"type": "response.output_item.done", "output_index": place, "item": item}

    def _end(self, event: Ended) -> Json:
        written, whole = len(event.ids), FINISH[event.reason] == "stop"
        self._response["usage"] = {
            "input_tokens": self._prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self._prompt_tokens + written,
        }
        self._response["status"] = "completed" if whole else "incomplete"
        if not whole:
            self._response["incomplete_details"] = {"reason": "max_output_tokens"}
        return {"type": f"response.{self._response['status']}", "response": self._response}
