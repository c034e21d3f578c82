"""TempLAMA: statements whose last word changes with the years; asked on July 1 of the year.

Read from the files that its publisher's script writes; there is no copy on the hub.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolformer.eval.examples import Example, splits
from toolformer.eval.sources import Row, field, lines, no_hub, published
from toolformer.eval.tasks.lama import PROMPT, before_mask


def templama(data: str | None = None, **_: object) -> dict[str, Any]:
    """TempLAMA, its test set: `templama/test.json`, an object a line."""
    if data is None:
        raise no_hub("TempLAMA")
    return splits(_statements(published(data, "templama/test.json", "templama/templama_test.json")), "TempLAMA")


def _statements(path: Path) -> Iterator[Example]:
    for row in lines(path):
        before = before_mask(field(row, "query", path), "_X_")
        if before is not None:
            year = int(field(row, "date", path))
            yield Example(
                id=str(field(row, "id", path)),
                prompt=PROMPT + before,
                answers=tuple(name for answer in field(row, "answer", path) for name in _names(answer)),
                rule="lama",
                group=str(row.get("relation", "")),
                date=f"{year:04}-07-01",
            )


def _names(answer: Row) -> list[str]:
    """An answer has one name, or in some versions several."""
    name = answer["name"]
    return list(map(str, name)) if isinstance(name, list) else [str(name)]
