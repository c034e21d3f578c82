"""An MCP server of the protocol's older era, by hand, which does what a call tells it to.

Run as a program: python tests/odd_mcp_server.py TOOLS.json, the tools that it lists; what else it is given it ignores.
"""

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

ACT = {
    "name": "act",
    "description": "Does as it is told.\nA second line.",
    "inputSchema": {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
}


def odd_server(folder: Path, *tools: dict[str, Any], more: str = "") -> str:
    """The command of such a server. It reads its tools, `act` if there are none, when it starts."""
    offered = folder / "tools.json"
    offered.write_text(json.dumps(tools or [ACT]))
    return f"{shlex.join([sys.executable, '-S', __file__, str(offered)])} {more}".strip()


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


def act(what: str) -> Any:
    """The result of a call."""
    image = {"type": "image", "data": "AAAA", "mimeType": "image/png"}
    results = {
        "parts": {"content": [*text("one")["content"], image, *text("two")["content"]]},
        "image": {"content": [image]},
        "structured": text("12") | {"structuredContent": {"n": "no number"}},
        "nonsense": {"content": 7},
        "pid": text(str(os.getpid())),
    }
    match what.split(" ", 1):
        case ["say", said]:
            return text(said)
        case ["fail", said]:
            return text(said) | {"isError": True}
        case ["variable", name]:
            return text(os.environ.get(name, "unset"))
    return misbehave(what) or results.get(what)


def misbehave(what: str) -> Any:
    """Do what no server should, if that is asked."""
    if what == "die":
        print("some words", "the last words\x1b[31m", sep="\n", file=sys.stderr, flush=True)
        os._exit(3)
    if what == "hang":
        time.sleep(60)
    while what.startswith("flood"):
        os.write(1, b"x" * 65536 if what == "flood" else b'{"jsonrpc": "2.0", "method": "notifications/x"}\n' * 1000)
    if what == "chat":
        print("I am no JSON")
        print(json.dumps({"jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage", "params": {}}))
        return text("chatted")
    return None


def main() -> None:
    tools = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked or "method" not in asked:
            continue
        reply = {"jsonrpc": "2.0", "id": asked["id"]}
        if asked["method"] == "initialize":
            reply["result"] = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "odd", "version": "1"},
            }
        elif asked["method"] == "tools/list":
            reply["result"] = {"tools": tools}
        elif asked["method"] == "tools/call" and (result := act(asked["params"]["arguments"].get("what", ""))):
            reply["result"] = result
        else:
            reply["error"] = {"code": -32601, "message": "what is that?"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
