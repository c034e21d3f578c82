"""Short word problems of one or two steps, of our own making: a question and its answer, or a sentence that says it.

What is told, asked and said stands in problems.toml. No problem is taken from a set that others made.
"""

import random
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolformer.tools.calculator import Calculator

Json = dict[str, Any]
KINDS: Mapping[str, int] = {
    "a + b": 18, "a - b": 24, "a * b": 14, "a / b": 14, "a + b + c": 5, "a + b - c": 4, "a - b + c": 3, "a - b - c": 4,
    "a - b * c": 3, "a + b * c": 3, "(a + b) * c": 3, "(a - b) * c": 3, "(a + b) / c": 3, "(a - b) / c": 3,
}  # fmt: skip
"""The right expression of each kind, and how often it comes."""
SIZES = (9, 20, 20, 50, 100, 100, 300, 1000, 5000)
"""The largest number that a problem gives is one of these, each as often."""
_BEFORE, _SAID, _CENTS = 0.25, 0.3, 0.25
"""How often something stands before, how often a sentence says the answer instead of a question, and how often
amounts that are added or subtracted are not whole."""
_SLOT = re.compile(r"\{(\w+)\}")


def problems(seed: str, count: int) -> Iterator[Json]:
    """So many different problems, each with the call that is right."""
    rng = random.Random(seed)
    parts = tomllib.loads(Path(__file__).with_name("problems.toml").read_text("utf-8"))
    seen: set[str] = set()
    while len(seen) < count:
        kind = rng.choices([*KINDS], [*KINDS.values()])[0]
        made = problem(rng, parts, kind)
        if made["text"] not in seen:
            seen.add(made["text"])
            yield {"id": f"problem-{len(seen)}", **made}


def problem(rng: random.Random, parts: Json, kind: str) -> Json:
    """One problem of a kind."""
    told, asked, said = rng.choice(parts[kind]["told"])
    measured = any(unit in told for unit in ("dollars", "{U}", "{L}"))
    cents = measured and not set(kind) & set("*/") and rng.random() < _CENTS
    written, given, result = numbers(rng, kind, cents=cents)
    around = parts["around"]
    before = rng.choice(around["before"]) if rng.random() < _BEFORE else ""
    end = said if rng.random() < _SAID else asked + rng.choice(around["answers"])
    slots = {**words(rng, parts["words"]), **given, "d": str(rng.randint(2, 40))}
    text = _SLOT.sub(lambda slot: slots.get(slot[1], slot[0]), f"{before}{told} {end}")
    text = ". ".join(sentence[:1].upper() + sentence[1:] for sentence in text.split(". "))
    start = text.index("{r}")
    call = {"tool": "Calculator", "input": written, "result": result, "start": start}
    return {"text": text.replace("{r}", result), "calls": [call]}


def numbers(rng: random.Random, kind: str, *, cents: bool) -> tuple[str, dict[str, str], str]:
    """The expression, the given numbers, all different, and the answer: above zero, whole unless the given ones are
    not, and of two digits at least where it takes two steps."""
    while True:
        most = rng.choice(SIZES)
        a, b, c = (rng.randint(2, most) + (rng.randint(1, 99) / 100 if cents else 0) for _ in range(3))
        if "*" in kind or "/" in kind:
            b, c = (b if "(" in kind else rng.randint(2, 20)), rng.randint(2, 20)
        if kind == "a / b":
            a *= b
        if kind.endswith("/ c"):
            a += -(a + b if "+" in kind else a - b) % c
        said = ".2f" if cents else ".0f"
        given = {"a": format(a, said), "b": format(b, said), "c": format(c, said)}
        written = "".join(given.get(letter, letter) for letter in kind)
        value = float(Calculator()(written))
        if len({a, b, c}) == 3 and value > (9 if "c" in kind else 0):
            return written, given, format(value, said)


def words(rng: random.Random, lists: Mapping[str, str]) -> dict[str, str]:
    """People, things and measures, by the names of their slots."""
    plain = {"F": "foods", "U": "lengths", "W": "weights", "L": "volumes", "T": "days"}
    he = rng.random() < 0.5
    name, other = rng.choice(lists["he" if he else "she"].split()), rng.choice(lists["she" if he else "he"].split())
    (one, many), (_, others) = (pair.split("/") for pair in rng.sample(lists["things"].split(), 2))
    container, containers = rng.choice(lists["containers"].split()).split("/")
    pronouns = ("He", "he", "his", "him") if he else ("She", "she", "her", "her")
    return {
        "N": name, "M": other, "x": one, "X": many, "Y": others, "k": container, "K": containers,
        **{slot: rng.choice(lists[name].split()) for slot, name in plain.items()},
        **dict(zip(("He", "he", "his", "him"), pronouns, strict=True)),
    }  # fmt: skip
