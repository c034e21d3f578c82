"""How many of the held-out questions a reader answers word for word, beside a rule.

    python -m recipes.reader.score OUT/held.jsonl READER
    python -m recipes.reader.score OUT/held.jsonl READER --index INDEX --limit 40

With an index, the passages are those that QA finds in it, and only the question is given.
"""

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from toolformer.errors import ToolError
from toolformer.expert import Expert, checked
from toolformer.hf import load
from toolformer.tools.expert_reader import UNKNOWN, ExpertReader
from toolformer.tools.qa import QA
from toolformer.tools.search_index import SearchIndex

T = TypeVar("T")
Json = dict[str, str]
_SENTENCE = re.compile(r"(?<=[^\W_]{2}[.!?])\s+")
_WORD = re.compile(r"\w+")
_FINDS = (
    (re.compile(r"On what date|When was .* born"), re.compile(r"[A-Z][a-z]+ \d{1,2}, \d{4}|\d{1,2} [A-Z][a-z]+ \d{4}")),
    (re.compile(r" die\?| pass away"), re.compile(r"(?<=[–-]).*?\b(\d{4})\)")),
    (re.compile(r"year|When|established|come out"), re.compile(r"\b\d{4}\b")),
    (re.compile(r"population|How many"), re.compile(r"\d[\d,]*\d")),
    (re.compile(r"nationality"), re.compile(r"\b(?:is|was) an? ([A-Z]\w+)")),
    (re.compile(r"occupation|for a living"), re.compile(r"\b(?:is|was) an? [A-Z]\w+ ([a-z]+)")),
    (re.compile(""), re.compile(r"[A-Z][\w'-]+(?: [A-Z][\w'-]+)*")),
)
"""What is asked for, by the words of the question, and what such a thing looks like."""


def main() -> None:
    """Ask and count."""
    parser = argparse.ArgumentParser(description="How good a reader is.")
    parser.add_argument("held", type=Path, help="the questions")
    parser.add_argument("reader", help="the folder of the expert")
    parser.add_argument("--model", default="smollm2", help="its base model")
    parser.add_argument("--index", type=Path, help="find the passages here")
    parser.add_argument("--limit", type=int, help="only so many questions of each kind")
    arguments = parser.parse_args()
    by_kind: defaultdict[str, list[Json]] = defaultdict(list)
    for line in arguments.held.read_text("utf-8").splitlines():
        row = json.loads(line)
        by_kind[row["kind"]].append(row)
    asked = [row for rows in by_kind.values() for row in rows[: arguments.limit]]
    expert = Expert("Reader", arguments.reader).with_model(load(arguments.model))
    if arguments.index:
        qa = QA(SearchIndex.open(arguments.index), ExpertReader(expert))
        table("QA over the index", asked, [_or_nothing(qa, row["input"].rpartition("Question: ")[2]) for row in asked])
        return
    table("the reader", asked, read(expert, asked))
    table("the rule", asked, [rule(row["input"]) for row in asked])


def table(who: str, asked: Sequence[Json], answers: Sequence[str]) -> None:
    """A line for each kind of question."""
    print(who)
    kinds = list(dict.fromkeys(row["kind"] for row in asked))
    for kind in [*kinds, "all"]:
        some = [(row, said) for row, said in zip(asked, answers, strict=True) if kind in (row["kind"], "all")]
        right = sum(_same(said, row["output"]) for row, said in some)
        print(f"  {kind:<8} {right:>3} of {len(some)}")


def read(expert: Expert, asked: Sequence[Json]) -> list[str]:
    """What the expert says; nothing, where it gives no answer."""
    return [_or_nothing(checked, written) for written in expert.written(row["input"] for row in asked)]


def rule(asked: str) -> str:
    """The best that goes without a model: of the sentence with most of the question's words which has such a thing, the
    first name, date or number that the question does not hold itself."""
    passage, _, question = asked.rpartition("\nQuestion: ")
    words = {word.casefold() for word in _WORD.findall(question)}
    sentences = _SENTENCE.split(passage.partition(": ")[2])
    sentences.sort(key=lambda one: -len(words & {word.casefold() for word in _WORD.findall(one)}))
    look = next(pattern for when, pattern in _FINDS if when.search(question))
    found = (str(one) for sentence in sentences for one in look.findall(sentence))
    return next((one for one in found if one not in question), UNKNOWN)


def _or_nothing(answer: Callable[[T], str], asked: T) -> str:
    try:
        return answer(asked)
    except ToolError:
        return UNKNOWN


def _same(said: str, right: str) -> bool:
    return said.casefold().strip(" .") == right.casefold()


if __name__ == "__main__":
    main()
