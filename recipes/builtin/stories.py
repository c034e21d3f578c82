"""Sums in small stories: a text that says what is given, and then the number which follows from it.

    Anna had 312 stamps and got 145 more, so now Anna has 457 stamps.        Calculator(312 + 145) -> 457

Every third template is held out of training, and so is every fifth pair of numbers, for all templates together. Most
trained stories are put together from parts (story_parts.py), so that templates are not learnt by heart.
"""

import random
import re
from fractions import Fraction

from recipes.builtin.story_parts import Kind, composed
from recipes.builtin.words import GOODS, NAMES, PLACES, THINGS, ShortText, part
from toolformer.builtin.corpus import Split, TrueCall

TEMPLATES: tuple[tuple[Kind, str], ...] = (
    ("add", "{N} had {a} {X} and got {b} more, so now {N} has {r} {X}."),
    ("sub", "There were {a} {X} in the {P}. {N} took {b} of them, which left {r} {X}."),
    ("mul", "There are {a} boxes with {b} {X} in each, so there are {r} {X} in all."),
    ("div", "{N} shared {a} {X} among {b} friends, and each friend got {r} {X}."),
    ("add", "The {P} sold {a} {X} on Monday and {b} on Tuesday, {r} in the two days together."),
    ("sub", "{N} needs {a} {X} and has {b} so far; {N} still needs {r} {X}."),
    ("mul", "One ticket for the {P} costs {a} dollars. For {b} tickets {N} paid {r} dollars."),
    ("add", "In the {P} there are {a} red {X} and {b} blue ones. That makes {r} {X}."),
    ("div", "The {P} packed {a} {X} in {b} equal boxes, with {r} {X} in every box."),
    ("share", "Out of {b} visitors to the {P}, {a} came by train, which is a share of {r} of them."),
    ("add3", "{N} counted {a} {X}, then {b}, and then {c}. Altogether {N} counted {r} {X}."),
    ("sub", "A sack held {a} kilos of {G}. After {b} kilos were used, it held {r} kilos of {G}."),
    ("mul", "{N} reads {a} pages a day. In {b} days {N} reads {r} pages."),
    ("add", "{N} walked {a} metres before lunch and {b} metres after it, a total of {r} metres."),
    ("mix", "{N} had {a} {X} and bought {b} bags with {c} {X} in each, so {N} ended up with {r} {X}."),
    ("sub", "Of the {a} {X} at the {P}, {b} were broken, so only {r} could be used."),
    ("div", "A rope of {a} metres was cut in {b} equal pieces; each piece is {r} metres long."),
    ("add", "Last year the {P} had {a} members. This year {b} joined, and now it has {r} members."),
    ("mul", "Each of the {a} rows in the {P} has {b} chairs, which makes {r} chairs."),
    ("sub", "{N} saved {a} dollars and spent {b} dollars on {X}. Now {N} has {r} dollars left."),
    ("add", "{N} has {a} {X} and {M} has {b}. Together they have {r} {X}."),
    ("share", "{N} answered {a} of {b} questions, so the ratio of answers to questions is {r}."),
    ("add", "The first barrel holds {a} litres of {G} and the second {b} litres; both hold {r} litres."),
    ("sub", "The {P} ordered {a} {X}, but {b} never came, so it got {r} {X}."),
    ("mul", "A lorry carries {a} sacks of {G} on every trip. After {b} trips it has carried {r} sacks."),
    ("add", "The term on the board is {a} + {b} = {r}."),
    ("sub", "From {a} {X}, {N} gave {b} to {M} and kept {r}."),
    ("div", "It takes {b} hours to make {a} {X}, so in one hour the {P} makes {r} {X}."),
    ("add", "{N} baked {a} cakes for the {P} and {M} baked {b}; in total they baked {r} cakes."),
    ("mul", "If one box of {X} weighs {a} grams, then {b} boxes weigh {r} grams."),
    ("sub", "The {P} opened with {a} {X}, sold {b} of them, and closed with {r}."),
    ("add", "At first {a} people came to the {P}, and later {b} more, so {r} people were there."),
    ("mix", "{N} paid {a} dollars to enter the {P} and bought {b} {X} for {c} dollars each, and spent {r} dollars."),
    ("sub", "{N} is {a} steps away from the {P}. After {b} steps, {r} steps remain."),
    ("mul", "The {P} uses {a} kilos of {G} a week, which over {b} weeks comes to {r} kilos."),
    ("add", "A farmer picked {a} {X} in the morning and {b} in the afternoon. The farmer picked {r} {X} that day."),
    ("add3", "Three trucks brought {a}, {b} and {c} {X} to the {P}. In all they brought {r} {X}."),
    ("sub", "{N} collected {a} {X} and lost {b}, which means that {r} {X} are left."),
    ("div", "{N} earned {a} dollars in {b} days, that is {r} dollars a day."),
    ("add", "On the shelf stand {a} {X}. {N} puts {b} more beside them, and then {r} {X} stand there."),
    ("sub", "The {P} has room for {a} guests; {b} have come, and there is room for {r} more."),
    ("mul", "{N} plants {b} rows of {a} {X}. The garden then has {r} {X}."),
    ("sub", "There is a difference of {a} - {b} = {r} between the two piles of {X}."),
    ("add", "If {a} {X} cost as much as {b} more, the whole lot has {r} {X}."),
    ("mul", "With {a} {X} in each of {b} baskets, {N} carried {r} {X} to the {P}."),
    ("add", "{N} scored {a} points in the first game and {b} in the second. The sum is {r} points."),
    ("sub", "The train had {a} passengers, and when {b} got off at the {P}, it had {r} passengers."),
    ("share", "Only {a} of the {b} {X} in the {P} were sold, a fraction of {r}."),
    ("add", "The {P} bought {a} {X} in spring and {b} in autumn, and so it owns {r} {X}."),
    ("mul", "The product of the two numbers is {a} x {b} = {r}, wrote {N}."),
    ("div", "When {a} {X} are put in {b} bags, every bag gets {r} {X}."),
    ("add", "A tower of {a} bricks grew by {b} bricks and is now {r} bricks high."),
    ("sub", "{N} had to read {a} pages and has read {b}. What is left is {r} pages."),
    ("sub", "A tank with {a} litres of {G} lost {b} litres. It still holds {r} litres of {G}."),
    ("add", "{N} drove {a} miles to the {P} and {b} miles back home, {r} miles on that day."),
    ("mul", "{N} buys {b} {X} at {a} dollars each and pays {r} dollars."),
    ("add", "There are {a} boys and {b} girls at the {P}. The number of children is {r}."),
    ("mix", "A box has {a} {X}, and {b} more boxes have {c} {X} each, which gives {r} {X}."),
    ("sub", "{M} has {b} {X} fewer than {N}, who has {a}. So {M} has {r} {X}."),
    ("add", "{M} has {b} {X} more than {N}, who has {a}. So {M} has {r} {X}."),
    ("div", "The {a} {X} were divided equally by {b}. The result was {r} for each."),
    ("add", "To the {a} {X} from {M}, {N} added {b}. The pile grew to {r} {X}."),
    ("mul", "A machine in the {P} makes {a} {X} an hour. In {b} hours it makes {r} {X}."),
    ("sub", "Yesterday {a} {X} lay in the {P}; today {b} are gone and {r} remain."),
    ("share", "The {P} has {b} windows, {a} of which are open. The open ones make up {r} of all."),
    ("add", "First {N} found {a} {X}, next {b} others, which brings the count to {r}."),
)

_FORMS = {"add": "{a} + {b}", "add3": "{a} + {b} + {c}", "sub": "{a} - {b}", "mul": "{a} * {b}", "div": "{a} / {b}"}
_FORMS |= {"share": "{a} / {b}", "mix": "{a} + {b} * {c}"}


_HELD = frozenset(part(TEMPLATES, "held"))


def held_pair(a: int, b: int) -> bool:
    """Whether sums of these two numbers are kept out of training."""
    return (7 * a + 13 * b) % 5 == 0


def story(rng: random.Random, split: Split, *, three_digits: bool = False, parts: float = 0.0) -> ShortText:
    """A small story with one sum, and the Calculator's call for it. `three_digits`: both numbers have three digits.

    `parts` is the share of stories that are put together from parts, whatever the split: for training only.
    """
    kind, template = _template(rng, split, three_digits) if rng.random() >= parts else _composed(rng)
    values, result = _numbers(rng, kind, split, three_digits)
    names = rng.sample(NAMES, 2)
    words = {"N": names[0], "M": names[1], "X": rng.choice(THINGS), "P": rng.choice(PLACES), "G": rng.choice(GOODS)}
    before, after = (piece.format(**words, **values) for piece in template.split("{r}"))
    expression = _FORMS[kind].format(**values)
    # The order in which the two numbers of a sum or a product are typed is a matter of taste.
    swapped = re.sub(r"^(\d+) ([+*]) (\d+)$", r"\3 \2 \1", expression)
    return ShortText(before + result + after, (TrueCall("Calculator", expression, result, len(before), (swapped,)),))


def _template(rng: random.Random, split: Split, three_digits: bool) -> tuple[Kind, str]:
    templates = part(TEMPLATES, split)
    return rng.choice([t for t in templates if t[0] in ("add", "sub")] if three_digits else templates)


def _composed(rng: random.Random) -> tuple[Kind, str]:
    """A template put together from parts that is not one of those held out."""
    while (made := composed(rng)) in _HELD:
        pass
    return made


def _numbers(rng: random.Random, kind: Kind, split: Split, three_digits: bool) -> tuple[dict[str, int], str]:
    """Numbers of the split for such a sum, and its result as the calculator writes it."""
    while True:
        a, b, c = _draw(rng, kind, three_digits)
        if held_pair(a, b) != (split == "held"):
            continue
        exact: int | Fraction = {
            "add": a + b, "add3": a + b + c, "sub": a - b, "mul": a * b, "mix": a + b * c,
        }.get(kind, Fraction(a, b))  # fmt: skip
        if exact > 0:
            return {"a": a, "b": b, "c": c}, decimal(Fraction(exact))


def _draw(rng: random.Random, kind: Kind, three_digits: bool) -> tuple[int, int, int]:
    if kind == "mul":
        b = rng.randint(3, 30)
        return rng.randint(4, max(5, 999 // b)), b, 0
    if kind == "div":
        b = rng.randint(3, 25)
        return b * rng.randint(3, max(4, 999 // b)), b, 0
    if kind == "share":
        b = rng.randint(60, 990)
        return rng.randint(b // 10, b * 9 // 10), b, 0
    if kind == "mix":
        return rng.randint(10, 500), rng.randint(2, 12), rng.randint(5, 40)
    low = 100 if three_digits or rng.random() < 0.7 else 11
    if kind == "sub":
        a = rng.randint(low + 30, 999)
        return a, rng.randint(low, a), 0
    return rng.randint(low, 999 - low), rng.randint(low, 999 - low), rng.randint(11, 300)


def decimal(value: Fraction) -> str:
    """The number with two decimals at most, halves away from zero, none that are not needed: 2/7 is 0.29."""
    cents = int(abs(value) * 100 + Fraction(1, 2))
    digits = f"{cents // 100}.{cents % 100:02d}".rstrip("0").rstrip(".")
    return f"-{digits}" if value < 0 and cents else digits
