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
    "a + b": 16, "a - b": 24, "a * b": 14, "a / b": 14, "a + b + c": 4, "a + b - c": 4, "a - b + c": 3, "a - b - c": 4,
    "a - b * c": 3, "a + b * c": 3, "(a + b) * c": 3, "(a - b) * c": 3, "(a + b) / c": 3, "(a - b) / c": 3,
    "a * b + c": 3, "a * b - c": 3, "a * b * c": 3, "a / b * c": 3, "a / b + c": 1, "a / b - c": 1, "a * b / c": 2,
    "a% * b": 4,
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
    spare = {"d": str(rng.randint(2, 40)), "e": str(rng.randint(2, rng.choice(SIZES)))}
    slots = {**words(rng, parts["words"]), **given, **spare}
    text = _SLOT.sub(lambda slot: slots.get(slot[1], slot[0]), f"{before}{told} {end}".replace("  ", " "))
    text = ". ".join(sentence[:1].upper() + sentence[1:] for sentence in text.split(". "))
    start = text.index("{r}")
    call = {"tool": "Calculator", "input": written, "result": result, "start": start}
    return {"text": text.replace("{r}", result), "calls": [call]}


def numbers(rng: random.Random, kind: str, *, cents: bool) -> tuple[str, dict[str, str], str]:
    """The expression, the given numbers, all different, and the answer: above zero, whole unless the given ones are
    not, and of two digits at least where it takes two steps."""
    small = {name for name in "bc" if re.search(rf"[*/] {name}|{name} \*", kind)}
    said = ".2f" if cents else ".0f"
    while True:
        most = rng.choice(SIZES)
        given = {name: rng.randint(2, 20 if name in small else most) for name in "abc"}
        _divide(rng, kind, given)
        amounts = {name: number + (rng.randint(1, 99) / 100 if cents else 0) for name, number in given.items()}
        digits = {name: format(number, said) for name, number in amounts.items()}
        shown = {**digits, "a": f"{given['a'] / 100:g}"} if "%" in kind else digits
        written = "".join(shown.get(letter, letter) for letter in kind.replace("%", ""))
        value = float(Calculator()(written))
        if kind == "a - b + c" and given["a"] < given["b"]:
            continue
        if len({*given.values()}) == 3 and value > (9 if "c" in kind else 0):
            return written, digits, format(value, said)


def _divide(rng: random.Random, kind: str, given: dict[str, int]) -> None:
    """Changes the given numbers so that a division has no rest, and a percentage is whole."""
    a, b, c = given.values()
    if kind.startswith("a / b"):
        given["a"] = a * b
    elif kind == "a * b / c":
        given["a"] = a * c
    elif kind.endswith("/ c"):
        given["a"] = a + -(a + b if "+" in kind else a - b) % c
    elif "%" in kind:
        given["a"], given["b"] = 5 * rng.randint(1, 19), 20 * b


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
