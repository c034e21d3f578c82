"""What a report shows of need: its tables, its plots, and the examples of each kind."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from toolformer.eval import plots
from toolformer.eval.grid import Grid, GridRow, label
from toolformer.eval.need import KINDS, kind
from toolformer.eval.outcomes import FORCED, Outcome, path_disabled, read_outcomes
from toolformer.eval.shown import escaped, example, short

Json = dict[str, Any]
Pair = tuple[Outcome, Outcome]
"""An example with calls disabled, and with a call forced."""
LISTED = 10
"""Examples of each kind of each task."""


def need_grids(results: Sequence[Json]) -> list[Grid]:
    """The kinds, how well the opening tells them apart, and the calls at each k."""
    tasks = [(label(one), name, task) for one in results for name, task in one["tasks"].items()]
    asked = [(model, name, task["need"]) for model, name, task in tasks if "need" in task]
    if not asked:
        return []
    kinds, told = (tuple(row(*one) for one in asked) for row in (_kinds, _told))
    real = tuple(row for one in asked for row in _real(*one))
    return [
        Grid("Need", ("Model", "Task", *KINDS, "no call made"), kinds, _KINDS_NOTE),
        Grid("Need, told by the opening", ("Model", "Task", *_TOLD), told, _TOLD_NOTE),
        Grid("Need and calls", ("Model", "Task", "k", *_REAL), real, _REAL_NOTE),
    ]


_KINDS_NOTE = (
    " ".join(f"{name.capitalize()}: {meaning}." for name, meaning in KINDS.items())
    + " With a call: forced where its opening was likeliest. Where the tool gave nothing, no call was made."
)
_TOLD = ("AUROC, probability", "AUROC, rank", "calibration error", "risk, probability", "risk, rank")
_TOLD_NOTE = (
    "How well the opening's probability and its rank tell the examples that need a call from the others. Risk is the "
    "share of calls that are not needed, on average over all shares of examples with a call, the highest scores first."
)
_REAL = ("called", "precision", "recall", "F1", "gained per call", "calls saved, probability", "calls saved, rank")
_REAL_NOTE = (
    "The model's own calls against those needed. Gained per call: right answers more than with calls disabled, by "
    "examples with a call. Saved: how many calls less reach the same accuracy, if the highest scores get one."
)


def _kinds(model: str, task: str, found: Json) -> GridRow:
    return GridRow((model, task, *(f"{found['kinds'][name]:,}" for name in KINDS), f"{found['no_call']:,}"))


def _told(model: str, task: str, found: Json) -> GridRow:
    by_probability, by_rank = found["told_by"]["probability"], found["told_by"]["rank"]
    figures = (by_probability["auroc"], by_rank["auroc"], found["calibration"]["error"])
    return GridRow((model, task, *map(_number, (*figures, by_probability["risk"], by_rank["risk"]))))


def _real(model: str, task: str, found: Json) -> Iterator[GridRow]:
    for k, made in found["k"].items():
        figures = (made[name] for name in ("precision", "recall", "f1", "gained_per_call"))
        saved = ("–" if made["saved"][name] is None else f"{made['saved'][name]:,}" for name in ("probability", "rank"))
        yield GridRow((model, task, k, f"{made['called']:,}", *map(_number, figures), *saved))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def need_plots(title: str, found: Json) -> Iterator[tuple[str, str]]:
    """The reliability of the opening's probability, and accuracy over the share of calls, with titles."""
    if bins := found["calibration"]["bins"]:
        yield f"{title}: needed", plots.reliability(title, bins)
    yield f"{title}: accuracy", plots.over_calls(title, found)


def need_lists(out: Path) -> str:
    """Some examples of each kind, as HTML."""
    disabled: dict[str, list[Outcome]] = defaultdict(list)
    forced: dict[str, list[Outcome]] = defaultdict(list)
    for path in sorted((out / FORCED).glob("*.jsonl")):
        task, _, _ = path.stem.rpartition("-")
        forced[task] += read_outcomes(path)[1]
        disabled[task] += read_outcomes(path_disabled(path))[1]
    pairs = {task: [*zip(disabled[task], forced[task], strict=True)] for task in sorted(forced)}
    return "".join(part for task, both in pairs.items() for part in _lists(task, both))


def _lists(task: str, pairs: Sequence[Pair]) -> Iterator[str]:
    sorted_: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        sorted_[kind(*pair)].append(pair)
    for name, meaning in KINDS.items():
        if found := sorted_[name]:
            title = f"{task}, {name}: {len(found):,} ({meaning})"
            shown = "".join(_both(*pair) for pair in found[:LISTED])
            yield f"<details><summary>{escaped(title)}</summary>{shown}</details>"


def _both(plain: Outcome, risen: Outcome) -> str:
    return example(risen, f"without a call: {short(plain.text.strip() or 'nothing')}")
