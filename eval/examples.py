"""One example of a task: all that asking a model and judging its text takes. Tasks read them, `lm-eval` carries them.

An example's prompt is final: what is shown before a question is in it, so every harness asks the same.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from toolformer.errors import DataError
from toolformer.eval.answers import judge


@dataclass(frozen=True)
class Example:
    """What is asked, what would be right, and what the paper's protocol says about tools."""

    id: str
    prompt: str
    """For perplexity, the text itself."""
    answers: tuple[str, ...] = ()
    """Any of them is right."""
    rule: str = ""
    """How a text is judged: a name of `answers.RULES`."""
    subject: str = ""
    """Of a fact: what it is about, which may be the title of a passage."""
    question: str = ""
    """Of an open question: its words without the prompt's, to search for."""
    group: str = ""
    """The part of the task that it belongs to: a relation, a subject."""
    choices: tuple[str, ...] = ()
    date: str = ""
    """The day that is today, for tools that know it (YYYY-MM-DD); empty: the clock's."""
    without: tuple[str, ...] = ()
    """Tools that may not be used."""
    chance: float = 0.0
    """How often a guess would be right."""
    words: int = 0
    """For perplexity: how many words the text had before it was put in order."""


@dataclass(frozen=True)
class LeftOut:
    """A row that is not asked, or not by itself, and why."""

    reason: str


NO_ANSWER = LeftOut("it has no answer")


def golds(*values: object) -> tuple[str, ...]:
    """The right answers among the values of a row, as texts: null, NaN and blank texts are none."""
    found = []
    for value in values:
        if isinstance(value, list | dict):
            raise TypeError(f"an answer should be a text or a number, not {str(value)[:60]}")
        if value is None or (isinstance(value, float) and not math.isfinite(value)) or not str(value).strip():
            continue
        found.append(str(value))
    return tuple(found)


@dataclass(frozen=True)
class Size:
    """How much of a set there was to read."""

    read: int
    published: int | None
    """How much there is, by its publisher; None if that is not known here."""
    unit: str
    """What its publisher counts."""
    left_out: dict[str, int]
    """Of what was read: why some are not asked, and how many."""

    @property
    def odd(self) -> bool:
        """Whether this is known to be another number than the publisher's."""
        return self.published not in (None, self.read)

    def __str__(self) -> str:
        if self.published is None:
            return f"{self.read:,} {self.unit}"
        return f"{f'{self.read:,} of' if self.odd else 'all'} {self.published:,} published {self.unit}"


class Splits(dict[str, Any]):
    """The examples as lm-eval wants them, a dataset by the name of its split, and how much was read for them."""

    def __init__(self, test: Any, size: Size) -> None:
        super().__init__(test=test)
        self.size = size


def splits(
    examples: Iterable[Example | LeftOut],
    task: str,
    published: int | None = None,
    unit: str = "questions",
    read: int | None = None,
) -> Splits:
    """The examples of a task, of a set that its publisher says to hold so many units. Ids that come twice are told
    apart. `read` is how many units they were, where a unit is not what is asked."""
    from datasets import Dataset

    seen: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    rows = []
    try:
        for example in examples:
            if isinstance(example, LeftOut):
                left_out[example.reason] += 1
                continue
            seen[example.id] += 1
            id_ = example.id if seen[example.id] == 1 else f"{example.id}#{seen[example.id]}"
            rows.append(dataclasses.asdict(example) | {"id": id_, "target": next(iter(example.answers), "")})
        made = Dataset.from_list(rows)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        number = len(rows) + left_out.total() + 1
        raise DataError(f"{task}: row {number} is not as its publisher writes it: {error!r}") from error
    if not rows:
        raise DataError(f"{task}: the data holds no example that can be asked")
    size = Size(len(rows) + left_out.total() if read is None else read, published, unit, dict(sorted(left_out.items())))
    return Splits(made, size)


def example_of(doc: Mapping[str, Any]) -> Example:
    """An example as it was before lm-eval carried it."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Example):
        value = doc[field.name]
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return Example(**values)


def accuracy(doc: Mapping[str, Any], results: list[str]) -> dict[str, float]:
    """For lm-eval: what one text scores."""
    return {"acc": float(judge(doc["rule"], results[0], doc["answers"], doc["choices"]).right)}


def perplexity(doc: Mapping[str, Any], results: list[Any]) -> dict[str, tuple[float, int]]:
    """For lm-eval: a text's log-likelihood, by words and bytes."""
    (likelihood,) = results
    size = len(doc["prompt"].encode("utf-8", "surrogatepass"))
    return {"word_perplexity": (likelihood, doc["words"]), "byte_perplexity": (likelihood, size)}
