"""Makes `knowledge.jsonl`, what the built-in model is told about the world, from the tables in `facts/`.

    python -m recipes.builtin.knowledge     writes knowledge.jsonl again, byte for byte, and counts its facts

`facts/*.tsv` are what we wrote down; `facts/relations.toml` says which columns make a fact, how it is asked and how it
is told. Half of each relation is held out by a hash: adding a row moves at most one other fact to the other half.
Nothing here looks anything up: a wrong cell is a wrong fact.
"""

import argparse
import csv
import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from recipes.builtin import PACKAGE
from toolformer.builtin.knowledge import FILE, Fact
from toolformer.errors import DataError

SENTENCES = 3
_FACTS = Path(__file__).parent / "facts"


@dataclass(frozen=True)
class Relation:
    """How the facts of one table column are asked and told; `{s}` is the subject and `{a}` the answer."""

    name: str
    table: str
    subject: str
    answer: str
    ask: tuple[str, ...]
    say: tuple[str, ...]


def build() -> list[Fact]:
    """Every fact, made from the tables: relations in the order of relations.toml, rows in the order of their table."""
    facts: list[Fact] = []
    for relation in _relations():
        pairs = list(_pairs(relation))
        held = held_half(relation.name, [subject for subject, _ in pairs])
        facts += [_fact(relation, subject, answer, subject in held) for subject, answer in pairs]
    return facts


def to_jsonl(facts: list[Fact]) -> str:
    """The text of knowledge.jsonl: one fact a line."""
    return "".join(json.dumps(asdict(fact), ensure_ascii=False) + "\n" for fact in facts)


def held_half(relation: str, subjects: list[str]) -> set[str]:
    """The subjects of a relation that training never sees: the lower half by hash, rounded down."""
    by_hash = sorted(subjects, key=lambda subject: _digest(relation, subject))
    return set(by_hash[: len(subjects) // 2])


def tells(sentence: str, subject: str, answer: str) -> bool:
    """Whether a reader from left to right meets the subject, and then the answer, once."""
    start = sentence.find(subject)
    return start >= 0 and sentence.count(answer) == 1 and sentence.index(answer) >= start + len(subject)


def _relations() -> Iterator[Relation]:
    tables = tomllib.loads((_FACTS / "relations.toml").read_text(encoding="utf-8"))
    for name, spec in tables.items():
        yield Relation(name, spec["table"], spec["subject"], spec["answer"], tuple(spec["ask"]), tuple(spec["say"]))


def _pairs(relation: Relation) -> Iterator[tuple[str, str]]:
    """Subject and answer of each row that has both."""
    text = (_FACTS / f"{relation.table}.tsv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        subject, answer = row[relation.subject], row[relation.answer]
        if subject and answer:
            yield subject, answer


def _fact(relation: Relation, subject: str, answer: str, held: bool) -> Fact:
    def shuffled(templates: tuple[str, ...]) -> list[str]:
        order = sorted(templates, key=lambda template: _digest(relation.name, subject, template))
        return [template.format(s=subject, a=answer) for template in order]

    sentences = [sentence for sentence in shuffled(relation.say) if tells(sentence, subject, answer)]
    if len(sentences) < SENTENCES:
        raise DataError(
            f"facts/relations.toml: {relation.name} has {len(sentences)} tellings that fit {subject!r} -> {answer!r}; "
            f"{SENTENCES} are needed: write another, or drop the row."
        )
    questions = tuple(shuffled(relation.ask))
    return Fact(
        id=f"{relation.name}/{subject}",
        relation=relation.name,
        subject=subject,
        answer=answer,
        question=questions[0],
        questions=questions,
        sentences=tuple(sentences[:SENTENCES]),
        split="held" if held else "train",
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def main() -> None:
    """Write knowledge.jsonl into the package and print how many facts each relation has."""
    argparse.ArgumentParser(description="Makes the built-in model's facts.").parse_args()
    facts = build()
    (PACKAGE / FILE).write_text(to_jsonl(facts), encoding="utf-8", newline="\n")
    for name, count in Counter(fact.relation for fact in facts).most_common():
        print(f"{count:5} {name}")
    print(f"{len(facts):5} facts, {sum(fact.split == 'held' for fact in facts)} of them held out")


if __name__ == "__main__":
    main()
