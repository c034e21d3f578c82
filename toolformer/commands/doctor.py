"""`toolformer doctor`: what works on this machine, what does not, and what to do about it."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from toolformer.commands.checks import CHECKS, Finding
from toolformer.errors import ToolformerError, first_line

_COLOURS = {"ok": "green", "missing": "yellow", "failed": "bold red"}


@dataclass(frozen=True)
class Doctor:
    """Check what works on this machine, and say how to fix the rest."""

    json: bool = False
    """Print one line of JSON with all findings: name, state (ok, missing, failed), says, advice."""

    def run(self) -> None:
        """Try everything and show each finding when it is there. Only what failed is an error: the rest is optional."""
        if self.json:
            found = list(findings())
            print(json.dumps({"findings": [asdict(one) for one in found]}))
        else:
            found = list(_shown(findings()))
        if failed := [one.name for one in found if one.state == "failed"]:
            raise ToolformerError(f"not everything that is needed works: {', '.join(failed)}; see above what to do")


def findings() -> Iterator[Finding]:
    """What comes of every check. One that breaks is a finding too, and keeps none of the others from being made."""
    for name, check in CHECKS.items():
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
            says = f"{type(error).__name__}: {first_line(error)}"
            yield Finding(name, "failed", says, "if `pip check` is silent, install toolformer again")


def _shown(found: Iterator[Finding]) -> Iterator[Finding]:
    from rich.text import Text

    from toolformer.screen import PipeConsole

    console = PipeConsole(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for one in found:
        console.print(Text(f"{one.state:<8}", style=_COLOURS[one.state]), f"{one.name:<11} {one.says}", sep="")
        if one.advice:
            console.print(f"{'':<20}{one.advice}", style="bold")
        sys.stdout.flush()
        yield one
