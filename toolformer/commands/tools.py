"""`toolformer tools` and `toolformer call`: the tools by themselves."""

import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from toolformer.catalog import CATALOG, ToolSettings, make_tools
from toolformer.errors import ToolformerError

Settings = Annotated[ToolSettings, tyro.conf.arg(name="tool")]
"""What the tools need, as flags of a command that uses them."""


@dataclass(frozen=True)
class ListTools:
    """List the tools: what each does, and a call to try."""

    def run(self) -> None:
        """Print two lines a tool. Nothing is loaded, and nothing asked over a network."""
        for name, entry in CATALOG.items():
            print(f"{name:<11} {entry.description}")
            print(f"{'':<11} toolformer call {entry.short} {entry.example!r}")


@dataclass(frozen=True)
class CallTool:
    """Run one tool and print its answer."""

    tool: tyro.conf.Positional[str]
    """The tool's name, as `toolformer tools` lists it."""
    input: tyro.conf.Positional[str] = ""
    """What to ask it; with "-", each line of standard input is asked."""
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Print one answer a line. Of several inputs, one that fails is said on standard error and the rest go on."""
        from toolformer.toolbox import Toolbox

        with Toolbox(make_tools(self.settings, [self.tool])) as box:
            (name,) = box.names
            if self.input != "-":
                print(box.run(name, self.input))
                return
            failed = 0
            for line in sys.stdin:
                try:
                    print(box.run(name, line.rstrip("\n")), flush=True)
                except ToolformerError as error:
                    failed += 1
                    print(flush=True)
                    print(f"toolformer: {error}", file=sys.stderr)
            if failed:
                raise ToolformerError(f"{failed} of the inputs had no answer; their lines are empty")
