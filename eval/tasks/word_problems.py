"""Math word problems: ASDiv, SVAMP, MAWPS, GSM8K. The answer is the first number, or the first behind an "="."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from toolformer.errors import DataError
from toolformer.eval import sources
from toolformer.eval.examples import Example, splits
from toolformer.eval.sources import array, field, hub, lines, published


def asdiv(data: str | None = None, **_: object) -> dict[str, Any]:
    """ASDiv: `asdiv/ASDiv.xml`, or the hub's EleutherAI/asdiv."""
    if data is not None:
        return splits(_xml(published(data, "asdiv/ASDiv.xml")), "ASDiv")
    rows = hub("EleutherAI/asdiv", None, "validation")
    return splits(
        (_problem(str(n), f"{row['body']} {row['question']}", row["answer"]) for n, row in enumerate(rows)), "ASDiv"
    )


def svamp(data: str | None = None, **_: object) -> dict[str, Any]:
    """SVAMP, all of it: `svamp/SVAMP.json`, or the hub's ChilleD/SVAMP."""
    rows: Iterable[dict[str, Any]]
    rows = hub("ChilleD/SVAMP", None, "train", "test") if data is None else array(published(data, "svamp/SVAMP.json"))
    return splits((_svamp(row) for row in rows), "SVAMP")


def mawps(data: str | None = None, **_: object) -> dict[str, Any]:
    """MAWPS, its test set: `mawps/testset.json`, or the hub's mwpt5/MAWPS."""
    if data is not None:
        rows = array(published(data, "mawps/testset.json"))
        made = (_problem(str(field(row, "id", "MAWPS")), _joined(row["original_text"]), row["ans"]) for row in rows)
        return splits(made, "MAWPS")
    found = enumerate(hub("mwpt5/MAWPS", None, "test"))
    return splits((_problem(str(n), _filled(row), row["Answer"]) for n, row in found), "MAWPS")


def gsm8k(data: str | None = None, **_: object) -> dict[str, Any]:
    """GSM8K, its test set: `gsm8k/test.jsonl`, or the hub's openai/gsm8k."""
    rows = hub("openai/gsm8k", "main", "test") if data is None else lines(published(data, "gsm8k/test.jsonl"))
    return splits((_gsm8k(n, row) for n, row in enumerate(rows)), "GSM8K")


def _problem(id_: str, text: str, answer: object) -> Example:
    return Example(id=id_, prompt=f"{' '.join(text.split())} The answer is", answers=(str(answer),), rule="number")


def _xml(path: Path) -> list[Example]:
    # A document that declares entities could expand without end: the publisher's declares none.
    text = sources.text(path)
    try:
        if "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):
            raise DataError(f"{path} declares entities, which ASDiv's own file does not: it is not read")
        problems = ElementTree.fromstring(text.encode()).iter("Problem")  # noqa: S314 - see above
        return [
            _problem(
                one.get("ID") or "", f"{one.findtext('Body')} {one.findtext('Question')}", one.findtext("Answer") or ""
            )
            for one in problems
        ]
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is no XML: {error}") from error


def _svamp(row: dict[str, Any]) -> Example:
    body = str(field(row, "Body", "SVAMP")).rstrip()
    joint = "" if body.endswith((".", "!", "?", ",")) else ","
    return _problem(str(field(row, "ID", "SVAMP")), f"{body}{joint} {row['Question']}", row["Answer"])


def _joined(text: str) -> str:
    """MAWPS comes in tokens: punctuation is put back to its word."""
    text = re.sub(r" ([).,?!;:%])", r"\1", text)
    return re.sub(r"([($]) ", r"\1", re.sub(r" ('s|n't|'[a-z]{1,2})\b", r"\1", text))


def _filled(row: dict[str, Any]) -> str:
    """The hub's copy keeps numbers apart: N_00 is the first of them."""
    given = str(row["Numbers"]).split()
    text = re.sub(r"N_(\d\d)", lambda m: _plain(given[int(m[1])]) if int(m[1]) < len(given) else m[0], row["Question"])
    return _joined(text)


def _plain(number: str) -> str:
    return number.removesuffix(".0")


def _gsm8k(number: int, row: dict[str, Any]) -> Example:
    answer = str(field(row, "answer", "GSM8K")).rpartition("####")[2].strip().replace(",", "")
    return _problem(str(number), row["question"], answer)
