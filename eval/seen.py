"""Has the model seen the question? Examples that share thirteen words in a row with a text that it learnt from."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from toolformer.eval.examples import Example
from toolformer.whole_file import whole_file

WORDS = 13
"""As those of GPT-3 count it: fewer words in a row are said alike by chance."""
FILE = "seen.json"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Seen:
    """Of one task."""

    examples: int
    short: int
    """Examples of fewer words, which are not checked."""
    seen: Sequence[str]
    """Ids of those that share so many words with a text."""


def find_seen(tasks: Mapping[str, Sequence[Example]], texts: Iterable[str]) -> dict[str, Seen]:
    """Look for the examples of tasks in texts, which are read once, one at a time."""
    asked: dict[int, set[tuple[str, str]]] = defaultdict(set)
    short = dict.fromkeys(tasks, 0)
    for name, examples in tasks.items():
        for example in examples:
            runs = {*_runs(example.prompt)}
            short[name] += not runs
            for run in runs:
                asked[run].add((name, example.id))
    found: set[tuple[str, str]] = set()
    for text in texts:
        for run in _runs(text):
            found |= asked.get(run, set())
    return {
        name: Seen(len(examples), short[name], [one.id for one in examples if (name, one.id) in found])
        for name, examples in tasks.items()
    }


def write_seen(out: Path, corpus: str, found: Mapping[str, Seen]) -> None:
    """Keep it beside the results."""
    content = {"corpus": corpus, "words": WORDS, "tasks": {name: asdict(one) for name, one in found.items()}}
    with whole_file(out / FILE) as file:
        file.write(json.dumps(content, indent=1).encode() + b"\n")


def said(found: Mapping[str, Seen]) -> str:
    """In one line."""
    parts = [f"{name} {len(one.seen)} of {one.examples}" for name, one in found.items()]
    short = sum(one.short for one in found.values())
    rest = f"; {short} have fewer than {WORDS} words and were not checked" if short else ""
    return f"examples that share {WORDS} words in a row with what was learnt: {', '.join(parts)}{rest}"


def _runs(text: str) -> Iterator[int]:
    """Hashes of all runs of so many words, without case and punctuation."""
    words = _WORD.findall(text.casefold())
    for at in range(len(words) - WORDS + 1):
        yield hash(tuple(words[at : at + WORDS]))
