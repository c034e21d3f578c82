"""MMLU, five-shot: 57 subjects, four choices each. Text to text, or by the probabilities of the four letters."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from toolformer.errors import DataError
from toolformer.eval.examples import Example, Splits, splits
from toolformer.eval.sources import field, hub, published, strings, table

LETTERS = "ABCD"
SHOTS = 5


@dataclass(frozen=True)
class Question:
    """A question of a subject; `right` is the number of the choice."""

    subject: str
    text: str
    choices: tuple[str, ...]
    right: int

    def asked(self) -> str:
        """The question and its choices, up to where a letter follows."""
        lines = [self.text.strip(), *(f"{a}. {choice}" for a, choice in zip(LETTERS, self.choices, strict=True))]
        return "\n".join([*lines, "Answer:"])


def mmlu(data: str | None = None, **_: object) -> Splits:
    """`mmlu/dev/*_dev.csv` and `mmlu/test/*_test.csv`, or the hub's cais/mmlu."""
    shown: dict[str, list[Question]] = defaultdict(list)
    for one in _questions(data, "dev"):
        shown[one.subject].append(one)
    return splits(_examples(_questions(data, "test"), shown), "MMLU", 14_042)


def _examples(questions: Iterable[Question], shown: dict[str, list[Question]]) -> Iterator[Example]:
    for number, one in enumerate(questions):
        subject = one.subject.replace("_", " ")
        if len(shown[one.subject]) < SHOTS:
            raise DataError(f"MMLU: {one.subject} has {len(shown[one.subject])} examples to show instead of {SHOTS}")
        shots = [f"{shot.asked()} {LETTERS[shot.right]}" for shot in shown[one.subject][:SHOTS]]
        before = f"The following are multiple choice questions (with answers) about {subject}."
        yield Example(
            id=f"{one.subject}-{number}",
            prompt="\n\n".join([before, *shots, one.asked()]),
            answers=(LETTERS[one.right],),
            rule="letter",
            group=one.subject,
            choices=one.choices,
            chance=1 / len(LETTERS),
        )


def _questions(data: str | None, split: str) -> Iterator[Question]:
    if data is None:
        for where, row in hub("cais/mmlu", "all", split):
            right = field(row, "answer", where)
            if right not in range(len(LETTERS)):
                raise DataError(f"{where}: the right choice should be a number from 0 to 3, not {right!r}")
            yield Question(row["subject"], row["question"], tuple(strings(row, "choices", where)), int(right))
        return
    for path in sorted(published(data, f"mmlu/{split}").glob(f"*_{split}.csv")):
        yield from _file(path, path.stem.removesuffix(f"_{split}"))


def _file(path: Path, subject: str) -> Iterator[Question]:
    """Some copies have a header and number the right choice, the first one has neither and names its letter."""
    for number, (where, row) in enumerate(table(path, ",")):
        if number == 0 and row[:1] == ["question"] and row[-1] == "answer":
            continue
        right = (LETTERS + "0123").find(row[-1]) if len(row) == 6 and len(row[-1]) == 1 else -1
        if right < 0:
            raise DataError(f"{where}: not a question, four choices and the right one's letter")
        yield Question(subject, row[0], tuple(row[1:5]), right % len(LETTERS))
