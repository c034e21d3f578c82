"""More math word problems: with large numbers, and older sets. Each is read from its publisher's file alone.

The YAML file of a task names the file, under the data folder, and how many problems its publisher counts.
"""

from pathlib import Path

from toolformer.errors import DataError
from toolformer.eval.examples import NO_ANSWER, Example, LeftOut, Splits, golds, splits
from toolformer.eval.sources import JsonRow, array, field, lines, no_hub, published
from toolformer.eval.tasks.word_problems import problem

_LISTED = "a JSON list of objects with 'question' and 'answer'"
_SOLVED = "a JSON list of objects with 'sQuestion' and 'lSolutions'"
_TARGETED = "an object with 'input' and 'target' a line"
_ENHANCED = "an object with 'question', 'enhanced_v' and 'enhanced_result' a line"


def listed(title: str, file: str, size: int | None = None, data: str | None = None, **_: object) -> Splits:
    """SVAMP-XL, MAWPS-XL and ASDiv-XL (Alazraki and Rei), FuncQA (Hao et al.): a question and its answer."""
    rows = enumerate(array(_file(title, file, data, _LISTED)))
    made = (problem(str(n), field(row, "question", where), field(row, "answer", where)) for n, (where, row) in rows)
    return splits(made, title, size, "problems")


def solved(title: str, file: str, size: int | None = None, data: str | None = None, **_: object) -> Splits:
    """MultiArith, SingleEq and AddSub, as Kojima et al. keep them: a question and its one solution."""
    rows = enumerate(array(_file(title, file, data, _SOLVED)))
    return splits((_solved(n, row, where) for n, (where, row) in rows), title, size, "problems")


def targeted(title: str, file: str, size: int | None = None, data: str | None = None, **_: object) -> Splits:
    """GSM-Hard (Gao et al.): GSM8K's test problems with larger numbers."""
    rows = enumerate(lines(_file(title, file, data, _TARGETED)))
    made = (problem(str(n), field(row, "input", where), field(row, "target", where)) for n, (where, row) in rows)
    return splits(made, title, size, "problems")


def enhanced(title: str, file: str, size: int | None = None, data: str | None = None, **_: object) -> Splits:
    """GSM8K-XL (Hao et al.): questions with places for numbers, and the large numbers that stand there."""
    rows = enumerate(lines(_file(title, file, data, _ENHANCED)))
    return splits((_enhanced(n, row, where) for n, (where, row) in rows), title, size, "problems")


def _file(title: str, file: str, data: str | None, form: str) -> Path:
    if data is None:
        raise no_hub(title)
    return published(data, file, form=f"{title}'s file ({form})")


def _solved(number: int, row: JsonRow, where: str) -> Example | LeftOut:
    solutions = field(row, "lSolutions", where)
    if not isinstance(solutions, list):
        raise DataError(f"{where}: 'lSolutions' should be a list of numbers, not {str(solutions)[:60]!r}")
    right = golds(*solutions)
    return problem(str(number), field(row, "sQuestion", where), right[0]) if right else NO_ANSWER


def _enhanced(number: int, row: JsonRow, where: str) -> Example | LeftOut:
    text = str(field(row, "question", where))
    numbers = field(row, "enhanced_v", where)
    for place, value in enumerate(numbers if isinstance(numbers, list) else [], 1):
        text = text.replace(f"{{v_{place}}}", str(value))
    if "{v_" in text:
        raise DataError(f"{where}: 'enhanced_v' does not fill all places of its question: {str(numbers)[:60]!r}")
    return problem(str(number), text, field(row, "enhanced_result", where))
