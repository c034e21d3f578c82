"""PopQA: questions about subjects of every popularity, in four groups of like popularity. The QA tool is off."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from toolformer.errors import DataError
from toolformer.eval.examples import NO_ANSWER, Example, LeftOut, Splits, golds, splits
from toolformer.eval.sources import JsonRow, array, field, no_hub, published
from toolformer.eval.tasks.questions import asked

_FORM = "PopQA's file (a JSON list of objects with 'subj', 'question', 's_pop' and 'possible_answers')"
QUARTERS = tuple(f"popularity {number} of 4" for number in range(1, 5))
"""The groups, from the least popular subjects to the most popular."""


def popqa(data: str | None = None, **_: object) -> Splits:
    """PopQA: `popqa/popqa.json`."""
    if data is None:
        raise no_hub("PopQA")
    return splits(_examples(published(data, "popqa/popqa.json", form=_FORM)), "PopQA", 14_267)


def _examples(path: Path) -> Iterator[Example | LeftOut]:
    rows = list(array(path))
    views = sorted(_views(row, where) for where, row in rows)
    bounds = [views[len(views) * number // 4] for number in range(1, 4)]
    for where, row in rows:
        right = golds(*_answers(row, where))
        if not right:
            yield NO_ANSWER
            continue
        plain = asked(str(field(row, "id", where)), str(field(row, "question", where)), right)
        quarter = QUARTERS[sum(_views(row, where) >= bound for bound in bounds)]
        yield dataclasses.replace(plain, subject=str(field(row, "subj", where)), group=quarter)


def _views(row: JsonRow, where: str) -> int:
    """How often the subject's page is looked at in a month: subjects that are looked at alike are in one group."""
    views = field(row, "s_pop", where)
    if not isinstance(views, int):
        raise DataError(f"{where}: 's_pop' should be a whole number, not {str(views)[:60]!r}")
    return views


def _answers(row: JsonRow, where: str) -> list[str]:
    """The answers are JSON in a string."""
    written = field(row, "possible_answers", where)
    try:
        answers = json.loads(written)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{where}: 'possible_answers' is no JSON: {str(written)[:60]!r}") from error
    if not isinstance(answers, list) or not all(isinstance(one, str) for one in answers):
        raise DataError(f"{where}: 'possible_answers' should be a list of texts, not {str(written)[:60]!r}")
    return answers
