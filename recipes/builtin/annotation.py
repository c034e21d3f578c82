"""Annotation prompts with their answers, in the paper's manner, for many tools under many names and instructions.

<instruction>
Input: <text>
Output: <text with calls>
...
Input: <text>
Output: <text with calls>
"""

import random

from recipes.builtin.notes import Pieces, written
from recipes.builtin.words import ShortText
from toolformer.builtin.corpus import TrueCall
from toolformer.calls import Call

HEAD, COPY, CALL = 0.0, 0.5, 2.0
"""Weights in the loss: instructions and inputs, what is copied from the input, and the calls."""

TASKS: tuple[str, ...] = (
    "Your task is to add calls to a {t} API to a piece of text.",
    "Add calls to the tool {t} to the text.",
    "Write the text again and put in calls of {t} where they help.",
    "You may call {t} while you copy the text.",
    "Copy every input. Insert {t} calls before the words that they would give.",
    "Below, texts are marked up with requests to {t}.",
    "A tool called {t} is at hand. Use it in the texts below.",
    "Complete each output: the input, with calls to a {t} API.",
    "Your task is to put requests to {t} into a text.",
)
WHAT: tuple[str, ...] = (
    "The tool {d}.", "It {d}.", "{t} {d}.", "Such a call {d}.", "What {t} does: it {d}.", "This API {d}.",
)  # fmt: skip
HOW: tuple[str, ...] = (
    'You can call the API by writing "{c}" where "{w}" is what you ask.',
    "A call is written as{c}.",
    'To call it, write "{c}".',
    "Calls look like this:{c}",
    "The calls should help you get information required to complete the text.",
    "Write{c} to make a call.",
    'You can do so by writing "{c}".',
)
END: tuple[str, ...] = (
    "Here are some examples of API calls:",
    "Examples:",
    "Here are some examples:",
    "For example:",
    "",
)


def instruction(rng: random.Random, name: str, does: str) -> str:
    """A wording of the task for a tool of this name."""
    what = rng.choice(("input", "question", "expression", "term", "request", "query"))
    call = written(Call(name, what))
    sentences = [rng.choice(TASKS).format(t=name)]
    if rng.random() < 0.7:
        sentences.append(rng.choice(WHAT).format(t=name, d=does))
    if rng.random() < 0.7:
        sentences.append(rng.choice(HOW).format(c=call, w=what))
    rng.shuffle(sentences)
    return " ".join([*sentences, rng.choice(END)]).strip()


def prompt(
    rng: random.Random, name: str, does: str, demonstrations: list[ShortText], last: list[ShortText], own: str
) -> Pieces:
    """A prompt with demonstrations, and answers to the last texts; in the passages' calls the tool is called `own`."""
    pieces: Pieces = [(instruction(rng, name, does) + rng.choice(("\n", "\n\n")), HEAD)]
    gap = rng.choice(("\n", "\n\n"))
    for number, passage in enumerate([*demonstrations, *last]):
        calls = [call for call in passage.calls if call.tool == own]
        shown = number < len(demonstrations)
        pieces.append((f"Input: {passage.text}\nOutput:{' ' if not shown else ''}", HEAD))
        pieces += annotated(passage, calls, name, first=" " if shown else "")
        pieces.append((gap, COPY))
    return pieces[:-1]


def annotated(passage: ShortText, calls: list[TrueCall], name: str, first: str = "") -> Pieces:
    """The passage with its calls in place, without results, as an annotator is to write it."""
    pieces: Pieces = []
    done, text = 0, passage.text
    for call in sorted(calls, key=lambda c: c.start):
        place = call.start - (call.start > 0 and text[call.start - 1] == " ")
        pieces.append((first * (done == 0) + text[done:place], COPY))
        pieces.append((written(Call(name, call.input)), CALL))
        done = place
    return [*pieces, (first * (done == 0) + text[done:], COPY)]
