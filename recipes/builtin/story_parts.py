"""What trained stories are put together from: a beginning, what happened, and what follows from it.

Hundreds of thousands of stories come out of story_parts.toml, so that none is learnt by heart; the hand-written
templates of stories.py are far fewer, and those that are held out are never put together here.
"""

import random
from collections.abc import Mapping
from typing import Any, Literal

from recipes.builtin.words import filled, load_parts, sentences

Kind = Literal["add", "add3", "sub", "mul", "div", "share", "mix"]

_TOLD: tuple[tuple[Kind, str, str], ...] = (
    ("add", "pairs", "both"), ("mul", "groups", "multiplied"), ("div", "shared", "divided"),
    ("share", "parts", "parted"), ("add3", "three", "both"), ("mix", "mixed", "multiplied"),
)  # fmt: skip
"""Kinds of sums, with the lists in which their beginnings and their ends are."""

_FRAMED: Mapping[Kind, int] = {"add": 6, "sub": 6, "mul": 5, "div": 3, "mix": 3}
"""How often a story of each kind is made from a frame."""


def composed(rng: random.Random) -> tuple[Kind, str]:
    """A kind of sum, and a template for it that most likely nobody has seen."""
    parts = load_parts("story_parts.toml")
    kind, text = _body(rng, parts)
    container, containers = rng.choice(parts["containers"])
    text = text.replace("{U}", rng.choice(parts["units"])).replace("{I}", container).replace("{O}", containers)
    if rng.random() < 0.3:
        text = text.replace("{X}", rng.choice(parts["coloured"]) + " {X}", rng.choice((1, 1, 2)))
    text = text[0].upper() + text[1:]
    if rng.random() < 0.25:
        when = rng.choice(parts["when"])
        goes_on = not (text.startswith("{") or when.endswith((". ", ": ")))
        text = when + (text[0].lower() + text[1:] if goes_on else text)
    return kind, text if text.endswith(".") else text + rng.choice(parts["ends"])


def _body(rng: random.Random, parts: Mapping[str, Any]) -> tuple[Kind, str]:
    luck = rng.random()
    if luck < 0.40:
        return _framed(rng, parts)
    if luck < 0.65:
        return _happening(rng, parts)
    if luck < 0.78:
        kind, text = rng.choice(parts["compared"])
        return kind, text
    kind, told, ends = rng.choices(_TOLD, (9, 13, 8, 4, 4, 8))[0]
    if rng.random() < 0.5:
        return kind, sentences(rng.choice(parts[told]) + _end(rng, parts))
    return kind, rng.choice(parts[told]) + rng.choice(parts[ends]).replace(" {X}", "")


def _framed(rng: random.Random, parts: Mapping[str, Any]) -> tuple[Kind, str]:
    """A story whose end says again what its beginning said, of more or of what is left."""
    kind = rng.choices(tuple(_FRAMED), tuple(_FRAMED.values()))[0]
    return kind, sentences(filled(rng, rng.choice(parts["frames"][kind]), parts["slots"]))


def _happening(rng: random.Random, parts: Mapping[str, Any]) -> tuple[Kind, str]:
    """What was, what came to it or went, and what is."""
    kind: Kind = rng.choice(("add", "sub", "sub"))
    subject = rng.choice(("person", "person", "place", "place", "amount"))
    frame = parts[subject]
    happened = rng.choice(frame["gains" if kind == "add" else "losses"])
    end = rng.choice(parts["gained" if kind == "add" else "lost"])
    luck = rng.random()
    if luck < 0.3:
        end = rng.choice(parts["so"]) + rng.choice(frame["ends"])
    elif luck < 0.75:
        end = _end(rng, parts)
    if subject == "amount":
        end = end.replace(" {X}", "")
    return kind, sentences(rng.choice(frame["beginnings"]) + rng.choice(parts["links"]) + happened + end)


def _end(rng: random.Random, parts: Mapping[str, Any]) -> str:
    """An end that most likely nobody has seen: whatever was done, a number follows."""
    turn, who, does, tail = (rng.choice(parts["end"][name]) for name in ("turns", "who", "does", "tails"))
    return f"{turn}{who} {does} {{r}}{tail}"
