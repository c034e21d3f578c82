"""The corpus that comes with the built-in model: short documents, and which calls are right for each of them.

Each line holds `id`, `text`, `kind` (sum, fact, date, today, plain), for some a `date` or `url`, and `truth`: the calls
that are right, each with `tool`, `input`, other inputs that are `also` right, `result`, and `start`, the character of
`text` where the answer begins. What a search finds may be worded otherwise than `result` says.

corpus.jsonl is told in wordings that the model was trained on; corpus_held.jsonl in others, with facts, pairs of
numbers and templates that it never met. corpus_plain.jsonl is nothing but plain sentences, from which a finetuning
learns where no call helps.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

Split = Literal["train", "held"]
Kind = Literal["sum", "fact", "date", "today", "plain"]
FILES: dict[Split, str] = {"train": "corpus.jsonl", "held": "corpus_held.jsonl"}
PLAIN_FILE = "corpus_plain.jsonl"


@dataclass(frozen=True)
class TrueCall:
    """A call that is right for its text. The answer, which its result gives away, begins at character `start`."""

    tool: str
    input: str
    result: str
    start: int
    also: tuple[str, ...] = ()
    """Other inputs that are as right."""
    answer: str = ""
    """The words of the text that the result gives away, where they are not the result itself."""

    @property
    def said(self) -> str:
        """What the text says at `start`."""
        return self.answer or self.result


@dataclass(frozen=True)
class Entry:
    """One document, as its line of the file says."""

    id: str
    text: str
    kind: Kind
    truth: tuple[TrueCall, ...]
    date: str | None = None
    url: str | None = None


def load(split: Split) -> list[Entry]:
    """The documents of one split, in the file's order."""
    entries = []
    for line in (files("toolformer.builtin") / FILES[split]).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        calls = tuple(TrueCall(**{**call, "also": tuple(call["also"])}) for call in record.pop("truth"))
        entries.append(Entry(**record, truth=calls))
    return entries
