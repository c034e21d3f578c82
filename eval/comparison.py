"""What finetuning cost: two finished runs that were asked the same, compared example by example.

Both are resampled together, so that the interval of a change is that of the same examples asked twice. It is narrower
than two intervals side by side would suggest.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolformer.errors import DataError
from toolformer.eval.call_statistics import RESAMPLES, Share
from toolformer.eval.grid import Grid, GridRow, label, markdown, percent
from toolformer.eval.outcomes import Outcome
from toolformer.eval.results import read_run
from toolformer.whole_file import whole_file

FILES = ("comparison.md", "comparison.json")


@dataclass(frozen=True)
class Change:
    """One task at one k, before and after. Of accuracy, the change is a difference; of perplexity, a share of what it
    was before: 0.1 is a tenth more."""

    task: str
    k: int
    measure: str
    """accuracy, or perplexity by token; by word, where the two runs count different tokens."""
    before: Share
    after: Share
    change: Share
    lost: int = 0
    """Examples that were right before and are wrong after."""
    won: int = 0
    """The other way round."""


def compare(before: Path, after: Path) -> list[Change]:
    """Every task and k that both folders hold. Refuses runs that were asked different things."""
    (headers, found), (headers_after, found_after) = read_run(before), read_run(after)
    changes = []
    for name in sorted(found.keys() & found_after.keys()):
        for what in ("data", "examples", "vote", "seed"):
            if (one := headers[name][what]) != (other := headers_after[name][what]):
                raise DataError(
                    f"{before} and {after} were not asked the same: of {name}, {what} is {one} and {other}. Measure "
                    "both models again, with the same settings"
                )
        seed, ks = int(headers[name]["seed"]), sorted(found[name].keys() & found_after[name].keys())
        changes += [_change(name, k, found[name][k], found_after[name][k], seed) for k in ks]
    if not changes:
        raise DataError(f"{before} and {after} have no task in common: measure both with the same tasks")
    return changes


def write_comparison(before: Path, after: Path, out: Path) -> tuple[Path, Path]:
    """Write the comparison into a folder, for people and for programs."""
    changes = compare(before, after)
    table, rows = (out / name for name in FILES)
    names = [label(next(iter(read_run(folder)[0].values()))) for folder in (before, after)]
    with whole_file(table) as file:
        file.write(markdown([grid(changes, *names)]).encode("utf-8", "replace"))
    with whole_file(rows) as file:
        told = {"before": names[0], "after": names[1], "changes": [_json(one) for one in changes]}
        file.write(json.dumps(told, indent=1, allow_nan=False).encode() + b"\n")
    return table, rows


def grid(changes: Sequence[Change], before: str, after: str) -> Grid:
    """The table."""
    head = ("Task", "Examples", before, after, "Change", "Lost", "Won")
    note = (
        "Accuracy in percent, and its change in points; perplexity, and its change in percent of what it was. 95% "
        "bootstrap intervals; for a change, both runs are resampled together. Lost: right before and wrong after."
    )
    return Grid("What finetuning cost", head, tuple(map(_row, changes)), note)


def _row(one: Change) -> GridRow:
    name = f"{one.task}, k = {one.k}" if one.k else one.task
    change = one.change
    shown = f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"
    examples = f"{one.before.count:,}"
    if one.measure == "accuracy":
        values = [percent(share.json()) for share in (one.before, one.after)]
        return GridRow((name, examples, *values, shown, str(one.lost), str(one.won)))
    values = [f"{share.value:.4g} ({share.low:.4g}–{share.high:.4g})" for share in (one.before, one.after)]
    return GridRow((f"{name}, {one.measure}", examples, *values, f"{shown} %", "", ""))


def _json(one: Change) -> dict[str, Any]:
    return asdict(one) | {name: getattr(one, name).json() for name in ("before", "after", "change")}


def _change(task: str, k: int, before: Sequence[Outcome], after: Sequence[Outcome], seed: int) -> Change:
    """The same examples in both runs: their headers say so."""
    order = {one.id: place for place, one in enumerate(before)}
    if order.keys() != {one.id for one in after}:
        raise DataError(f"the two runs hold other examples of {task}: measure both models again")
    after = sorted(after, key=lambda one: order[one.id])
    if any(one.size for one in before):
        by_token = [one.tokens for one in before] == [one.tokens for one in after]
        weights = [[one.tokens if by_token else one.words for one in run] for run in (before, after)]
        nats = [[-one.score for one in run] for run in (before, after)]
        measure = f"perplexity by {'token' if by_token else 'word'}"
        return Change(task, k, measure, *_shares(nats, weights, seed, perplexity=True))
    scores = [[one.score for one in run] for run in (before, after)]
    pairs = [(one.right, other.right) for one, other in zip(before, after, strict=True)]
    shares = _shares(scores, [[1] * len(before)] * 2, seed, perplexity=False)
    return Change(task, k, "accuracy", *shares, lost=pairs.count((True, False)), won=pairs.count((False, True)))


def _shares(
    values: Sequence[Sequence[float]], weights: Sequence[Sequence[int]], seed: int, *, perplexity: bool
) -> tuple[Share, Share, Share]:
    """Means of values by weights in two runs, and how they differ, each with the interval of 95% of resamples."""
    import numpy

    data: Any = numpy.asarray(values, dtype=float)
    parts: Any = numpy.asarray(weights, dtype=float)
    draw, count = numpy.random.default_rng(seed), data.shape[1]
    chosen = [numpy.arange(count), *(draw.integers(0, count, count) for _ in range(RESAMPLES))]
    means = numpy.array([data[:, some].sum(1) / numpy.maximum(parts[:, some].sum(1), 1) for some in chosen])
    if perplexity:
        shown = numpy.exp(numpy.minimum(means, 700.0))
        change = numpy.expm1(numpy.clip(means[:, 1] - means[:, 0], -700.0, 700.0))
    else:
        shown, change = means, means[:, 1] - means[:, 0]

    def share(of: Any) -> Share:
        low, high = numpy.percentile(of[1:], [2.5, 97.5])
        return Share(float(of[0]), float(low), float(high), count)

    return share(shown[:, 0]), share(shown[:, 1]), share(change)
