"""What the model is trained on, in which proportions, and how they change as training goes on.

`example(rng, progress, texts)` is one training text. It depends on its arguments alone, so that a run can be resumed
at any step with the same data.
"""

import gzip
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from recipes.builtin import date_texts, lookups, notes, plain_texts, stories
from recipes.builtin.annotation import prompt
from recipes.builtin.date_texts import date_text, today_text
from recipes.builtin.fact_texts import fact_text, facts
from recipes.builtin.notes import TEXT, Pieces
from recipes.builtin.plain_texts import plain_text
from recipes.builtin.stories import story
from recipes.builtin.variety import varied
from recipes.builtin.words import ADJECTIVES, GOODS, NAMES, PLACES, THINGS, ShortText, part

Source = Callable[[random.Random], ShortText]


@dataclass(frozen=True)
class Taught:
    """A tool in annotation prompts: its name in the passages' calls, what it does, other names, its texts."""

    own: str
    does: str
    names: tuple[str, ...]
    source: Source


def _sum(rng: random.Random) -> ShortText:
    return story(rng, "train", parts=0.8)


def _date(rng: random.Random) -> ShortText:
    return date_text(rng, "train", parts=0.75)


def _today(rng: random.Random) -> ShortText:
    return today_text(rng, "train")


def _fact(rng: random.Random) -> ShortText:
    return fact_text(rng, "train", made_up=0.7)


TAUGHT: tuple[tuple[int, Taught], ...] = (
    (34, Taught("Calculator", "works out an expression", ("Calc", "Math", "Compute", "Arithmetic"), _sum)),
    (9, Taught("Dates", "works with dates", ("Date", "Days", "When", "DateMath"), _date)),
    (2, Taught("Calendar", "says what day it is", ("Today", "Clock", "Now"), _today)),
    (20, Taught("QA", "answers a question", ("Ask", "Answer", "Question", "Quiz"), _fact)),
    (7, Taught("WikiSearch", "searches an encyclopedia", ("Wiki", "Search", "Lookup", "Find"), _fact)),
)
LOOKUPS = 48
"""How often, beside the weights in TAUGHT, the tool is one of the made-up ones."""


def example(rng: random.Random, progress: float, texts: Sequence[str]) -> Pieces:
    """One training text; `progress` runs from 0 to 1, `texts` are paragraphs of real text, if any."""
    echoes = 0.35 - 0.30 * min(1.0, progress / 0.12)
    luck = rng.random()
    if luck < echoes / 2:
        return notes.echo(rng, _words())
    if luck < echoes:
        return notes.recalled(rng, _words())
    luck = rng.random()
    if luck < 0.6:
        passage = _varied(rng, _company(rng, _any_source(rng), 0.3), progress)
        return notes.noted(rng, passage, _any_source(rng), inside=0.37)
    if luck < 0.7:
        return _plainly(rng, texts)
    return _annotated(rng, texts, progress)


def _any_source(rng: random.Random) -> ShortText:
    luck = rng.random()
    if luck < 0.42:
        return _sum(rng)
    if luck < 0.54:
        return _date(rng)
    if luck < 0.56:
        return _today(rng)
    if luck < 0.86:
        return _fact(rng)
    return _lookup(rng)[1](rng)


VARIED = 0.2
"""From here on many passages have some of their words exchanged: before, what is said has to be learnt."""


def _plainly(rng: random.Random, texts: Sequence[str]) -> Pieces:
    """Text without a note: real, plain or with something a tool could have known."""
    if texts and rng.random() < 0.5:
        text = rng.choice(texts)
        return [(text[: rng.choice((300, 600, 1000))], TEXT)]
    return [(_company(rng, _any_source(rng), 0.7).text, TEXT)]


def _annotated(rng: random.Random, texts: Sequence[str], progress: float) -> Pieces:
    """An annotation prompt; in some, a text that its tool cannot help."""
    taught = _tool(rng)
    name = taught.own if rng.random() < 0.6 else rng.choice(taught.names)
    demonstrations = [_company(rng, taught.source(rng), 0.1) for _ in range(rng.choice((1, 2, 2, 3, 4, 4, 5)))]
    last = _company(rng, taught.source(rng), 0.35)
    if rng.random() < 0.12:
        last = plain_text(rng, "train", 2) if rng.random() < 0.4 else _any_source(rng)
    elif texts and rng.random() < 0.1:
        last = ShortText(rng.choice(texts)[:200].rsplit(" ", 1)[0])
    demonstrations = [_varied(rng, passage, progress) for passage in demonstrations]
    return prompt(rng, name, taught.does, demonstrations, [_varied(rng, last, progress)], taught.own)


def _varied(rng: random.Random, passage: ShortText, progress: float) -> ShortText:
    if progress <= VARIED or rng.random() < 0.6:
        return passage
    return varied(rng, passage, _common_words() if rng.random() < 0.7 else _words())


def _tool(rng: random.Random) -> Taught:
    tool = rng.choices([*(taught for _, taught in TAUGHT), None], [*(weight for weight, _ in TAUGHT), LOOKUPS])[0]
    if tool is not None:
        return tool
    lookup, source = _lookup(rng)
    return Taught(lookup.names[0], lookup.does, lookup.names, source)


def _lookup(rng: random.Random) -> tuple[lookups.Lookup, Source]:
    """A made-up tool under its first name, which is drawn: mostly one that no other prompt has."""
    tool = lookups.invented_tool(rng) if rng.random() < 0.75 else rng.choice(lookups.TRAIN)
    name = rng.choice(tool.names)
    return replace(tool, names=(name,)), lambda r: lookups.lookup_text(r, tool, name)


def _company(rng: random.Random, passage: ShortText, chance: float) -> ShortText:
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
