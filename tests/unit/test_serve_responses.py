"""`/v1/responses`, asked by OpenAI's own client."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.fakes import END
from tests.serving import ARROW, CLOSE, OPEN, Told, adds, client, says, served

PROMPT = "So "
WHOLE = f"So 2 + 2 is {OPEN} Sum(2 + 2){ARROW} 4{CLOSE}4."
ITEMS = [("message", "2 + 2 is "), ("mcp_call", "4"), ("message", "4.")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(says(WHOLE, "be brief\nhi!", tools=[Told(adds)])) as url:
        yield url


def items(output: Any) -> list[tuple[str, str]]:
    return [(one.type, one.output if one.type == "mcp_call" else one.content[0].text) for one in output]


def test_a_call_is_an_item_between_the_texts_around_it(url: str) -> None:
    made = client(url).responses.create(model="m", input=PROMPT)
    assert items(made.output) == ITEMS
    call = made.output[1]
    assert (call.name, call.arguments, call.server_label, call.status, call.error) == (
        "Sum",
        '{"input": "2 + 2"}',
        "toolformer",
        "completed",
        None,
    )
    assert (made.status, made.output_text) == ("completed", "2 + 2 is 4.")
    assert made.usage
    assert made.usage.total_tokens == 3 + 11


def test_streamed_it_is_the_same(url: str) -> None:
    with client(url).responses.stream(model="m", input=PROMPT) as stream:
        events = list(stream)
        made = stream.get_final_response()
    assert items(made.output) == ITEMS
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events if not event.type.endswith("text.delta")]
    message = ["output_item.added", "content_part.added", "output_text.done", "content_part.done", "output_item.done"]
    call = ["mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done", "mcp_call.completed"]
    assert kinds == [
        *("created", "in_progress"),
        *message,
        *("output_item.added", *call, "output_item.done"),
        *message,
        "completed",
    ]


def test_instructions_come_first_and_an_answer_may_be_cut(url: str) -> None:
    made = client(url).responses.create(
        model="m", instructions="be brief", input=[{"role": "user", "content": "hi"}], max_output_tokens=1
    )
    assert made.output_text == "!"
    cut = client(url).responses.create(model="m", input=PROMPT, max_output_tokens=1)
    assert (cut.status, cut.output_text) == ("incomplete", "2")
    assert cut.incomplete_details
    assert cut.incomplete_details.reason == "max_output_tokens"


def test_an_empty_answer_is_a_message(url: str) -> None:
    made = client(url).responses.create(model="m", input="nothing follows")
    assert items(made.output) == [("message", "")]


@pytest.mark.parametrize("name", ["previous_response_id", "reasoning", "conversation", "include"])
def test_what_is_not_there_is_refused(url: str, name: str) -> None:
    with pytest.raises(openai.BadRequestError, match=name):
        client(url).responses.create(model="m", input="x", extra_body={name: "y"})


def test_nothing_is_kept(url: str) -> None:
    made = client(url).responses.create(model="m", input=PROMPT, store=True)
    assert not made.store
    assert httpx.get(f"{url}/v1/responses/{made.id}").status_code == 404


@pytest.fixture(scope="module")
def plain_url() -> Iterator[str]:
    with served(says(WHOLE, tools=[Told(adds)]), tool_items="function") as url:
        yield url


def test_a_call_can_be_a_function_call_with_its_output_behind_it(plain_url: str) -> None:
    made = client(plain_url).responses.create(model="m", input=PROMPT)
    assert [one.type for one in made.output] == ["message", "function_call", "function_call_output", "message"]
    call, output = made.output[1:3]
    assert (call.name, call.arguments, call.status) == ("Sum", '{"input": "2 + 2"}', "completed")
    assert (output.call_id, output.output, output.status) == (call.call_id, "4", "completed")
    with client(plain_url).responses.stream(model="m", input=PROMPT) as stream:
        kinds = [event.type.removeprefix("response.") for event in stream if "text" not in event.type]
        streamed = stream.get_final_response()
    pair = ["function_call_arguments.delta", "function_call_arguments.done", "output_item.done", "output_item.added"]
    assert kinds[6:11] == ["output_item.added", *pair]
    assert [one.type for one in streamed.output] == [one.type for one in made.output]


@pytest.mark.parametrize("tool_items", ["mcp", "function"])
def test_an_answer_can_be_sent_back_as_it_came(tool_items: str) -> None:
    later = f"hi\n{WHOLE[3:]}\nand more\nso"
    with served(says(f"hi\n{WHOLE[3:]}{END}", later, tools=[Told(adds)]), tool_items=tool_items) as url:
        said = [{"role": "user", "content": "hi\n"}]
        first = client(url).responses.create(model="m", input=said)
        said += [one.model_dump(exclude_none=True) for one in first.output]
        said += [{"role": "user", "content": "and more\n"}]
        assert client(url).responses.create(model="m", input=said).output_text == "so"


@pytest.mark.parametrize(
    "arguments", ["2 + 2", '{"input": 4}', "[" * 10_000, '{"other": "x"}', "null"], ids=lambda text: text[:9]
)
def test_a_call_that_is_sent_back_wrong_is_refused(url: str, arguments: str) -> None:
    call = {"type": "function_call", "call_id": "a", "name": "Sum", "arguments": arguments}
    output = {"type": "function_call_output", "call_id": "a", "output": "4"}
    said = [{"role": "user", "content": "hi"}, call, output, {"role": "user", "content": "so"}]
    with pytest.raises(openai.BadRequestError, match="a call has arguments such as"):
        client(url).responses.create(model="m", input=said)
    call["arguments"] = '{"input": "2 + 2"}'
    with pytest.raises(openai.BadRequestError, match="and an output: send both back"):
        client(url).responses.create(model="m", input=[said[0], call, said[-1]])
