"""Short texts of our own about days, and questions with their answers about sums, facts and pages.

How they are worded stands in asked.toml. No question is taken from a set that others made.
"""

import datetime
import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from recipes.reader import pairs
from recipes.reader.templates import TEMPLATES
from recipes.smollm2.problems import numbers
from toolformer.builtin import knowledge
from toolformer.tools.dates import Calendar, Dates, written
from toolformer.tools.passages import Passage

Json = dict[str, Any]
FIRST, LAST = datetime.date(2005, 1, 1), datetime.date(2025, 12, 31)
"""The days that are today in some text."""
NEAR = {
    "yesterday": "1 day before", "tomorrow": "1 day after",
    "the day before yesterday": "2 days before", "the day after tomorrow": "2 days after",
}  # fmt: skip
UNITS = (("day", 400), ("day", 60), ("week", 20), ("month", 15), ("year", 4))
_SLOT = re.compile(r"\{(\w)\}")


def days(seed: str, count: int) -> Iterator[Json]:
    """So many different texts about days, each with its date and the call that is right."""
    rng = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        made = day(rng, rng.choice([*_said()["days"].items()]))
        if made["text"] not in seen:
            seen.add(made["text"])
            yield {"id": f"day-{len(seen)}", **made}


def day(rng: random.Random, told: tuple[str, Sequence[str]]) -> Json:
    """One text about days, of a kind."""
    kind, texts = told
    today = FIRST + datetime.timedelta(rng.randrange((LAST - FIRST).days))
    unit, most = rng.choice(UNITS)
    number = rng.randint(2, most)
    slots = {"A": rng.choice(_said()["answers"]["of"]), "n": f"{number} {unit}s", "D": rng.choice([*NEAR])}
    away = datetime.timedelta(rng.randint(5, 400))
    slots["d"] = written(today + (away if kind == "until" else -away if kind == "since" else rng.choice((away, -away))))
    way, _, said = kind.partition(" ")
    shift = NEAR[slots["D"]] if way == "near" else f"{slots['n']} {way}"
    tool, asked = _call(way, said, shift, slots)
    result = (Calendar if tool == "Calendar" else Dates)(lambda: today)(asked)
    slots["r"] = _part(result, said)
    template = rng.choice(texts)
    text = _SLOT.sub(lambda slot: slots[slot[1]], template)
    start = text.rindex(slots["r"])
    return {
        "text": text[:1].upper() + text[1:],
        "date": today.isoformat(),
        "calls": [{"tool": tool, "input": asked, "result": result, "start": start}],
    }


def _call(way: str, said: str, shift: str, slots: dict[str, str]) -> tuple[str, str]:
    """The tool that knows the answer, and what it is asked."""
    match way, said:
        case "today", _:
            return "Calendar", ""
        case "since" | "until", _:
            return "Dates", f"days between today and {slots['d']}"
        case "of", _:
            return "Dates", f"weekday of {slots['d']}"
        case "near", "weekday":
            return "Dates", f"weekday of {slots['D']}"
        case _, "weekday":
            return "Dates", f"weekday of {shift} today"
        case _:
            return "Dates", f"{shift} today"


def _part(result: str, said: str) -> str:
    """What a text says of a result: all of it, or the day, the weekday, the date, the month or the year in it."""
    day = re.sub(r"^Today is |\.$", "", result)
    if said == "day":
        return day
    words = day.replace(",", "").split()
    if said == "date" and len(words) == 4:
        return result.split(", ", 1)[1].rstrip(".")
    if said in ("month", "year"):
        return words[-3] if said == "month" else words[-1]
    return words[0] if said == "weekday" else result


def sums(seed: str, count: int) -> Iterator[Json]:
    """So many questions for a sum, each with its answer and the call that is right."""
    rng = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        made = sum_of(rng, _said()["sums"])
        if made["text"] not in seen:
            seen.add(made["text"])
            yield {"id": f"asked-sum-{len(seen)}", **made}


def sum_of(rng: random.Random, told: Json) -> Json:
    """One question for a sum, with its answer."""
    kind, words = rng.choice(told["words"])
    written, given, result = numbers(rng, kind, cents=False)
    asked = _SLOT.sub(lambda slot: given[slot[1]], words)
    slots = {"s": asked, "S": asked[:1].upper() + asked[1:], "A": rng.choice(_said()["answers"]["of"]), "r": result}
    template = f"{rng.choice(told['asked'])} {rng.choice(told['answered'])}"
    text = _SLOT.sub(lambda slot: slots[slot[1]], template)
    call = {"tool": "Calculator", "input": written, "result": result, "start": text.rindex(result)}
    return {"text": text, "calls": [call]}


def facts(seed: str, count: int) -> Iterator[Json]:
    """So many of our own facts, each as a question and its answer."""
    rng = random.Random(seed)
    answers = _said()["answers"]["of"]
    known = [fact for fact in knowledge.load() if fact.split == "train"]
    for number, fact in enumerate(rng.sample(known, count), 1):
        before = f"{rng.choice(fact.questions)} {rng.choice(answers)} "
        call = {"tool": "QA", "input": fact.question, "also": [*fact.questions], "answer": fact.answer}
        yield {
            "id": f"fact-{number}",
            "text": f"{before}{fact.answer}.",
            "calls": [{**call, "result": fact.answer, "start": len(before)}],
        }


def pages(seed: str, introductions: Sequence[Json], count: int) -> Iterator[Json]:
    """So many questions that an introduction answers, and half as many sentences that it completes; each of another
    page."""
    rng = random.Random(seed)
    answers = _said()["answers"]["of"]
    told = [Passage(row["title"], row["text"]) for row in introductions]
    stated = [replace(template, wordings=tuple(_said()["stated"][template.name])) for template in TEMPLATES]
    questions = pairs.asked(rng, told, TEMPLATES, count)
    sentences = pairs.asked(rng, told[::-1], stated, count // 2)
    for number, pair in enumerate([*questions, *sentences], 1):
        begun = pair["input"].rpartition("Question: ")[2].partition("\n")[0]
        between = f" {rng.choice(answers)}" if begun.endswith("?") else ""
        yield {"id": f"page-{number}", "text": f"{begun}{between} {pair['output']}."}


@cache
def _said() -> Json:
    """What asked.toml holds."""
    return tomllib.loads(Path(__file__).with_name("asked.toml").read_text("utf-8"))
