"""LAMA: short statements that lack their last word. Wikipedia search is off: the statements come from there.

A model that writes from left to right can be asked only where the mask ends the statement; others are left out, as in
the paper, which does not say how many remain.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from toolformer.errors import DataError
from toolformer.eval.examples import NO_ANSWER, Example, LeftOut, Splits, golds, splits
from toolformer.eval.sources import field, lines, no_hub, published, strings

PROMPT = "Please complete the following text so that it is factually correct: "
MASK = "[MASK]"
_WITHOUT = ("WikiSearch",)


def squad(data: str | None = None, **_: object) -> Splits:
    """LAMA SQuAD: `lama/Squad/test.jsonl`."""
    path = published(_needed(data), "lama/Squad/test.jsonl")
    return splits(_statements(path), "LAMA SQuAD", 305, "statements")


def google_re(data: str | None = None, **_: object) -> Splits:
    """LAMA Google-RE: `lama/Google_RE/*_test.jsonl`."""
    folder = published(_needed(data), "lama/Google_RE")
    made = (one for path in sorted(folder.glob("*.jsonl")) for one in _statements(path))
    return splits(made, "LAMA Google-RE", 5_527, "facts")


def trex(data: str | None = None, **_: object) -> Splits:
    """LAMA T-REx: the facts in `lama/TREx/*.jsonl`, asked with the templates of `lama/relations.jsonl`."""
    folder = published(_needed(data), "lama/TREx")
    templates = {
        str(field(row, "relation", where)): str(field(row, "template", where))
        for where, row in lines(published(_needed(data), "lama/relations.jsonl"))
    }
    return splits(_facts(folder, templates), "LAMA T-REx", 34_039, "facts")


def _needed(data: str | None) -> str:
    if data is None:
        raise no_hub("LAMA")
    return data


def before_mask(text: str, mask: str = MASK) -> str | LeftOut:
    """What stands before the mask that ends a statement. Nothing but punctuation may follow it."""
    before, found, after = text.partition(mask)
    if not found:
        return LeftOut("it has no mask")
    return before.rstrip() if before.strip() and not re.search(r"\w", after) else LeftOut("its mask is not at its end")


def _statements(path: Path) -> Iterator[Example | LeftOut]:
    """Of a fact with several sentences, the mask may be in the last."""
    for number, (where, row) in enumerate(lines(path)):
        before = before_mask(" ".join(strings(row, "masked_sentences", where)))
        if isinstance(before, LeftOut):
            yield before
            continue
        aliases = strings(row, "obj_aliases", where) if row.get("obj_aliases") else ()
        label = golds(field(row, "obj_label", where))
        if not label:
            yield NO_ANSWER
            continue
        yield Example(
            id=str(row.get("uuid") or row.get("id") or f"{path.stem}-{number}"),
            prompt=PROMPT + before,
            answers=(*label, *golds(*aliases)),
            rule="lama",
            subject=str(row.get("sub_label") or ""),
            group=path.stem,
            without=_WITHOUT,
        )


def _facts(folder: Path, templates: dict[str, str]) -> Iterator[Example | LeftOut]:
    """One question for a subject, with all the objects that are right."""
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem not in templates:
            raise DataError(f"{path} is of a relation that relations.jsonl does not know")
        before = before_mask(templates[path.stem], "[Y]")
        if isinstance(before, LeftOut):
            for _ in lines(path):
                yield before
            continue
        objects: dict[str, tuple[str, dict[str, None]]] = {}
        for where, row in lines(path):
            label = str(field(row, "sub_label", where))
            subject = str(row.get("sub_uri") or label)
            right = golds(field(row, "obj_label", where))
            if not right:
                yield NO_ANSWER
                continue
            if subject in objects:
                yield LeftOut("asked with another object of its subject")
            objects.setdefault(subject, (label, {}))[1].update(dict.fromkeys(right))
        for uri, (label, names) in objects.items():
            yield Example(
                id=f"{path.stem}-{uri}",
                prompt=PROMPT + before.replace("[X]", label),
                answers=tuple(names),
                rule="lama",
                subject=label,
                group=path.stem,
                without=_WITHOUT,
            )
