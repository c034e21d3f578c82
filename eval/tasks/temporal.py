"""TempLAMA: statements whose last word changes with the years; asked on July 1 of the year.

Read from the files that its publisher's script writes; there is no copy on the hub.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolformer.errors import DataError
from toolformer.eval.examples import NO_ANSWER, Example, LeftOut, Splits, golds, splits
from toolformer.eval.sources import JsonRow, field, lines, no_hub, published
from toolformer.eval.tasks.lama import PROMPT, before_mask


def templama(data: str | None = None, **_: object) -> Splits:
    """TempLAMA, its test set: `templama/test.json`, an object a line."""
    if data is None:
        raise no_hub("TempLAMA")
    return splits(_statements(published(data, "templama/test.json")), "TempLAMA", 34_963, "queries")


def _statements(path: Path) -> Iterator[Example | LeftOut]:
    for where, row in lines(path):
        before = before_mask(str(field(row, "query", where)), "_X_")
        year, answers = _year(row, where), _names(row, where)  # also of a row that is left out: it may be damaged
        if isinstance(before, LeftOut):
            yield before
        elif not answers:
            yield NO_ANSWER
        else:
            yield Example(
                id=str(field(row, "id", where)),
                prompt=PROMPT + before,
                answers=answers,
                rule="lama",
                group=str(field(row, "relation", where)),
                date=f"{year}-07-01",
            )


def _year(row: JsonRow, where: str) -> str:
    year = str(field(row, "date", where))
    if not re.fullmatch("[0-9]{4}", year) or year == "0000":
        raise DataError(f"{where}: the date should be a year, such as 2010, not {year[:60]!r}")
    return year


def _names(row: JsonRow, where: str) -> tuple[str, ...]:
    """All names that are right: of each answer one or, in the version with aliases, several."""
    given = field(row, "answer", where)
    names: list[str] = []
    for answer in given if isinstance(given, list) else [given]:
        name = answer.get("name") if isinstance(answer, dict) else None
        more: list[Any] = name if isinstance(name, list) else [name]
        if not all(isinstance(one, str) for one in more):
            raise DataError(f"{where}: 'answer' should be a list of objects with a name, not {str(given)[:60]!r}")
        names += more
    return golds(*names)
