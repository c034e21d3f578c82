"""Why are answers to word problems wrong? What `toolformer eval` wrote, sorted by what the call should have been.

    python -m recipes.smollm2.errors OUT [--k 10] [--number 100]

A script compares the first call with the right answer; it does not understand a problem. One step is one operation with
two numbers of the text.
"""

import argparse
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from toolformer.eval.outcomes import EXAMPLES, Outcome, read_outcomes

SEED = 16
_NUMBER = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?")
_SAID = {"half": 0.5, "two": 2, "twice": 2, "double": 2, "three": 3, "triple": 3, "four": 4, "five": 5, "six": 6}
_SAID |= {"one": 1, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12, "dozen": 12}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.smollm2.errors", description="Why are answers wrong?")
    parser.add_argument("out", type=Path, help="a folder of `toolformer eval`")
    parser.add_argument("--k", type=int, default=10, help="asked at this k (default: %(default)s)")
    parser.add_argument("--number", type=int, default=100, help="look at so many (default: %(default)s)")
    chosen = parser.parse_args()
    paths = sorted((chosen.out / EXAMPLES).glob(f"*-k{chosen.k}-*.jsonl"))
    wrong = [one for path in paths for one in read_outcomes(path)[1] if not one.right]
    some = random.Random(SEED).sample(wrong, min(chosen.number, len(wrong)))
    print(f"{len(some)} of {len(wrong)} wrong answers")
    for reason, count in Counter(map(why, some)).most_common():
        print(f"{count:4}  {reason}")


def why(outcome: Outcome) -> str:
    """What is wrong with an answer."""
    right = next(iter(numbers(outcome.answers[0])), None)
    if right is None:
        return "the answer is no number"
    made = [call for call in outcome.calls if not call.undone]
    if not made:
        return "no call"
    if any(near(value, right) for call in made for value in numbers(call.result or "")):
        return "the call is right, the text is not"
    used, there = numbers(made[0].input), numbers(outcome.prompt)
    if len(used) == 2 and any(near(value, right) for value in one_step(*used)):
        return "right numbers, wrong operation"
    pairs = itertools.combinations(there, 2)
    if any(near(value, right) for pair in pairs for value in one_step(*pair)):
        return "one step with other numbers"
    if not set(used) <= set(there):
        return "a number that the text does not have"
    return "more than one step, or knowledge"


def numbers(text: str) -> list[float]:
    """The numbers of a text, in figures or in small words."""
    figures = [float(one.replace(",", "")) for one in _NUMBER.findall(text)]
    return figures + [float(_SAID[word]) for word in re.findall("[a-z]+", text.lower()) if word in _SAID]


def one_step(a: float, b: float) -> Iterator[float]:
    """What one operation makes of two numbers."""
    yield from (a + b, abs(a - b), a * b)
    yield from (x / y for x, y in ((a, b), (b, a)) if y)


def near(value: float, right: float) -> bool:
    """Whether they are one number, up to the second decimal."""
    return abs(value - right) <= 0.006 + 1e-4 * abs(right)


if __name__ == "__main__":
    main()
