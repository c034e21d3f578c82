"""`toolformer tools` and `toolformer call`: the tools by themselves."""

import json
import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from toolformer.catalog import CATALOG, ToolSettings, make_tools
from toolformer.commands.flags import Often
from toolformer.commands.streams import check_text
from toolformer.errors import ToolformerError

Settings = Annotated[ToolSettings, Often("index", "contact", "knowledge")]
"""What the tools need, as flags of a command that uses them."""


@dataclass(frozen=True)
class ListTools:
    """List the tools: what each one does, and an example call."""

    json: bool = False
    """Print a line of JSON for each tool: name, short, description, example."""
    mcp: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """List the tools of an MCP server, too, by its command or URL; may be given several times."""

    def run(self) -> None:
        """Print two lines a tool. Nothing is loaded, and nobody asked but the servers that are named."""
        for name, entry in CATALOG.items():
            self._print(name, entry.short, entry.description, entry.example)
        if not self.mcp:
            return
        from toolformer.mcp import mcp_tools

        for tool in (tool for server in self.mcp for tool in mcp_tools(server)):
            self._print(tool.name, tool.name, tool.description, tool.example)

    def _print(self, name: str, short: str, description: str, example: str) -> None:
        if self.json:
            print(json.dumps({"name": name, "short": short, "description": description, "example": example}))
        else:
            print(f"{name:<11} {description}")
            print(f"{'':<11} toolformer call {short} {example!r}")


@dataclass(frozen=True)
class CallTool:
    """Run one tool and print its answer."""

    tool: tyro.conf.Positional[str]
    """The name of the tool, as `toolformer tools` lists it."""
    input: tyro.conf.Positional[str] = ""
    """The input; with "-", each line of standard input is one."""
    json: bool = False
    """Print a line of JSON for each input: tool, input, and result or error."""
    settings: ToolSettings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Print one answer a line. Of several inputs, one that fails is said on standard error and the rest go on."""
        from toolformer.toolbox import Toolbox

        with Toolbox(make_tools(self.settings, [self.tool])) as box:
            name = box.names[0]
            if self.input != "-":
                self._print(name, self.input, result=box.run(name, self.input))
                return
            failed = 0
            for number, line in enumerate(sys.stdin, 1):
                text = line.rstrip("\n")
                try:
                    self._print(name, text, result=box.run(name, check_text(text)))
                except ToolformerError as error:
                    failed += 1
                    self._print(name, text, error=str(error))
                    print(f"toolformer: line {number}: {error}", file=sys.stderr)
            if failed:
                raise ToolformerError(f"{failed} of the inputs had no answer")

    def _print(self, name: str, text: str, **came: str) -> None:
        """What came: a result, or an error, whose line is empty where it is not JSON."""
        print(json.dumps({"tool": name, "input": text, **came}) if self.json else came.get("result", ""), flush=True)
