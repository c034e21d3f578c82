"""A report of one run, or of several side by side: one HTML page and the same tables as Markdown.

The page has no script and loads nothing, and a content security policy keeps it so. Whatever came from a model, a tool
or a data set is escaped and cut; a page is of bounded size.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from toolformer.calls import CallSyntax
from toolformer.eval import plots
from toolformer.eval.calls import case
from toolformer.eval.grid import Grid, label, markdown
from toolformer.eval.outcomes import Outcome, read_header, read_outcomes
from toolformer.eval.results import costs, results
from toolformer.eval.tables import SHOWN, cost_table, grids
from toolformer.page import policy_hash
from toolformer.whole_file import whole_file

Json = dict[str, Any]
SHOWN_OF_A_CASE = 3
"""Examples of each case of each task."""
CUT = 300
"""Characters shown of a prompt (its end), a text (its beginning), an input or a result."""
_PAGE = files("toolformer.eval") / "page"


def write_reports(folders: Sequence[Path]) -> tuple[Path, Path]:
    """Write report.html and tables.md into the first folder; the others' numbers stand beside its own."""
    counted = [results(folder) for folder in folders]
    out = folders[0]
    tables = [*grids(counted), *cost_table(costs(out))]
    with whole_file(out / "tables.md") as file:
        file.write(markdown(tables).encode("utf-8", "replace"))
    with whole_file(out / "report.html") as file:
        file.write(_page(counted, tables, _examples(out)).encode("ascii", "xmlcharrefreplace"))
    return out / "report.html", out / "tables.md"


def _page(counted: Sequence[Json], tables: Sequence[Grid], examples: str) -> str:
    style = (_PAGE / "report.css").read_text("utf-8")
    tasks = {name for one in counted for name in one["tasks"]}
    totals = {
        "runs": str(len(counted)),
        "tasks": str(len(tasks)),
        "examples": f"{sum(task['examples'] for task in counted[0]['tasks'].values()):,}",
        "tools": str(len(counted[0]["tools"])),
    }
    return Template((_PAGE / "report.html").read_text("utf-8")).substitute(
        style=style,
        style_hash=policy_hash(style),
        name=_text(" · ".join(dict.fromkeys(label(one) for one in counted))),
        totals="".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in totals.items()),
        tables="".join(map(_table, tables)),
        plots=_plots(counted),
        examples=examples,
        source=_text(json.dumps([_source(one) for one in counted], indent=1)),
    )


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in grid.head)
    rows = "".join(
        f"<tr{' class=quoted' if row.quoted else ''}>{''.join(f'<td>{_text(cell)}</td>' for cell in row.cells)}</tr>"
        for row in grid.rows
    )
    note = f'<p class="hint">{_text(grid.note)}</p>' if grid.note else ""
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<h3>{_text(grid.title)}</h3>{note}{table}"


def _plots(counted: Sequence[Json]) -> str:
    """For each run and task: over k, the decisions, and the reliability where there is any."""
    drawn: dict[str, list[str]] = defaultdict(list)
    for result in counted:
        for name, task in result["tasks"].items():
            title = f"{name}, {label(result)}"
            if len(task.get("k", {})) > 1:
                drawn["Over k"].append(_figure(title, plots.over_k(title, task["k"])))
            if made := task.get("decisions"):
                drawn["Decisions"].append(_figure(title, plots.decisions(title, made)))
                if bins := made.get("calibration", {}).get("bins"):
                    shown = f"{title}, k = {made['calibration']['k']}"
                    drawn["Reliability"].append(_figure(shown, plots.reliability(title, bins)))
    notes = {
        "Over k": '<span class="key"><span class="hue0"><i></i>accuracy</span> <span class="hue2"><i></i>examples with '
        "a call</span></span> Bars are 95% bootstrap intervals.",
        "Decisions": f'<span class="key">{plots.legend()}</span>',
        "Reliability": "How many wrong answers a tool mends, against the probability of a call’s opening. On the "
        "dashed line a model would know how often a call helps.",
    }
    return "".join(
        f'<h2>{kind}</h2><p class="hint">{notes[kind]}</p><div class="plots">{"".join(figures)}</div>'
        for kind, figures in drawn.items()
    )


def _figure(title: str, svg: str) -> str:
    return f"<figure><figcaption>{_text(title)}</figcaption>{svg}</figure>"


def _examples(out: Path) -> str:
    """Some of each case, at the k of the main tables."""
    paths: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in sorted((out / "examples").glob("*.jsonl")):
        header = read_header(path)
        paths[header["task"]].setdefault(int(header["k"]), path)
    parts = []
    for name, by_k in sorted(paths.items()):
        k = SHOWN if SHOWN in by_k else max(by_k)
        _, outcomes = read_outcomes(by_k[k])
        if not any(one.size for one in outcomes):
            shown = "".join(_cases(outcomes))
            parts.append(f"<details><summary>{_text(name)}, k = {k}</summary>{shown}</details>")
    return "".join(parts)


def _cases(outcomes: Sequence[Outcome]) -> Iterator[str]:
    seen: dict[str, int] = defaultdict(int)
    for one in outcomes:
        seen[case(one)] += 1
        if seen[case(one)] <= SHOWN_OF_A_CASE:
            yield _example(one)


def _example(one: Outcome) -> str:
    chance = f"p(call) = {one.probability:.3g}, rank {one.rank + 1}" if one.rank >= 0 else ""
    undone = "; ".join(f"{call.tool}({call.input}) undone: {call.undone}" for call in one.calls if call.undone)
    said = [_text(one.prompt[-CUT:]), " <b>", _called(one), "</b>"]
    expected = f"expected: {_short(' | '.join(one.answers))}"
    about = " · ".join(filter(None, (case(one), chance, _short(undone), expected)))
    return f'<div class="example"><p>{"".join(said)}</p><p class="meta">{_text(about)}</p></div>'


def _called(one: Outcome) -> str:
    """The text with its calls in place."""
    parts, at = [], 0
    for call in one.calls:
        if not call.undone and call.start <= CUT:
            shown = f"[{call.tool}({_short(call.input)}){CallSyntax.TOKENS.arrow} {_short(call.result)}]"
            parts += [_text(one.text[at : call.start]), f"<mark>{_text(shown)}</mark>"]
            at = call.start
    return "".join([*parts, _text(one.text[at : max(at, CUT)])])


def _source(result: Json) -> Json:
    """Where a run's numbers come from."""
    tasks = {
        name: {part: task[part] for part in ("data", "examples", "size")} for name, task in result["tasks"].items()
    }
    return {name: value for name, value in result.items() if name != "tasks"} | {"tasks": tasks}


def _short(text: str) -> str:
    return text if len(text) <= CUT else f"{text[:CUT]}…"


def _text(text: str) -> str:
    """Text that is nothing but text: escaped, without what a browser or an encoder would stumble over."""
    kept = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
    return escape(kept, quote=True)
