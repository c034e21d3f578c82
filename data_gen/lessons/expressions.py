"""Numbers in running text, written as digits or in words, and the expressions over them that give another number."""

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from toolformer.data_gen.lessons.places import MONTHS, SHORT_MONTHS

MAX_NUMBERS = 500
"""Numbers of a text that are looked at."""
NEAR = 10
"""Different numbers before a place that an expression may be made of, the nearest first."""
REACH = 40
"""Numbers before a place among which those are looked for."""
_LONGEST = 12
"""Digits beyond which a number is a name."""
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {
    **{word: number for number, word in enumerate(_ONES, 1)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
    "hundred": 100, "thousand": 1000, "dozen": 12, "half": 2, "twice": 2, "double": 2, "both": 2, "couple": 2,
    "pair": 2, "triple": 3, "thrice": 3, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8,
    "tenth": 10, "percent": 100, "cent": 100, "week": 7, "daily": 7, "year": 12, "day": 24, "hour": 60, "minute": 60,
    "foot": 12, "feet": 12,
}  # fmt: skip
"""What such a word may stand for in a calculation: half of something is a division by 2."""
_TOKEN = re.compile(
    r"(?<![\w.,:#])(?:[0-9]++(?:/[0-9]++){2,}+"  # a date
    r"|(?P<whole>[0-9]{1,3}(?:,[0-9]{3})++|[0-9]++)(?:\.(?P<decimals>[0-9]++))?(?!\w|[.:][0-9])"
    r"(?P<percent>\s?%|\s(?:percent|per cent)\b)?|(?P<word>[A-Za-z]++)(?!\w))"
)


_DATED_BEFORE = re.compile(rf"(?:\b(?:{MONTHS}|{SHORT_MONTHS})\.?|(?:{MONTHS}) [0-9]{{1,2}},|[\n(])\s*$|/$")
"""Behind a month's name, or first in a line or a bracket: a day, a year, or a number that only counts. Behind or before
a stroke: a part of a fraction."""
_DATED = re.compile(rf"\s(?:of )?(?:{MONTHS}|{SHORT_MONTHS})\b|/[0-9]")


@dataclass(frozen=True)
class Number:
    """A number, as an expression would write it, and where it stands."""

    start: int
    digits: str
    said: bool
    """In digits, and no part of a date, a time or a numbering: it could be a result."""

    @property
    def value(self) -> float:
        """What it is worth."""
        return float(self.digits)

    @property
    def telling(self) -> bool:
        """Whether two operations that give it are more than chance: few give a number of several digits, but a year."""
        return len(self.digits) > 1 and not (self.digits.isdigit() and 1000 <= self.value <= 2100)

    @property
    def error(self) -> float:
        """How far off it may be, by the digits it is written with."""
        decimals = len(self.digits.partition(".")[2])
        return 0.5001 * 10**-decimals if decimals else 1e-9 * abs(self.value)


@lru_cache(64)
def numbers(text: str) -> tuple[Number, ...]:
    """The first MAX_NUMBERS numbers of a text. A percentage counts twice: by its digits, and as a share of one."""
    found: list[Number] = []
    for match in _TOKEN.finditer(text):
        if len(found) >= MAX_NUMBERS:
            break
        if match["whole"] is None:
            if value := _worth((match["word"] or "").casefold()):
                found.append(Number(match.start(), str(value), said=False))
            continue
        digits = match["whole"].replace(",", "") + (f".{match['decimals']}" if match["decimals"] else "")
        if len(digits) > _LONGEST:
            continue
        if match["percent"]:
            found.append(Number(match.start(), f"{float(digits) / 100:.6g}", said=False))
        before = _DATED_BEFORE.search(text, max(0, match.start() - 24), match.start())
        found.append(Number(match.start(), digits, said=not (before or _DATED.match(text, match.end()))))
    return tuple(found)


def _worth(word: str) -> int | None:
    """What a word stands for, also in the plural or as a verb: dozens, doubled."""
    return _WORDS.get(word) or _WORDS.get(word.removesuffix("s").removesuffix("d"))


def calculated(text: str) -> Iterator[tuple[Number, Iterator[str]]]:
    """Each number of a text that may be a result, with the calculations that give it, if any do.

    A number that the text has said before is a repetition, and no result.
    """
    found = numbers(text)
    said: set[str] = set()
    for index, number in enumerate(found):
        if number.said and number.digits not in said and number.value:
            # A percentage stands there twice; neither is made of the other.
            before = found[: index - 1 if index and found[index - 1].start == number.start else index]
            yield number, expressions(before, number)
        said.add(number.digits)


def expressions(found: Sequence[Number], target: Number) -> Iterator[str]:
    """The calculations over some numbers that give the target: of one operation, or where none does, of two."""
    near: dict[str, float] = {}
    for number in reversed(found[-REACH:]):
        if number.value and len(near) < NEAR:
            near.setdefault(number.digits, number.value)
    one = list(_one(near, target))
    yield from one or (_two(near, target) if target.telling else ())


def _one(near: dict[str, float], target: Number) -> Iterator[str]:
    for (first, a), (second, b) in itertools.product(near.items(), repeat=2):
        for operator in _sensible(a, b):
            if _gives(_apply(operator, a, b), target):
                yield f"{first} {operator} {second}"


def _two(near: dict[str, float], target: Number) -> Iterator[str]:
    values = sorted(near.values())
    for (first, a), (second, b) in itertools.product(near.items(), repeat=2):
        for operator in _sensible(a, b):
            inner = _apply(operator, a, b)
            if not _third_exists(values, inner, target):
                continue
            spelled = f"{first} {operator} {second}"
            grouped = f"({spelled})" if operator in "+-" else spelled
            for third, c in near.items():
                if third in (first, second):
                    continue
                for outer in "+-*/" if c != 1 else "+-":
                    if _gives(_apply(outer, inner, c), target):
                        yield f"{grouped if outer in '*/' else spelled} {outer} {third}"
                if operator in "*/" and _gives(c - inner, target):
                    yield f"{third} - {spelled}"
                if operator in "+-" and inner and _gives(c / inner, target):
                    yield f"{third} / {grouped}"


def _third_exists(values: Sequence[float], inner: float, target: Number) -> bool:
    """Whether one of the values (sorted) might make the target of an inner result; most often none does."""
    low, high = target.value - target.error, target.value + target.error
    needed = [(low - inner, high - inner), (inner - high, inner - low), (low + inner, high + inner)]
    if inner > 0:
        needed += [(low / inner, high / inner), (inner / high, inner / low), (low * inner, high * inner)]
    for least, most in needed:
        slack = 1e-9 * (1 + abs(most))
        at = bisect.bisect_left(values, least - slack)
        if at < len(values) and values[at] <= most + slack:
            return True
    return False


def _sensible(a: float, b: float) -> str:
    """The operators worth trying: the larger number first where the order does not matter, and nothing times 1."""
    operators = "+-" if a >= b else "-"
    if 1 not in (a, b):
        operators += "*/" if a >= b else "/"
    elif a == 1:
        operators += "/" if b != 1 else ""
    return operators


def _apply(operator: str, a: float, b: float) -> float:
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case _:
            return a / b


def _gives(result: float, target: Number) -> bool:
    return abs(result - target.value) <= target.error
