"""What the built-in model is told about the world: the facts of `knowledge.jsonl`, as questions and as sentences.

QA answers from them and WikiSearch searches them where no other source is named. Half of each relation is held out.
"""

import json
from dataclasses import dataclass
from importlib.resources import files

from toolformer.builtin.corpus import Split

FILE = "knowledge.jsonl"


@dataclass(frozen=True)
class Fact:
    """One true fact, in words. `held` facts are never seen in training, in any wording."""

    id: str
    relation: str
    subject: str
    answer: str
    question: str
    """The question in the wording to use where one is enough."""
    questions: tuple[str, ...]
    """The same question in every wording, `question` among them."""
    sentences: tuple[str, ...]
    """Three tellings. In each the subject comes first and the answer occurs exactly once, after it."""
    split: Split


def load() -> list[Fact]:
    """Every fact, in the file's order."""
    lines = (files("toolformer.builtin") / FILE).read_text(encoding="utf-8").splitlines()
    return [_read(line) for line in lines]


def _read(line: str) -> Fact:
    record = json.loads(line)
    return Fact(**record | {key: tuple(record[key]) for key in ("questions", "sentences")})
