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

    def run(self) -> None:
        """Print two lines a tool. Nothing is loaded, and nothing asked over a network."""
        for name, entry in CATALOG.items():
            if self.json:
                told = {"name": name, "short": entry.short, "description": entry.description, "example": entry.example}
                print(json.dumps(told))
            else:
                print(f"{name:<11} {entry.description}")
                print(f"{'':<11} toolformer call {entry.short} {entry.example!r}")


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
