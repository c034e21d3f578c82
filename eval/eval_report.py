"""A report of one run, or of several side by side: one HTML page and the same tables as Markdown.

The page has no script and loads nothing, and a content security policy keeps it so. Whatever came from a model, a tool
or a data set is escaped and cut; a page is of bounded size.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from toolformer.eval import plots
from toolformer.eval.call_statistics import case
from toolformer.eval.grid import Grid, label, markdown
from toolformer.eval.need_report import LISTED, need_lists, need_plots
from toolformer.eval.outcomes import EXAMPLES, Outcome, read_header, read_outcomes
from toolformer.eval.results import costs, results
from toolformer.eval.shown import escaped, example
from toolformer.eval.tables import SHOWN, cost_table, grids
from toolformer.page import policy_hash
from toolformer.whole_file import whole_file

Json = dict[str, Any]
SHOWN_OF_A_CASE = 3
"""Examples of each case of each task."""
_PAGE = files("toolformer.eval") / "page"


def write_reports(folders: Sequence[Path]) -> tuple[Path, Path]:
    """Write report.html and tables.md into the first folder; the others' numbers stand beside its own."""
    counted = [results(folder) for folder in folders]
    out = folders[0]
    tables = [*grids(counted), *cost_table(costs(out))]
    with whole_file(out / "tables.md") as file:
        file.write(markdown(tables).encode("utf-8", "replace"))
    with whole_file(out / "report.html") as file:
        file.write(_page(counted, tables, out).encode("ascii", "xmlcharrefreplace"))
    return out / "report.html", out / "tables.md"


def _page(counted: Sequence[Json], tables: Sequence[Grid], out: Path) -> str:
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
        name=escaped(" · ".join(dict.fromkeys(label(one) for one in counted))),
        totals="".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in totals.items()),
        tables="".join(map(_table, tables)),
        plots=_plots(counted),
        need=_need(out),
        examples=_examples(out),
        source=escaped(json.dumps([_source(one) for one in counted], indent=1)),
    )


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{escaped(cell)}</th>" for cell in grid.head)
    rows = "".join(
        f"<tr{' class=quoted' if row.quoted else ''}>{''.join(f'<td>{escaped(cell)}</td>' for cell in row.cells)}</tr>"
        for row in grid.rows
    )
    note = f'<p class="hint">{escaped(grid.note)}</p>' if grid.note else ""
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<h3>{escaped(grid.title)}</h3>{note}{table}"


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
            if "need" in task:
                drawn["Need"] += [_figure(*plot) for plot in need_plots(title, task["need"])]
    return "".join(
        f'<h2>{kind}</h2><p class="hint">{_NOTES[kind]}</p><div class="plots">{"".join(figures)}</div>'
        for kind, figures in drawn.items()
    )


_NOTES = {
    "Over k": '<span class="key"><span class="hue0"><i></i>accuracy</span> <span class="hue2"><i></i>examples with '
    "a call</span></span> Bars are 95% bootstrap intervals.",
    "Decisions": f'<span class="key">{plots.legend()}</span>',
    "Reliability": "How many wrong answers a tool mends, against the probability of a call’s opening. On the "
    "dashed line a model would know how often a call helps.",
    "Need": "How many examples needed a call, against the probability of its opening; and accuracy over the share "
    'of examples with a call, the highest scores first. Score: <span class="key">'
    + " ".join(f'<span class="{hue}"><i></i>{name}</span>' for name, hue in plots.CURVES.items())
    + ' <span class="hue1"><i></i>the model’s own calls</span></span>',
}
"""What is said above the plots of each kind."""


def _figure(title: str, svg: str) -> str:
    return f"<figure><figcaption>{escaped(title)}</figcaption>{svg}</figure>"


def _need(out: Path) -> str:
    """The examples of each kind of need, where that was asked."""
    lists = need_lists(out)
    hint = f"Up to {LISTED} of each kind of a task, with the call that was forced."
    return f'<h2>Need, example by example</h2><p class="hint">{hint}</p>{lists}' if lists else ""


def _examples(out: Path) -> str:
    """Some of each case, at the k of the main tables."""
    paths: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in sorted((out / EXAMPLES).glob("*.jsonl")):
        header = read_header(path)
        paths[header["task"]].setdefault(int(header["k"]), path)
    parts = []
    for name, by_k in sorted(paths.items()):
        k = SHOWN if SHOWN in by_k else max(by_k)
        _, outcomes = read_outcomes(by_k[k])
        if not any(one.size for one in outcomes):
            shown = "".join(_cases(outcomes))
            parts.append(f"<details><summary>{escaped(name)}, k = {k}</summary>{shown}</details>")
    return "".join(parts)


def _cases(outcomes: Sequence[Outcome]) -> Iterator[str]:
    seen: dict[str, int] = defaultdict(int)
    for one in outcomes:
        seen[case(one)] += 1
        if seen[case(one)] <= SHOWN_OF_A_CASE:
            yield example(one, case(one))


def _source(result: Json) -> Json:
    """Where a run's numbers come from."""
    tasks = {
        name: {part: task[part] for part in ("data", "examples", "size")} for name, task in result["tasks"].items()
    }
    return {name: value for name, value in result.items() if name != "tasks"} | {"tasks": tasks}
