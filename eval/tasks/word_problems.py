"""Math word problems: ASDiv, SVAMP, MAWPS, GSM8K. The answer is the first number, or the first behind an "="."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from toolformer.errors import DataError
from toolformer.eval.examples import NO_ANSWER, Example, LeftOut, Splits, golds, splits
from toolformer.eval.sources import JsonRow, array, field, hub, lines, published
from toolformer.text_file import whole

_NO_NUMBERS = {"nan", "null"}
"""What a program writes for an answer that it has not."""


def asdiv(data: str | None = None, **_: object) -> Splits:
    """ASDiv: `asdiv/ASDiv.xml`, or the hub's EleutherAI/asdiv."""
    made = _xml(published(data, "asdiv/ASDiv.xml")) if data is not None else _from_hub()
    return splits(made, "ASDiv", 2_305, "problems")


def svamp(data: str | None = None, **_: object) -> Splits:
    """SVAMP, all of it: `svamp/SVAMP.json`, or the hub's ChilleD/SVAMP."""
    rows = hub("ChilleD/SVAMP", None, "train", "test") if data is None else array(published(data, "svamp/SVAMP.json"))
    return splits((_svamp(row, where) for where, row in rows), "SVAMP", 1_000, "problems")


def mawps(data: str | None = None, **_: object) -> Splits:
    """MAWPS: its test set in MWPToolkit's split, `mawps/testset.json`. The hub's copy has no split."""
    if data is None:
        raise DataError(
            "MAWPS's test set is read from MWPToolkit's files only: name their folder as data, or ask for "
            "mawps_all, which the hub has"
        )
    return splits(_mawps(published(data, "mawps/testset.json")), "MAWPS", 238, "problems of the test set")


def mawps_all(data: str | None = None, **_: object) -> Splits:
    """MAWPS, all of it: every `mawps/*.json`, or the hub's mwpt5/MAWPS."""
    if data is None:
        rows = enumerate(hub("mwpt5/MAWPS", None, "train"))
        made = (problem(str(n), _filled(row, where), field(row, "Answer", where)) for n, (where, row) in rows)
        return splits(made, "MAWPS", 2_373, "problems")
    paths = sorted(published(data, "mawps").glob("*.json"))
    return splits((one for path in paths for one in _mawps(path)), "MAWPS", 2_373, "problems")


def gsm8k(data: str | None = None, **_: object) -> Splits:
    """GSM8K, its test set: `gsm8k/test.jsonl`, or the hub's openai/gsm8k."""
    rows = hub("openai/gsm8k", "main", "test") if data is None else lines(published(data, "gsm8k/test.jsonl"))
    return splits((_gsm8k(n, row, where) for n, (where, row) in enumerate(rows)), "GSM8K", 1_319, "problems")


def problem(id_: str, text: str, answer: object) -> Example | LeftOut:
    """A problem in the paper's words."""
    right = golds(answer)
    if not right or right[0].strip().casefold() in _NO_NUMBERS:
        return NO_ANSWER
    return Example(id=id_, prompt=f"{' '.join(text.split())} The answer is", answers=right, rule="number")


def _from_hub() -> Iterator[Example | LeftOut]:
    for number, (where, row) in enumerate(hub("EleutherAI/asdiv", None, "validation")):
        body, question, answer = (field(row, name, where) for name in ("body", "question", "answer"))
        yield problem(str(number), f"{body} {question}", answer)


def _xml(path: Path) -> Iterator[Example | LeftOut]:
    # A document that declares entities could expand without end: the publisher's declares none.
    text = whole(path)
    if "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):
        raise DataError(f"{path} declares entities, which ASDiv's own file does not: it is not read")
    try:
        problems = list(ElementTree.fromstring(text.encode()).iter("Problem"))  # noqa: S314 - see above
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is no XML: {error}") from error
    for number, one in enumerate(problems, 1):
        row = {child.tag: child.text or "" for child in one}
        where = f"{path}, problem {number}"
        body, question, answer = (field(row, name, where) for name in ("Body", "Question", "Answer"))
        yield problem(one.get("ID") or str(number), f"{body} {question}", answer)


def _svamp(row: JsonRow, where: str) -> Example | LeftOut:
    body = str(field(row, "Body", where)).rstrip()
    joint = "" if body.endswith((".", "!", "?", ",")) else ","
    return problem(str(field(row, "ID", where)), f"{body}{joint} {field(row, 'Question', where)}", row.get("Answer"))


def _mawps(path: Path) -> Iterator[Example | LeftOut]:
    for where, row in array(path):
        text = _joined(str(field(row, "original_text", where)))
        yield problem(str(field(row, "id", where)), text, field(row, "ans", where))


def _joined(text: str) -> str:
    """MAWPS comes in tokens: punctuation is put back to its word."""
    text = re.sub(r" ([).,?!;:%])", r"\1", text)
    return re.sub(r"([($]) ", r"\1", re.sub(r" ('s|n't|'[a-z]{1,2})\b", r"\1", text))


def _filled(row: JsonRow, where: str) -> str:
    """The hub's copy keeps numbers apart: N_00 is the first of them."""
    given = str(field(row, "Numbers", where)).split()
    question = str(field(row, "Question", where))
    text = re.sub(r"N_(\d\d)", lambda m: _plain(given[int(m[1])]) if int(m[1]) < len(given) else m[0], question)
    return _joined(text)


def _plain(number: str) -> str:
    return number.removesuffix(".0")


def _gsm8k(number: int, row: JsonRow, where: str) -> Example | LeftOut:
    _, found, answer = str(field(row, "answer", where)).rpartition("####")
    if not found:
        raise DataError(f"{where}: its answer does not follow ####")
    return problem(str(number), field(row, "question", where), answer.strip().replace(",", ""))
