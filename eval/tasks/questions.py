"""Open questions: WebQuestions, Natural Questions, TriviaQA. The QA tool is off: it would answer for the model."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from toolformer.errors import DataError
from toolformer.eval.examples import NO_ANSWER, Example, LeftOut, Splits, golds, splits
from toolformer.eval.sources import array, field, hub, lines, published, strings, table


def webquestions(data: str | None = None, **_: object) -> Splits:
    """WebQuestions: `webquestions/test.json`, or the hub's stanfordnlp/web_questions."""
    if data is None:
        rows = enumerate(hub("stanfordnlp/web_questions", None, "test"))
        made = (_open(n, field(row, "question", at), strings(row, "answers", at)) for n, (at, row) in rows)
    else:
        given = array(published(data, "webquestions/test.json"))
        made = (_open(field(row, "qId", at), field(row, "qText", at), strings(row, "answers", at)) for at, row in given)
    return splits(made, "WebQuestions", 2_032)


def natural_questions(data: str | None = None, **_: object) -> Splits:
    """NQ-open: `nq_open/NQ-open.dev.jsonl`, or the hub's google-research-datasets/nq_open."""
    rows = (
        hub("google-research-datasets/nq_open", None, "validation")
        if data is None
        else lines(published(data, "nq_open/NQ-open.dev.jsonl"))
    )
    made = (_open(n, field(row, "question", at), strings(row, "answer", at)) for n, (at, row) in enumerate(rows))
    return splits(made, "NQ-open", 3_610)


def triviaqa(data: str | None = None, **_: object) -> Splits:
    """TriviaQA as open-domain QA asks it: DPR's dev set, `triviaqa/*.dev.txt`, answers behind a tab."""
    if data is None:
        raise DataError(
            "TriviaQA's open-domain dev set is read from DPR's file only: name its folder as data, or ask for "
            "triviaqa_rc, which the hub has"
        )
    folder = published(data, "triviaqa")
    files = list(folder.glob("*.dev.txt"))
    if len(files) != 1:
        raise DataError(f"{folder} should hold one file that ends in .dev.txt, not {len(files)}")
    return splits(_tabbed(files[0]), "TriviaQA", 8_837)


def triviaqa_rc(**_: object) -> Splits:
    """The validation set of TriviaQA's reading task, without the texts: other questions; the hub's copy only."""
    rows = hub("mandarjoshi/trivia_qa", "rc.nocontext", "validation")
    made = (_open(row["question_id"], row["question"], _aliases(row["answer"])) for _, row in rows)
    return splits(made, "TriviaQA", 17_944, "questions of the reading task")


def asked(id_: str, question: str, answers: Iterable[str]) -> Example:
    """A question in the paper's words."""
    question = " ".join(question.split())
    mark = "" if question.endswith("?") else "?"
    return Example(
        id=id_,
        prompt=f"Answer the following question: {question}{mark}",
        answers=tuple(map(str, answers)),
        rule="qa",
        question=question,
        without=("QA",),
    )


def _open(id_: object, question: str, answers: Iterable[str]) -> Example | LeftOut:
    right = golds(*answers)
    return asked(str(id_), question, right) if right else NO_ANSWER


def _aliases(answer: dict[str, Any]) -> tuple[str, ...]:
    """The answer with its other names; without it, they name nothing."""
    value = golds(answer["value"])
    return (*value, *golds(*answer["aliases"])) if value else ()


def _tabbed(path: Path) -> Iterator[Example | LeftOut]:
    """The answers are written as a Python list of strings; it is read as data, and nothing else is accepted."""
    for number, (where, row) in enumerate(table(path, "\t"), 1):
        if len(row) != 2:
            raise DataError(f"{where}: {len(row)} columns instead of question and answers")
        yield _open(f"{path.stem}-{number}", _unquoted(row[0]), _strings(row[1], where))


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
