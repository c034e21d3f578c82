"""A table of a report, and how it is written as Markdown; report.py writes it as HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class GridRow:
    """A line of a table; quoted ones are not ours."""

    cells: tuple[str, ...]
    quoted: bool = False


@dataclass(frozen=True)
class Grid:
    """A table, ready to be written in any form."""

    title: str
    head: tuple[str, ...]
    rows: tuple[GridRow, ...]
    note: str = ""


def label(result: Json) -> str:
    """What the model of a run is called."""
    return str(result["about"].get("label") or result["model"])


def percent(share: Mapping[str, float] | None) -> str:
    """A share with its interval, in percent."""
    if share is None:
        return "–"
    return f"{100 * share['value']:.1f} ({100 * share['low']:.1f}–{100 * share['high']:.1f})"


def markdown(tables: Sequence[Grid]) -> str:
    """The tables for people and programs that read plain text."""
    blocks = []
    for grid in tables:
        lines = [f"### {grid.title}", ""]
        if grid.note:
            lines += [grid.note, ""]
        lines += [_line(grid.head), _line(["---"] * len(grid.head))]
        lines += [_line(row.cells, around="*" if row.quoted else "") for row in grid.rows]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _line(cells: Sequence[str], around: str = "") -> str:
    return f"| {' | '.join(f'{around}{_plain(cell)}{around}' if cell else '' for cell in cells)} |"


def _plain(cell: str) -> str:
    """What would end a cell or begin markup is written so that it does not."""
    cell = cell.replace("&", "&amp;").replace("<", "&lt;")
    for sign in "\\|`[]*":
        cell = cell.replace(sign, f"\\{sign}")
    return " ".join(cell.split())
