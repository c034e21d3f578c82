"""Open questions: WebQuestions, Natural Questions, TriviaQA. The QA tool is off: it would answer for the model."""

import ast
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from toolformer.errors import DataError
from toolformer.eval.examples import Example, splits
from toolformer.eval.sources import array, field, hub, lines, published

_LONGEST = 1_000_000
"""Characters of one line of TriviaQA: the longest real one has a hundredth of that."""


def webquestions(data: str | None = None, **_: object) -> dict[str, Any]:
    """WebQuestions: `webquestions/test.json`, or the hub's stanfordnlp/web_questions."""
    if data is None:
        rows: Iterable[dict[str, Any]] = hub("stanfordnlp/web_questions", None, "test")
        made = (asked(str(n), row["question"], row["answers"]) for n, row in enumerate(rows))
    else:
        rows = array(published(data, "webquestions/test.json"))
        made = (asked(str(field(row, "qId", "WebQuestions")), row["qText"], row["answers"]) for row in rows)
    return splits(made, "WebQuestions")


def natural_questions(data: str | None = None, **_: object) -> dict[str, Any]:
    """NQ-open: `nq_open/NQ-open.dev.jsonl`, or the hub's google-research-datasets/nq_open."""
    rows = (
        hub("google-research-datasets/nq_open", None, "validation")
        if data is None
        else lines(published(data, "nq_open/NQ-open.dev.jsonl"))
    )
    made = (asked(str(n), field(row, "question", "NQ-open"), row["answer"]) for n, row in enumerate(rows))
    return splits(made, "NQ-open")


def triviaqa(data: str | None = None, **_: object) -> dict[str, Any]:
    """TriviaQA: `triviaqa/*.dev.txt`, questions and answers behind a tab, or the hub's mandarjoshi/trivia_qa."""
    if data is None:
        rows = hub("mandarjoshi/trivia_qa", "rc.nocontext", "validation")
        made = (asked(row["question_id"], row["question"], _aliases(row["answer"])) for row in rows)
        return splits(made, "TriviaQA")
    folder = published(data, "triviaqa")
    files = sorted(folder.glob("*dev*")) or sorted(folder.glob("*"))
    return splits((one for path in files[:1] for one in _tabbed(path)), "TriviaQA")


def asked(id_: str, question: str, answers: Iterable[str]) -> Example:
    """A question in the paper's words."""
    question = " ".join(question.split())
    mark = "" if question.endswith("?") else "?"
    return Example(
        id=id_,
        prompt=f"Answer the following question: {question}{mark}",
        answers=tuple(map(str, answers)),
        rule="qa",
        without=("QA",),
    )


def _aliases(answer: dict[str, Any]) -> list[str]:
    return [answer["value"], *answer["aliases"]]


def _tabbed(path: Path) -> Iterator[Example]:
    """The answers are written as a Python list of strings; it is read as data, and nothing else is accepted."""
    csv.field_size_limit(_LONGEST)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file, delimiter="\t"), 1):
                if len(row) != 2:
                    raise DataError(f"{path}, row {number}: {len(row)} columns instead of question and answers")
                yield asked(f"{path.stem}-{number}", _unquoted(row[0]), _strings(row[1], f"{path}, row {number}"))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not what TriviaQA's file should be: {error}") from error


def _unquoted(question: str) -> str:
    """Some questions were quoted twice."""
    if len(question) > 1 and question[0] == question[-1] == '"' and '""' in question:
        return question[1:-1].replace('""', '"')
    return question


def _strings(text: str, where: str) -> list[str]:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise DataError(f"{where}: the answers are no list of strings: {text[:60]!r}") from error
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise DataError(f"{where}: the answers are no list of strings: {text[:60]!r}")
    return value
