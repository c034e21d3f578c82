"""A table of questions and answers as a reader for QA: no model, no passages, no guess.

A question is answered when it is one of the table's, whatever its case, accents, punctuation and articles. Where
records say their subject and relation, it is also answered in other words, if it names the subject and asks for the
relation in words which the table uses for it: where it has "What is the capital of Peru?" and "Which city is Peru's
capital?", it also answers "Which is the capital city of Peru?", and refuses "Which is the largest city of Peru?".
"""

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from toolformer.errors import ConfigError, DataError, ToolError, ToolNothing
from toolformer.text_file import json_lines
from toolformer.tools.folding import folded
from toolformer.tools.passages import Passage

THRESHOLD = 0.6
"""How much of its words a question must share with one of the table's wordings (Jaccard) to mean the same."""
MAX_WORDS = 64
"""Words in a question at most."""

_WORD = re.compile(r"\w+[+#]*")  # C, C++ and C# are three languages
_ARTICLES = frozenset({"a", "an", "the"})
# Words that carry no meaning of their own in a question whose subject is known. Not "not", and not what ends titles.
_FUNCTION_WORDS = _ARTICLES | set(
    _WORD.findall(
        "are at be been by can could did do does for from had has have in is of on s to was were what will with"
    )
)
_POLITE = frozenset({"can", "could", "do", "know", "me", "please", "tell", "would", "you"})
_SAME = {"which": "what", "whom": "who"}


def normal_words(text: str) -> tuple[str, ...]:
    """The words in lower case, without accents, articles and a polite beginning."""
    words = itertools.dropwhile(_POLITE.__contains__, _WORD.findall(folded(text)))
    return tuple(_SAME.get(word, word) for word in words if word not in _ARTICLES)


@dataclass(frozen=True)
class Record:
    """One thing the table knows."""

    answer: str
    questions: tuple[str, ...]
    subject: str | None = None
    relation: str | None = None


class KnowledgeTable:
    """The records, ready to be asked. A `Reader` that ignores passages."""

    needs_passages = False

    def __init__(self, records: Iterable[Record]) -> None:
        digest = hashlib.sha256()
        self._exact: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self._about: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        self._wordings: dict[str, set[frozenset[str]]] = defaultdict(set)
        for record in records:
            digest.update(repr(record).encode())
            for question in record.questions:
                self._exact[normal_words(question)].add(record.answer)
            if record.subject and record.relation:
                subject = normal_words(record.subject)
                self._about[subject].append(record)
                for question in record.questions:
                    if (rest := _without(normal_words(question), subject)) is not None:
                        self._wordings[record.relation].add(rest)
        self._longest = max(map(len, self._about), default=0)
        self.version = f"table-{digest.hexdigest()[:16]}"

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """A table from JSON lines: "question" or a list "questions", "answer", and maybe "subject" and "relation"."""
        if not Path(path).is_file():
            raise ConfigError(f"there is no table {path}: name a file of JSON lines with a question and an answer each")
        records = []
        for number, row in json_lines(Path(path)):
            try:
                records.append(_record(row))
            except ValueError as error:
                raise DataError(f"{path}:{number}: {error}") from error
        if not records:
            raise DataError(f"{path} holds no record")
        return cls(records)

    def answer(self, question: str, passages: Sequence[Passage] = ()) -> str:  # noqa: ARG002 - it knows without
        """The answer that the table gives; a ToolError if it gives none, or several."""
        asked = normal_words(question)
        if len(asked) > MAX_WORDS:
            raise ToolError(f"no answer is known to a question of {len(asked):,} words")
        records = list(self._named_in(asked))
        answers = self._exact.get(asked) or self._reworded(asked, records)
        if len(answers) == 1:
            return next(iter(answers))
        if answers:
            raise ToolError(f"{question[:100]!r} has several answers here: {', '.join(sorted(answers)[:3])}")
        nearest = max(records, key=lambda record: len(record.subject or ""), default=None)
        known = f"; what is known: {nearest.questions[0]}" if nearest else ""
        raise ToolNothing(f"no answer is known to {question[:100]!r}{known}")

    def _named_in(self, asked: tuple[str, ...]) -> Iterable[Record]:
        """The records whose subject stands in the question."""
        for start in range(len(asked)):
            for end in range(start + 1, min(start + self._longest, len(asked)) + 1):
                yield from self._about.get(asked[start:end], ())

    def _reworded(self, asked: tuple[str, ...], records: Iterable[Record]) -> set[str]:
        """The answers of those records whose relation the question asks for, in words known for it."""
        answers = set()
        for record in records:
            rest = _without(asked, normal_words(record.subject or ""))
            wordings = self._wordings[record.relation or ""]
            # One unknown word is enough to mean something else: "When was the *wife* of Albert Einstein born?"
            if rest and wordings and rest <= frozenset().union(*wordings):
                closest = max(len(rest & wording) / len(rest | wording) for wording in wordings)
                if closest >= THRESHOLD:
                    answers.add(record.answer)
        return answers


def _without(words: tuple[str, ...], subject: tuple[str, ...]) -> frozenset[str] | None:
    """The meaningful words around the subject; None if it does not stand there."""
    for start in range(len(words) - len(subject) + 1):
        if words[start : start + len(subject)] == subject:
            return frozenset(words[:start] + words[start + len(subject) :]) - _FUNCTION_WORDS
    return None


def _record(raw: dict[str, Any]) -> Record:
    questions = raw.get("questions", [raw.get("question")])
    if not isinstance(questions, list) or not questions or not all(isinstance(each, str) for each in questions):
        raise ValueError('a record needs a string "question" or a list "questions"')
    if not isinstance(raw.get("answer"), str) or not raw["answer"].strip():
        raise ValueError('a record needs an "answer" that is text')
    optional = [raw.get(name) for name in ("subject", "relation")]
    if not all(value is None or isinstance(value, str) for value in optional):
        raise ValueError('"subject" and "relation" must be strings')
    return Record(raw["answer"], tuple(questions), *optional)
