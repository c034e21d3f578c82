"""`toolformer doctor`: what works on this machine, what does not, and what to do about it."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from toolformer.commands.checks import CHECKS, Finding, free_memory
from toolformer.errors import ToolformerError, first_line

if TYPE_CHECKING:
    from toolformer.footprint import Size

_COLOURS = {"ok": "green", "missing": "yellow", "failed": "bold red"}


@dataclass(frozen=True)
class Doctor:
    """Check what works on this machine, and say how to fix the rest."""

    model: str | None = None
    """Say instead how much memory this model takes, by name or path, in fp32, bf16, int8 and nf4: to be loaded, to read
    1,024 tokens, and to train a LoRA on them. It is measured where it fits, and computed where not."""
    json: bool = False
    """Print one line of JSON with all findings: name, state (ok, missing, failed), says, advice; of a model, its
    parameters and its memory in bytes."""

    def run(self) -> None:
        """Try everything and show each finding when it is there. Only what failed is an error: the rest is optional."""
        if self.model is not None:
            self._weigh(self.model)
            return
        if self.json:
            found = list(findings())
            print(json.dumps({"findings": [asdict(one) for one in found]}))
        else:
            found = list(_shown(findings()))
        if failed := [one.name for one in found if one.state == "failed"]:
            raise ToolformerError(f"not everything that is needed works: {', '.join(failed)}; see above what to do")

    def _weigh(self, name: str) -> None:
        from toolformer.footprint import USES, footprints, shape_of

        shape, source = shape_of(name)
        found = {}
        if not self.json:
            print(f"{shape.name}: {shape.parameters:,} parameters, {shape.packed:,} of them in linear layers")
            print(f"memory, beyond Python and its libraries; ~ is computed, the rest measured; {shape.tokens:,} tokens")
            print(f"      {''.join(f'{use:>12}' for use in USES)}")
        for precision, sizes in footprints(shape, source, free_memory()):
            found[precision] = {use: asdict(size) for use, size in sizes.items()}
            if not self.json:
                why = "; ".join(dict.fromkeys(filter(None, (size.why_computed for size in sizes.values()))))
                cells = "".join(f"{_memory(sizes[use]):>12}" for use in USES)
                print(f"{precision:<6}{cells}{f'   ~ {why}' if why else ''}", flush=True)
        if self.json:
            told = {"model": shape.name, "parameters": shape.parameters, "tokens": shape.tokens, "memory": found}
            print(json.dumps(told))


def _memory(size: "Size") -> str:
    unit, name = (2**30, "GB") if size.bytes >= 2**30 else (2**20, "MB")
    return f"{'~' if size.why_computed else ''}{size.bytes / unit:,.1f} {name}"


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
