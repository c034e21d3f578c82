"""What a larger k has answered already: where its calls open at this k as well, and no others, the text is the same.

A table over k asks most of its texts once instead of at every k.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolformer.calls import CallSyntax
from toolformer.eval.outcomes import Outcome, read_outcomes


def comparable(task: Any, votes: int) -> bool:
    """Whether two runs of the task say the same: sampled texts are drawn anew at each k."""
    return votes == 1 and not task.config.generation_kwargs.get("do_sample")


def carried(larger: Path, k: int, syntax: CallSyntax) -> list[Outcome | None]:
    """For each example of the larger k's file its outcome, or None where it has to be asked at this k."""
    return [one if same([call.rank for call in one.calls], k, syntax) else None for one in read_outcomes(larger)[1]]


def same(ranks: Sequence[int], k: int, syntax: CallSyntax) -> bool:
    """Whether a text whose calls opened at these ranks, undone ones among them, is this k's text, too.

    A place where no call opened at the larger k opens none here. With k = 0 the opening of calls that are written as
    text is a text like any other; a control token never is.
    """
    return (k > 0 or syntax.control) and all(rank < k for rank in ranks)
