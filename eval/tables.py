"""The tables of a report: the paper's, with its figures marked as quoted and ours below them, and those it has not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolformer.eval.call_statistics import CASES
from toolformer.eval.examples import Size
from toolformer.eval.grid import Grid, GridRow, label, percent
from toolformer.eval.need_report import need_grids
from toolformer.eval.overlap import KINDS
from toolformer.eval.paper import BY_K, TABLES, Table
from toolformer.eval.results import Cost
from toolformer.eval.tasks.popqa import QUARTERS

Json = dict[str, Any]
DISABLED, SHOWN = 0, 10
"""The k whose figures stand in the main tables; without the second, the largest there is."""


def grids(results: Sequence[Json]) -> list[Grid]:
    """All tables that there are numbers for."""
    made = [_paper(table, results) for table in TABLES if _any(table.tasks, results)]
    quoted = {name for table in TABLES for name in table.tasks}
    others = sorted({n for one in results for n, task in one["tasks"].items() if n not in quoted and "k" in task})
    if others:
        made.append(_others(others, results))
    made += [grid for grid in (_normalised(results), _perplexities(results), _overlaps(results)) if grid]
    for name in sorted({name for one in results for name, task in one["tasks"].items() if "k" in task}):
        made.append(_by_k(name, results))
    made += _by_popularity(results)
    return [*made, *_decisions(results), *need_grids(results), _data(results)]


def cost_table(costs: Mapping[tuple[str, int], Cost]) -> list[Grid]:
    """What each task took; none if nobody measured."""
    rows = [
        GridRow((name, str(k), f"{one.asked:,}", f"{one.seconds:,.0f}", f"{one.waited:,.1f}", f"{one.tokens:,}"))
        for (name, k), one in sorted(costs.items())
    ]
    note = (
        "Examples asked (the others a larger k had answered: the same calls, or none, open at this k), seconds by the "
        "clock, of them between calls and answers (calls at the same time added up), tokens forwarded."
    )
    columns = ("Task", "k", "Asked", "Seconds", "Waiting for tools", "Tokens")
    return [Grid("Cost", columns, tuple(rows), note)] if rows else []


def _any(tasks: Sequence[str], results: Sequence[Json]) -> bool:
    return any(name in one["tasks"] for one in results for name in tasks)


def _paper(table: Table, results: Sequence[Json]) -> Grid:
    rows = [
        GridRow((f"{model} (quoted)", *(f"{figure:.1f}" for figure in figures)), quoted=True)
        for model, figures in table.quoted.items()
    ]
    for result in results:
        rows += _ours(table.tasks, result)
    return Grid(
        f"Table {table.number}: {table.title}",
        ("Model", *table.names),
        tuple(rows),
        "Perplexity by tokens, calls disabled; only figures of one vocabulary compare."
        if table.perplexity
        else "Accuracy in percent, with 95% bootstrap intervals. Quoted: the paper's figures, on the whole sets.",
    )


def _ours(tasks: Sequence[str], result: Json) -> Iterator[GridRow]:
    """A run with calls disabled, and with calls where it has any."""
    found = [result["tasks"].get(name) for name in tasks]
    if any(task and "perplexity" in task for task in found):
        yield GridRow((label(result), *(f"{task['perplexity']['perplexity']:.1f}" if task else "" for task in found)))
        return
    ks = {int(k) for task in found if task for k in task["k"]}
    shown = SHOWN if SHOWN in ks else max(ks, default=DISABLED)
    for k in dict.fromkeys((DISABLED, shown)):
        if k in ks:
            name = label(result) + (f", k = {k}" if k else ", calls disabled" if result["tools"] else "")
            yield GridRow((name, *(_accuracy(task, k) for task in found)))


def _accuracy(task: Json | None, k: int) -> str:
    counted = (task or {}).get("k", {}).get(str(k))
    return percent(counted["accuracy"]) if counted else ""


def _others(names: Sequence[str], results: Sequence[Json]) -> Grid:
    rows = [row for one in results for row in _ours(names, one)]
    return Grid("Other tasks", ("Model", *names), tuple(rows), "Accuracy in percent; not in the paper.")


def _perplexities(results: Sequence[Json]) -> Grid | None:
    """Every text by tokens, words and bytes: the last two compare models with different vocabularies."""
    rows = [
        GridRow((label(one), name, *(_figure(task["perplexity"][kind]) for kind in _PERPLEXITY)))
        for one in results
        for name, task in one["tasks"].items()
        if "perplexity" in task
    ]
    head = ("Model", "Task", "Tokens", "by token", "by word", "Bits per byte")
    return Grid("Perplexity, calls disabled", head, tuple(rows)) if rows else None


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


_PERPLEXITY = ("tokens", "perplexity", "word_perplexity", "bits_per_byte")


def _overlaps(results: Sequence[Json]) -> Grid | None:
    rows = [
        GridRow((label(one), k, *(f"{100 * scores[kind]:.1f}" for kind in KINDS), f"{scores['bleu']:.1f}"))
        for one in results
        for task in one["tasks"].values()
        for k, scores in task.get("overlap", {}).items()
    ]
    return Grid("Overlap with the references", ("Model", "k", *KINDS, "BLEU"), tuple(rows)) if rows else None


_COMPARED = "mmlu_letters"
"""Asked the same questions as mmlu_text, for comparison only."""


def _normalised(results: Sequence[Json]) -> Grid | None:
    """Each task's mean over its parts of how far it gets from chance to perfect, and the mean over the tasks."""
    tasks = sorted(
        {n for r in results for n, t in r["tasks"].items() if any(_norm(t, k) is not None for k in t.get("k", ()))}
    )
    rows = []
    for result in results:
        for k in sorted({int(k) for name in tasks for k in result["tasks"].get(name, {}).get("k", ())}):
            values = [_norm(result["tasks"].get(name, {}), str(k)) for name in tasks]
            known = [v for name, v in zip(tasks, values, strict=True) if v is not None and name != _COMPARED]
            cells = [f"{100 * value:.1f}" if value is not None else "" for value in values]
            mean = f"{100 * sum(known) / len(known):.1f}" if known else ""
            rows.append(GridRow((f"{label(result)}, k = {k}", *cells, mean)))
    note = f"0 is guessing, 100 is perfect; a mean over parts, not over examples. The last mean leaves {_COMPARED} out."
    return Grid("Normalised average", ("Model", *tasks, "mean"), tuple(rows), note) if tasks else None


def _norm(task: Json, k: str) -> float | None:
    value = task.get("k", {}).get(k, {}).get("normalised")
    return None if value is None else float(value)


def _by_k(name: str, results: Sequence[Json]) -> Grid:
    rows = [
        GridRow(
            ("Toolformer (quoted)", str(at), *("–" if figure is None else f"{figure:.1f}" for figure in figures), ""),
            True,
        )
        for at, figures in BY_K.get(name, {}).items()
    ]
    for result in results:
        for k, counted in result["tasks"].get(name, {}).get("k", {}).items():
            kinds = ("accuracy", "accuracy_with_call", "accuracy_without_call", "called")
            tools = ", ".join(f"{tool} {100 * part:.1f}" for tool, part in counted["called_by_tool"].items())
            failed = f"{counted['undone_calls']} undone" if counted["undone_calls"] else ""
            cut = f"{counted['prompts_cut']} prompts cut" if counted["prompts_cut"] else ""
            cells = (percent(counted[kind]) for kind in kinds)
            rows.append(GridRow((label(result), k, *cells, "; ".join(filter(None, (tools, failed, cut))))))
            if held := counted.get("held"):
                of_these = (percent(held[kind]) for kind in kinds)
                rows.append(GridRow((f"of which the index holds: {held['examples']:,}", k, *of_these, "")))
    title = f"{'Table 9: ' if name in BY_K else ''}{name} by k"
    note = (
        "Accuracy over all, of examples with a call, without one; how many had one, by which tool, in percent. A "
        "prompt is cut at its front where the context is too short for it."
    )
    return Grid(title, ("Model", "k", "All", "With call", "Without", "Called", "Tools, failures"), tuple(rows), note)


def _by_popularity(results: Sequence[Json]) -> Iterator[Grid]:
    """Of PopQA: whether a model calls where it is likely to know nothing."""
    rows = []
    for result in results:
        for k, counted in result["tasks"].get("popqa", {}).get("k", {}).items():
            groups = [counted["groups"].get(name) for name in QUARTERS]
            cells = (f"{100 * one['accuracy']:.1f}, {100 * one['called']:.1f}" if one else "–" for one in groups)
            rows.append(GridRow((label(result), k, *cells)))
    if rows:
        note = "Accuracy, and how many had a call, in percent; the first quarter holds the least popular subjects."
        yield Grid("popqa by popularity", ("Model", "k", "1 of 4", "2 of 4", "3 of 4", "4 of 4"), tuple(rows), note)


def _decisions(results: Sequence[Json]) -> Iterator[Grid]:
    rows = []
    for result in results:
        for name, task in result["tasks"].items():
            for k, made in task.get("decisions", {}).items():
                if k == "calibration":
                    continue
                oracle = made.get("oracle", {})
                cells = (*(str(made["cases"][one]) for one in CASES), *(_number(oracle.get(n)) for n in _ORACLE))
                rows.append(GridRow((label(result), name, k, *cells)))
    if rows:
        note = " ".join(f"{name.capitalize()}: {meaning}." for name, meaning in CASES.items())
        oracle_note = " The oracle calls exactly where a tool mends an answer that is wrong without."
        yield Grid("Decisions", ("Model", "Task", "k", *CASES, *_ORACLE), tuple(rows), note + oracle_note)


def _data(results: Sequence[Json]) -> Grid:
    """How much of each set was asked, and of what. Runs that were given the same have one line."""
    rows: dict[tuple[str, ...], GridRow] = {}
    for result in results:
        for name, task in result["tasks"].items():
            size = Size(**task["size"])
            left_out = "; ".join(f"{count:,}: {reason}" for reason, count in size.left_out.items())
            cells = (name, f"{task['examples']:,}", str(size), left_out)
            rows.setdefault((*cells, task["data"]), GridRow(cells))
    note = "What was asked, how much was read of how much is published, and what of it is not asked, or not by itself."
    return Grid("Data", ("Task", "Asked", "Read", "Not asked"), tuple(rows.values()), note)


_ORACLE = ("mendable", "precision", "recall")


def _number(value: float | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"
