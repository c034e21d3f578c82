"""One example of a task: all that asking a model and judging its text takes. Tasks read them, `lm-eval` carries them.

An example's prompt is final: what is shown before a question is in it, so every harness asks the same.
"""

import dataclasses
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


def splits(examples: Iterable[Example], task: str) -> dict[str, Any]:
    """The examples as lm-eval wants them: a dataset by the name of its split. Ids that come twice are told apart."""
    from datasets import Dataset

    seen: Counter[str] = Counter()
    rows = []
    try:
        for example in examples:
            seen[example.id] += 1
            id_ = example.id if seen[example.id] == 1 else f"{example.id}#{seen[example.id]}"
            rows.append(dataclasses.asdict(example) | {"id": id_, "target": next(iter(example.answers), "")})
        made = Dataset.from_list(rows)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{task}: row {len(rows) + 1} is not as its publisher writes it: {error!r}") from error
    if not rows:
        raise DataError(f"{task}: the data holds no example that can be asked")
    return {"test": made}


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
