"""LAMA: short statements that lack their last word. Wikipedia search is off: the statements come from there.

A model that writes from left to right can be asked only where the mask ends the statement; others are left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolformer.errors import DataError
from toolformer.eval.examples import Example, splits
from toolformer.eval.sources import field, lines, no_hub, published

PROMPT = "Please complete the following text so that it is factually correct: "
MASK = "[MASK]"
_WITHOUT = ("WikiSearch",)


def squad(data: str | None = None, **_: object) -> dict[str, Any]:
    """LAMA SQuAD: `lama/Squad/test.jsonl`."""
    path = published(_needed(data), "lama/Squad/test.jsonl")
    return splits(_statements(path), "LAMA SQuAD")


def google_re(data: str | None = None, **_: object) -> dict[str, Any]:
    """LAMA Google-RE: `lama/Google_RE/*_test.jsonl`."""
    folder = published(_needed(data), "lama/Google_RE")
    return splits((one for path in sorted(folder.glob("*.jsonl")) for one in _statements(path)), "LAMA Google-RE")


def trex(data: str | None = None, **_: object) -> dict[str, Any]:
    """LAMA T-REx: the facts in `lama/TREx/*.jsonl`, asked with the templates of `lama/relations.jsonl`."""
    folder = published(_needed(data), "lama/TREx")
    templates = {
        field(row, "relation", folder): field(row, "template", folder)
        for row in lines(published(_needed(data), "lama/relations.jsonl"))
    }
    return splits(_facts(folder, templates), "LAMA T-REx")


def _needed(data: str | None) -> str:
    if data is None:
        raise no_hub("LAMA")
    return data


def before_mask(text: str, mask: str = MASK) -> str | None:
    """What stands before the mask that ends a statement; None where something but punctuation follows it."""
    before, found, after = text.partition(mask)
    return before.rstrip() if found and before.strip() and not re.search(r"\w", after) else None


def _statements(path: Path) -> Iterator[Example]:
    """Of a fact with several sentences, the mask may be in the last."""
    for number, row in enumerate(lines(path)):
        before = before_mask(" ".join(field(row, "masked_sentences", path)))
        if before is not None:
            yield Example(
                id=str(row.get("uuid") or row.get("id") or f"{path.stem}-{number}"),
                prompt=PROMPT + before,
                answers=(str(field(row, "obj_label", path)), *map(str, row.get("obj_aliases") or ())),
                rule="lama",
                group=path.stem,
                without=_WITHOUT,
            )


def _facts(folder: Path, templates: dict[str, str]) -> Iterator[Example]:
    """One question for a subject, with all the objects that are right."""
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem not in templates:
            raise DataError(f"{path} is of a relation that relations.jsonl does not know")
        before = before_mask(templates[path.stem], "[Y]")
        if before is None:
            continue
        objects: dict[str, tuple[str, dict[str, None]]] = {}
        for row in lines(path):
            label = str(field(row, "sub_label", path))
            known = objects.setdefault(str(row.get("sub_uri") or label), (label, {}))
            known[1][str(field(row, "obj_label", path))] = None
        for uri, (subject, right) in objects.items():
            yield Example(
                id=f"{path.stem}-{uri}",
                prompt=PROMPT + before.replace("[X]", subject),
                answers=tuple(right),
                rule="lama",
                group=path.stem,
                without=_WITHOUT,
            )
