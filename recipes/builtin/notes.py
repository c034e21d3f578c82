"""Texts that repeat what a note before them said, so that a result written before a text is used by the model.

Notes come in the paper's spelling of a call and in many others, and in the text's middle as well as before it. Some say
nothing (a call without its result), some are about something else or work out the wrong thing: those must not help.

A text for training is a list of pieces with weights: how much each piece's tokens count in the loss.
"""

import random
import re
from dataclasses import replace
from fractions import Fraction

from recipes.builtin.stories import decimal
from recipes.builtin.words import ShortText, disguised, invented
from toolformer.builtin.corpus import TrueCall
from toolformer.calls import Call, CallSyntax

Pieces = list[tuple[str, float]]
"""A training text: what is written, and the weight of its tokens in the loss. Each piece is encoded alone."""

NOTE, TEXT, ANSWER, CALL = 0.0, 0.5, 4.0, 2.0
"""Weights: the note itself is not to be learnt, the answer that it gives away is what all this is for. A call that
stands where it would be made is learnt too, but not its opening: by itself the model is not to make calls."""

STYLES: tuple[str, ...] = (
    " ({t}: {i} = {r})", "{{{t} {i} => {r}}} ", "<{t} {i}> {r}</{t}> ", "Note: {i} is {r}.\n", "{t}({i}) gives {r}. ",
    "{i} -> {r}\n", "[{i} | {r}] ", "Q: {i}\nA: {r}\n", "* {t} says: {r} *\n", "({r}) ", " [{r}]", "{t}: {r}. ",
    "# {i}: {r}\n", "«{i}: {r}» ", " [{t}({i}) {r}]", "<<{i}, {r}>> ", "We asked for {i} and got {r}. ", "Hint: {r}.\n",
)  # fmt: skip


def noted(rng: random.Random, passage: ShortText, other: ShortText, inside: float) -> Pieces:
    """The passage behind a note for one of its calls; at times behind a note for a call of the other passage.

    `inside` is the share in which the call stands in the passage instead, right before its answer.
    """
    call = rng.choice(passage.calls)
    luck = rng.random()
    if luck < 0.06:
        return [(_written(call, None), NOTE), *told(passage, TEXT)]
    if luck < 0.12 and other.calls:
        return [(note(rng, rng.choice(other.calls)), NOTE), *told(passage, TEXT)]
    if luck < 0.16:
        return [(note(rng, astray(rng, call)), NOTE), *told(passage, TEXT)]
    if luck < 0.16 + inside:
        return in_place(passage, call, CALL)
    if luck < 0.26 + inside and other.calls:
        notes = [note(rng, call), note(rng, rng.choice(other.calls))]
        rng.shuffle(notes)
        return [("".join(notes), NOTE), *told(passage, ANSWER, call)]
    return [(note(rng, call), NOTE), *told(passage, ANSWER, call)]


def note(rng: random.Random, call: TrueCall) -> str:
    """What the call gave, in the paper's spelling half of the time, under its own name mostly."""
    if rng.random() < 0.3:
        call = TrueCall(invented(rng).capitalize(), call.input, call.result, call.start)
    if rng.random() < 0.6:
        return _written(call, call.result)
    return rng.choice(STYLES).format(t=call.tool, i=call.input, r=call.result)


def astray(rng: random.Random, call: TrueCall) -> TrueCall:
    """The call with another result: a sum with another sign or number, or what nobody asked for."""
    sum_ = re.fullmatch(r"(\d+) ([-+*/]) (\d+)", call.input)
    if sum_ is None:
        return replace(call, result=_anything(rng))
    left, sign, right = int(sum_[1]), sum_[2], int(sum_[3])
    if rng.random() < 0.5:
        sign = rng.choice([other for other in "+-*/" if other != sign])
    else:
        right = rng.randint(2, 999)
    value = {"+": Fraction(left + right), "-": Fraction(left - right), "*": Fraction(left * right)}.get(sign)
    value = Fraction(left, max(1, right)) if value is None else value
    return replace(call, input=f"{left} {sign} {right}", result=decimal(value))


def told(passage: ShortText, answer: float, call: TrueCall | None = None) -> Pieces:
    """The passage, with this weight on the answer of the call, or of every call."""
    pieces: Pieces = []
    done = 0
    for start, end in sorted({_span(c) for c in ((call,) if call else passage.calls)}):
        pieces += [(_cut(passage.text, done, start), TEXT), (_cut(passage.text, start, end), answer)]
        done = end
    return [*pieces, (passage.text[done:], TEXT)]


def in_place(passage: ShortText, call: TrueCall, weight: float) -> Pieces:
    """The passage with the call where it would be made, right before its answer, and this weight on what is asked."""
    start, end = _span(call)
    text = passage.text
    opening = CallSyntax.TEXT.opening.text
    asked = _written(call, "").removeprefix(opening).removesuffix(CallSyntax.TEXT.close)
    result = f" {call.result}{CallSyntax.TEXT.close}"
    made: Pieces = [(opening, NOTE), (asked, weight), (result, NOTE)]
    return [(_cut(text, 0, start), TEXT), *made, (_cut(text, start, end), ANSWER), (text[end:], TEXT)]


def echo(rng: random.Random, words: list[str]) -> Pieces:
    """Something short that stands twice, to learn what repeating is."""
    chosen = [rng.choice(words) if rng.random() < 0.7 else _anything(rng) for _ in range(rng.randint(4, 14))]
    again = " ".join(chosen)
    if rng.random() < 0.5:
        return [(f"Input: {again}\nOutput:", NOTE), (f" {again}", TEXT)]
    return [(f"{again}{rng.choice((' |', '.', ' =', chr(10), ' ->'))}", NOTE), (f" {again}", TEXT)]


def recalled(rng: random.Random, words: list[str]) -> Pieces:
    """A few pairs of things, and one of them again."""
    pairs = [
        (_anything(rng), _anything(rng) if rng.random() < 0.6 else rng.choice(words)) for _ in range(rng.randint(1, 5))
    ]
    key, value = rng.choice(pairs)
    arrow = rng.choice((" ->", ":", " =", " is", CallSyntax.TEXT.stops[0]))
    listed = rng.choice((", ", "; ", "\n", "] [")).join(f"{left}{arrow} {right}" for left, right in pairs)
    return [(f"{listed}. {key}{arrow}", NOTE), (f" {value}", ANSWER)]


def _anything(rng: random.Random) -> str:
    """A number, a sum, an invented name or word."""
    luck = rng.random()
    if luck < 0.5:
        return str(rng.randint(0, 999))
    if luck < 0.6:
        return f"{rng.randint(2, 999)} {rng.choice('+-*/')} {rng.randint(2, 999)}"
    return disguised(rng.choice(("Paris", "Mount Etna", "water", "Anna Smith", "1984", "London", "a dog")), rng)


def _written(call: TrueCall, result: str | None) -> str:
    """The call in the paper's spelling; with None as the result its arrow has nothing behind it."""
    return written(Call(call.tool, call.input, "" if result is None else result))


def written(call: Call) -> str:
    """The call as text. Unlike `CallSyntax.format` it refuses nothing: what we generate holds no marker."""
    return "".join(piece.text for piece in CallSyntax.TEXT.parts(call))


def _span(call: TrueCall) -> tuple[int, int]:
    return call.start, call.start + len(call.said)


def _cut(text: str, start: int, end: int) -> str:
    """text[start:end], with the boundaries moved before the space that belongs to the next word's token."""
    start -= start > 0 and text[start - 1] == " "
    end -= end > start and text[end - 1] == " "
    return text[start:end]
