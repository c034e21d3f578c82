"""Our tools for MCP's clients of both eras: a real process over its standard streams, and real HTTP on this machine."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import MCPError, StdioServerParameters
from mcp.client import Client
from mcp.types import CallToolResult, TextContent

from toolformer import Toolbox, ToolError, Traits, tool
from toolformer.arguments import Argument, read_arguments, write_arguments
from toolformer.mcp import mcp_tools
from toolformer.mcp.server import MAX_BYTES, mcp_server

COMMAND = ["-m", "toolformer.cli", "mcp", "--tools", "calculator,calendar", "--date", "2026-11-20"]
ERAS = ["legacy", "2026-07-28", "auto"]
OLDEST = "2025-03-26"
"""A version of the protocol that begins with `initialize`."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where `toolformer mcp` serves over HTTP."""
    with subprocess.Popen([sys.executable, *COMMAND, "--http", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield server.stdout.readline().strip()
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def ask(server: Any, mode: str, question: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
    async def asked() -> Any:
        async with Client(server, mode=mode) as client:
            return await question(client)

    return asyncio.run(asked())


def said(result: CallToolResult) -> tuple[bool, str]:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return result.is_error, block.text


async def questions(client: Client) -> None:
    """What every client may do."""
    listed = (await client.list_tools()).tools
    assert [one.name for one in listed] == ["Calculator", "Calendar"]
    assert listed[0].input_schema["properties"] == {"input": {"type": "string"}}
    asked: list[tuple[str, dict[str, Any], tuple[bool, str]]] = [
        ("Calculator", {"input": "400 / 1400"}, (False, "0.29")),
        ("Calendar", {}, (False, "Today is Friday, November 20, 2026.")),
        ("Calculator", {"input": "1 / 0"}, (True, "division by zero")),
        ("Calculator", {"input": 7}, (True, "input cannot be 7: no text of a call says so")),
        ("Calculator", {"expression": "1"}, (True, "there is no argument 'expression'; it takes (input: str = …)")),
        ("Calculator", {"input": "1" * 10_001}, (True, "the input has 10,001 characters; 10,000 are allowed")),
    ]
    for name, arguments, answer in asked:
        assert said(await client.call_tool(name, arguments)) == answer
    with pytest.raises(MCPError, match="Unknown tool: 'Weather'"):
        await client.call_tool("Weather", {})


@pytest.mark.parametrize("mode", ERAS)
def test_a_client_of_each_era_asks_a_process(mode: str) -> None:
    ask(StdioServerParameters(command=sys.executable, args=COMMAND), mode, questions)


@pytest.mark.parametrize("mode", ERAS)
def test_a_client_of_each_era_asks_over_http(mode: str, url: str) -> None:
    ask(url, mode, questions)


def test_our_tools_from_our_own_server_are_tools_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLFORMER_CACHE", str(tmp_path))
    with Toolbox(mcp_tools(url)) as box:
        assert box.names == ["Calculator", "Calendar"]
        assert box.run("Calculator", "400 / 1400") == "0.29"
        with pytest.raises(ToolError, match="^Calculator: division by zero$"):
            box.run("Calculator", "1 / 0")


def test_lines_that_are_no_requests_do_not_end_it() -> None:
    start = {"protocolVersion": OLDEST, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    call = {"name": "Calculator", "arguments": {"input": "1 + 1"}}
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": start}),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        *("no JSON", "[]", "{}", "[" * 10_000, "\xff\x00", "", "x" * (3 * MAX_BYTES)),
        json.dumps({"jsonrpc": "2.0", "id": 2, "method": "no/such/method"}),
        json.dumps({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": 7}}),
        json.dumps({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": call}),
    ]
    process = subprocess.Popen(
        [sys.executable, *COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="latin-1"
    )
    with process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("\n".join([*lines, ""]))
        process.stdin.flush()
        answers: dict[Any, Any] = {}
        while 4 not in answers:
            answer = json.loads(process.stdout.readline())
            answers[answer["id"]] = answer
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait(20) == 0
    assert answers[1]["result"]["protocolVersion"] == OLDEST
    assert answers[4]["result"]["content"] == [{"type": "text", "text": "2"}]
    assert answers[2]["error"]["code"] == -32601
    assert answers[3]["error"]["code"] == -32602


def test_only_this_machines_own_names_are_answered_and_no_large_body(url: str) -> None:
    head = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    for host, status in [("evil.example", 421), ("127.0.0.1.evil.example:80", 421)]:
        assert httpx.post(url, json={}, headers=head | {"Host": host}).status_code == status
    assert httpx.post(url, json={}, headers=head | {"Origin": "https://evil.example"}).status_code == 403
    assert httpx.post(url, content=b" " * (MAX_BYTES + 1), headers=head).status_code == 413
    assert httpx.post(url, content=b"{", headers=head).status_code == 400


def test_ctrl_c_ends_it_while_it_waits_for_a_line() -> None:
    process = subprocess.Popen(
        [sys.executable, *COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin
        assert process.stdout
        process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130


@tool(traits=Traits(in_process=True))
def weather(city: str, days: int = 1, wind: bool = False) -> str:
    """The weather in a city."""
    return f"{city}|{days}|{wind}"


def test_a_function_of_several_arguments_has_them_in_its_schema() -> None:
    async def asked(client: Client) -> None:
        (one,) = (await client.list_tools()).tools
        assert one.input_schema == {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "wind": {"type": "boolean"}},
            "required": ["city"],
            "additionalProperties": False,
        }
        calls: list[tuple[dict[str, Any], tuple[bool, str]]] = [
            ({"city": "Paris, Texas", "days": 3, "wind": True}, (False, "Paris, Texas|3|True")),
            ({"wind": None, "city": "Lima"}, (False, "Lima|1|False")),
            ({"days": 3}, (True, "city is missing; it takes (city: str, days: int = 1, wind: bool = False)")),
            ({"city": ["Lima"]}, (True, "city cannot be ['Lima']: no text of a call says so")),
        ]
        for arguments, answer in calls:
            assert said(await client.call_tool("weather", arguments)) == answer

    with Toolbox([weather]) as box:
        ask(mcp_server(box), "auto", asked)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"city": "Paris"}, 'city="Paris"'),
        ({"city": 'a", days=3, wind="'}, None),
        ({"city": "x=y, days=3"}, 'city="x=y, days=3"'),
        ({"city": "a", "days": 2.5}, None),
        ({"city": "a", "days": "two"}, None),
        ({"city": "a", "wind": 0}, 'city="a", wind=0'),
    ],
)
def test_arguments_are_written_so_that_the_same_are_read(values: dict[str, object], text: str | None) -> None:
    arguments = (Argument("city", str), Argument("days", int, False, 1), Argument("wind", bool, False, False))
    if text is None:
        with pytest.raises(ToolError):
            write_arguments(arguments, values)
        return
    assert write_arguments(arguments, values) == text
    assert read_arguments(arguments, text) == values
