"""Plain sentences in which nothing follows from anything: no tool helps here.

Every third template is held out of training. Most trained sentences are put together from parts (plain_parts.toml), so
that they are not learnt by heart.
"""

import random
import re

from recipes.builtin.words import ADJECTIVES, GOODS, NAMES, PLACES, THINGS, ShortText, filled, load_parts, part
from toolformer.builtin.corpus import Split

TEMPLATES: tuple[str, ...] = (
    "The {A} {P} stood at the end of the road.",
    "{N} liked the smell of {G} in the {P}.",
    "Nobody could say why the {P} was so {A}.",
    "In the evening {N} and {M} talked about the {X}.",
    "The {X} were {A}, and {N} did not want them.",
    "A {A} cat slept on the {X} all afternoon.",
    "{N} had never been to the {P} before.",
    "It was a {A} morning, and the wind came from the sea.",
    "Some of the {X} had been a gift from {M}.",
    "{N} closed the door and went back to the {A} {P}.",
    "People in the village made {X} out of {G}.",
    "The {P} was known for its {A} walls and its {G}.",
    "{M} asked {N} to bring a few {X} along.",
    "There was hardly any {G} left in the {P}.",
    "Every summer the {P} filled with {A} {X}.",
    "{N} wanted to learn how {X} are made.",
    "When it rained, {N} stayed in the {P} and read.",
    "A {A} path led from the {P} to the river.",
    "{N} told {M} a long story about a {A} horse.",
    "The keeper of the {P} was {A} and spoke slowly.",
    "Later they sat down and looked at the {X}.",
    "{M} painted the {P} in a {A} colour.",
    "Most visitors came for the {X} and stayed for the music.",
    "{N} forgot the {X} on a {A} bench.",
    "The road to the {P} was {A} and full of {X}.",
    "Without {G} the {P} could not do its work.",
    "{N} hoped that the {A} weather would last.",
    "{M} and {N} were old friends from the {P}.",
    "It is said that the {X} bring luck.",
    "All of the {X} had to be washed by hand.",
    "At night the {P} looked {A} from far away.",
    "{N} sold {G} and bought {X} instead.",
    "The children played with {X} behind the {P}.",
    "For lunch there was bread, and {M} brought the {G}.",
    "{N} thought about the {A} {P} of long ago.",
    "{M} had hidden the {X} under the {A} roof.",
    "Two dogs barked at the {P}, and then it was quiet.",
    "The {A} door of the {P} was never locked.",
    "{N} waited with {M} near the {X}.",
)


VAGUE = ("some", "some", "many", "a few", "several", "the", "all the", "more", "a lot of", "no", "those", "a dozen")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

COMPOSED = 0.8
"""How many of the trained sentences are put together from parts."""


def plain_text(rng: random.Random, split: Split, sentences: int = 1) -> ShortText:
    """So many sentences that no call makes easier."""
    return ShortText(" ".join(_sentence(rng, split) for _ in range(sentences)))


def vague(rng: random.Random, story: ShortText) -> ShortText:
    """A story of numbers that tells none of them: nothing can be worked out."""
    return ShortText(_NUMBER.sub(lambda _: rng.choice(VAGUE), story.text))


def _sentence(rng: random.Random, split: Split) -> str:
    name, other = rng.sample(NAMES, 2)
    composed = split == "train" and rng.random() < COMPOSED
    template = _composed(rng) if composed else rng.choice(part(TEMPLATES, split))
    text = template.format(
        N=name, M=other, P=rng.choice(PLACES), X=rng.choice(THINGS), G=rng.choice(GOODS), A=rng.choice(ADJECTIVES)
    )
    return re.sub(r"\b(a) (?=[aeiou])", r"\1n ", text, flags=re.IGNORECASE) if composed else text


def _composed(rng: random.Random) -> str:
    """A template for a sentence that most likely nobody has seen."""
    parts = load_parts("plain_parts.toml")
    text = filled(rng, rng.choice(parts["frames"]), parts)
    return text[:1].upper() + text[1:]
