"""The words that generated texts are made of, names that never were, and what every generator shares."""

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from toolformer.builtin.corpus import Split, TrueCall

T = TypeVar("T")


@dataclass(frozen=True)
class ShortText:
    """A short text and the calls that are right for it."""

    text: str
    calls: tuple[TrueCall, ...] = ()

    def __add__(self, other: "ShortText") -> "ShortText":
        """This passage, a space, and the other."""
        shift = len(self.text) + 1
        moved = tuple(TrueCall(c.tool, c.input, c.result, c.start + shift, c.also, c.answer) for c in other.calls)
        return ShortText(f"{self.text} {other.text}", self.calls + moved)


def part(items: Sequence[T], split: Split) -> list[T]:
    """The items of one split: every third is held out of training."""
    return [item for number, item in enumerate(items) if (number % 3 == 2) == (split == "held")]


@cache
def load_parts(name: str) -> Mapping[str, Any]:
    """The lists of a TOML file beside this one, from which texts are put together."""
    return tomllib.loads(Path(__file__).with_name(name).read_text("utf-8"))


_SLOT = re.compile(r"<(\w+)(?:\.(\d))?>")


def filled(rng: random.Random, frame: str, lists: Mapping[str, Sequence[Any]]) -> str:
    """The frame with one of each list that it names in angle brackets.

    What is chosen stays chosen: a list that is named twice gives the same words twice, and <list.0> and <list.1> are
    two parts of one choice.
    """
    chosen: dict[str, Any] = {}

    def word(slot: re.Match[str]) -> str:
        if slot[1] not in chosen:
            chosen[slot[1]] = rng.choice(lists[slot[1]])
        found = chosen[slot[1]]
        return str(found if slot[2] is None else found[int(slot[2])])

    return _SLOT.sub(word, frame)


def sentences(text: str) -> str:
    """With a capital letter behind each full stop."""
    first, *others = text.split(". ")
    return ". ".join([first, *(other[0].upper() + other[1:] for other in others)])


def listed(words: str) -> list[str]:
    """The words of a line or more, as a list."""
    return words.split()


NAMES = listed("""
    Anna Ben Carla David Elena Frank Grace Henry Irene Jack Karen Leo Maria Nina Oscar Paula Quinn Rosa Sam
    Tina Victor Wendy Yusuf Zoe Ahmed Bianca Chen Diego Emma Farid Gina Hugo Ivan Julia Kofi Lena Marco Nadia
    Omar Priya Ravi Sofia Tom Uma Vera Will Aisha Boris Clara Dana Eric Fatima George Hanna Ines Jonas Kira
    Luis Mona Noah Olga Peter Rita Simon
""")
THINGS = listed("""
    apples oranges pears plums lemons books pencils stamps coins marbles cards stickers bottles boxes eggs
    cakes cookies tickets chairs tables plates cups spoons shirts hats shoes bricks tiles nails screws flowers
    trees seeds bulbs sheep goats hens cows fish shells stones beads buttons ribbons candles lamps letters
    posters photos maps toys balls kites drums songs pages bags baskets sacks barrels loaves potatoes onions
    carrots tomatoes melons grapes nuts
""")
PLACES = listed("""
    shop market library school museum station garden farm bakery factory harbour hotel theatre park office
    garage warehouse kitchen church hospital stadium village castle zoo café workshop mill barn studio club
""")
GOODS = listed("flour sugar rice coal sand wheat milk oil water juice wool cotton paper timber steel salt coffee tea")
ADJECTIVES = listed("""
    old new small large quiet busy famous green red blue white bright dark narrow wide wooden tall low clean
    empty friendly
""")

_ONSETS = listed("b br c ch d dr f fl g gr h j k kl l m n p pr r s sh st t tr v w z")
_VOWELS = listed("a e i o u a e o ai ea ou")
_CODAS = ["", "", "", "n", "r", "l", "s", "m", "nd", "rt", "ck", "th"]
_KEPT = set(listed("a an and at by de del des di for from her his in la le of on the to with von van"))


def invented(rng: random.Random, syllables: int = 0) -> str:
    """A lowercase word that most likely nobody uses."""
    count = syllables or rng.choice((1, 2, 2, 2, 3))
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count))


def title(rng: random.Random, words: int = 0) -> str:
    """An invented name of one or two words."""
    return " ".join(invented(rng).capitalize() for _ in range(words or rng.choice((1, 1, 2))))


def disguised(text: str, rng: random.Random) -> str:
    """A made-up name of the same shape: as many words, the same capitals, as many digits."""

    def word(match: re.Match[str]) -> str:
        old = match[0]
        if old.isdigit():
            return "".join(rng.choice("123456789") for _ in old)
        if old in _KEPT:
            return old
        new = invented(rng, 1 if len(old) < 5 else 2)
        return new.upper()[: len(old)] if old.isupper() else new.capitalize() if old[0].isupper() else new

    return re.sub(r"[^\W\d_]+|\d+", word, text)
