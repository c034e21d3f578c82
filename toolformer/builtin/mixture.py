"""What the model is trained on, in which proportions, and how they change as training goes on.

`example(rng, progress, texts)` is one training text. It depends on its arguments alone, so that a run can be resumed
at any step with the same data.
"""

import gzip
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from toolformer.builtin import date_texts, lookups, notes, plain_texts, stories
from toolformer.builtin.annotation import prompt
from toolformer.builtin.date_texts import date_text, today_text
from toolformer.builtin.fact_texts import fact_text, facts
from toolformer.builtin.notes import TEXT, Pieces
from toolformer.builtin.plain_texts import plain_text
from toolformer.builtin.stories import story
from toolformer.builtin.variety import varied
from toolformer.builtin.words import ADJECTIVES, GOODS, NAMES, PLACES, THINGS, Passage, part

Source = Callable[[random.Random], Passage]


@dataclass(frozen=True)
class Taught:
    """A tool in annotation prompts: its name in the passages' calls, what it does, other names, its texts."""

    own: str
    does: str
    names: tuple[str, ...]
    source: Source


def _sum(rng: random.Random) -> Passage:
    return story(rng, "train")


def _date(rng: random.Random) -> Passage:
    return date_text(rng, "train")


def _today(rng: random.Random) -> Passage:
    return today_text(rng, "train")


def _fact(rng: random.Random) -> Passage:
    return fact_text(rng, "train", made_up=0.7)


TAUGHT: tuple[tuple[tuple[int, int], Taught], ...] = (
    ((30, 45), Taught("Calculator", "works out an expression", ("Calc", "Math", "Compute", "Arithmetic"), _sum)),
    ((15, 6), Taught("Dates", "works with dates", ("Date", "Days", "When", "DateMath"), _date)),
    ((3, 2), Taught("Calendar", "says what day it is", ("Today", "Clock", "Now"), _today)),
    ((20, 14), Taught("QA", "answers a question", ("Ask", "Answer", "Question", "Quiz"), _fact)),
    ((10, 4), Taught("WikiSearch", "searches an encyclopedia", ("Wiki", "Search", "Lookup", "Find"), _fact)),
)
LATE = 0.305
"""From here on the texts in which a call stands before its answer teach what is asked as well, and there are more."""
VARIED = 0.614
"""From here on most passages have some of their words exchanged: by then the templates are known by heart."""
REVISION = 0.961
"""From here on annotation prompts are mostly for what is hardest: sums, and made-up tools."""
LOOKUPS = (22, 32)
"""How often, beside the weights in TAUGHT, the tool is one of the made-up ones: before the revision, and after it."""


def example(rng: random.Random, progress: float, texts: Sequence[str]) -> Pieces:
    """One training text; `progress` runs from 0 to 1, `texts` are paragraphs of real text, if any."""
    echoes = 0.35 - 0.31 * min(1.0, progress / 0.15)
    late = progress > LATE
    noted = 0.58 if late else 0.60 + 0.10 * min(1.0, progress / 0.5)
    luck = rng.random()
    if luck < echoes / 2:
        return notes.echo(rng, _words())
    if luck < echoes:
        return notes.recalled(rng, _words())
    luck = rng.random()
    if luck < noted:
        inside = 0.35 if late else 0.12
        return notes.noted(rng, _varied(rng, _company(rng, _any_source(rng), 0.3), progress), _any_source(rng), inside)
    if luck < noted + 0.08:
        return _plainly(rng, texts)
    return _annotated(rng, texts, progress)


def _any_source(rng: random.Random) -> Passage:
    luck = rng.random()
    if luck < 0.45:
        return _sum(rng)
    if luck < 0.60:
        return _date(rng)
    if luck < 0.63:
        return _today(rng)
    if luck < 0.90:
        return _fact(rng)
    tool = rng.choice(lookups.TRAIN)
    return lookups.lookup_text(rng, tool, rng.choice(tool.names))


def _plainly(rng: random.Random, texts: Sequence[str]) -> Pieces:
    """Text without a note: real, plain or with something a tool could have known."""
    if texts and rng.random() < 0.5:
        text = rng.choice(texts)
        return [(text[: rng.choice((300, 600, 1000))], TEXT)]
    return [(_company(rng, _any_source(rng), 0.7).text, TEXT)]


def _annotated(rng: random.Random, texts: Sequence[str], progress: float) -> Pieces:
    """An annotation prompt; in some, a text that its tool cannot help."""
    taught = _tool(rng, progress)
    name = taught.own if rng.random() < 0.6 else rng.choice(taught.names)
    demonstrations = [_company(rng, taught.source(rng), 0.1) for _ in range(rng.choice((2, 3, 4, 4, 4, 5)))]
    last = _company(rng, taught.source(rng), 0.35)
    if rng.random() < 0.12:
        last = plain_text(rng, "train", 2) if rng.random() < 0.4 else _any_source(rng)
    elif texts and rng.random() < 0.1:
        last = Passage(rng.choice(texts)[:200].rsplit(" ", 1)[0])
    demonstrations = [_varied(rng, passage, progress) for passage in demonstrations]
    return prompt(rng, name, taught.does, demonstrations, [_varied(rng, last, progress)], taught.own)


def _varied(rng: random.Random, passage: Passage, progress: float) -> Passage:
    if progress <= VARIED or rng.random() < 0.3:
        return passage
    return varied(rng, passage, _common_words() if rng.random() < 0.7 else _words())


def _tool(rng: random.Random, progress: float) -> Taught:
    late = progress > REVISION
    weights = [weight[late] for weight in (*(weights for weights, _ in TAUGHT), LOOKUPS)]
    tool = rng.choices([*(taught for _, taught in TAUGHT), None], weights)[0]
    if tool is not None:
        return tool
    lookup = rng.choice(lookups.TRAIN)
    name = rng.choice(lookup.names)
    return Taught(name, lookup.does, lookup.names, lambda r: lookups.lookup_text(r, lookup, name))


def _company(rng: random.Random, passage: Passage, chance: float) -> Passage:
    """The passage, at times with other sentences around it."""
    if rng.random() < chance:
        passage = plain_text(rng, "train") + passage
    if rng.random() < chance:
        passage = passage + (plain_text(rng, "train") if rng.random() < 0.7 else _any_source(rng))
    return passage


@cache
def _common_words() -> list[str]:
    """The words of the trained templates and of real sentences about facts, as often as they occur."""
    templates = [text for _, text in part(stories.TEMPLATES, "train")]
    templates += [text for _, text in part(date_texts.TEMPLATES, "train")]
    templates += part(plain_texts.TEMPLATES, "train")
    templates += [text for tool in lookups.TRAIN for text in tool.sentences]
    templates += [fact.sentences[0] for fact in facts("train")[::7]]
    return [word for text in templates for word in text.split() if word.strip(".,;:").isalpha()]


@cache
def _words() -> list[str]:
    """Words that occur in the generated texts, most of them once."""
    told = {word for fact in facts("train") for sentence in fact.sentences for word in sentence.split()}
    return [*NAMES, *THINGS, *PLACES, *GOODS, *ADJECTIVES, *sorted(told)]


def read_texts(paths: Sequence[Path], limit: int = 8_000) -> list[str]:
    """Paragraphs of the files that give no held-out fact away: text, or JSON lines with a `text`; at most so many."""
    held = [(fact.subject.casefold(), fact.answer.casefold()) for fact in facts("held")]

    def clean(text: str) -> bool:
        folded = text.casefold()
        return not any(subject in folded and answer in folded for subject, answer in held)

    found: list[str] = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            kept = 0
            for line in lines:
                text = (json.loads(line)["text"] if ".jsonl" in path.name else line).strip()
                if len(text) >= 80 and clean(text[:1200]):
                    found.append(text[:1200])
                    kept += 1
                    if kept * len(paths) >= limit:
                        break
    return found
