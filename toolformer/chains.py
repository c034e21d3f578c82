"""Calls that build on calls: in which earlier results did something of an input stand first?

What an input asks about is its numbers and its names; a date is both. Each of them comes from where it was read first:
in the text, in an earlier call's input, or in an earlier result. Only the last makes a chain. It says where a value
stood, and not why the model wrote it: a small number may be there by chance.
"""

import re
from collections.abc import Iterator, Sequence

from toolformer.calls import Call

_WORD = re.compile(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|[^\W\d_][^\W_]*")
FUNCTION_WORDS = frozenset(
    """
    a about above after again all also although am among an and any are as at be because been before being below between
    both but by can could did do does done down during each either else even ever every few for from further had has
    have having he her here hers him his how however i if in into is it its just many may me might more most much must
    my near neither nor not now of off on once one only or other our out over own per same shall she should since so
    some such than that the their them then there these they this those through thus to too under until up upon very
    was we were what when where whether which while who whom whose why will with within without would yet you your
    """.split()  # noqa: SIM905 - words, not a list of strings
)
"""English words that say nothing of what a text is about."""


def uses(before: Sequence[str | Call], asked: str) -> tuple[int, ...]:
    """The earlier calls, by their number from 0, in whose results a number or a name of this input stood first.

    `before` is what was read before the call, in its order: pieces of the text, and calls with their results.
    """
    seen: set[str] = set()
    origin: dict[str, int] = {}
    number = 0
    for piece in before:
        if isinstance(piece, str):
            seen.update(_words(piece))
            continue
        seen.update(_words(piece.input))
        origin |= dict.fromkeys((value for value in _values(piece.result or "") if value not in seen), number)
        seen.update(_words(piece.result or ""))
        number += 1
    return tuple(sorted({origin[value] for value in _values(asked) if value in origin}))


def _words(text: str) -> Iterator[str]:
    """All words and numbers, however they are written: 1,400.0 is 1400."""
    for word in _WORD.findall(text):
        yield _plain(word)


def _values(text: str) -> Iterator[str]:
    """The numbers and the names, which begin with a capital letter."""
    for word in _WORD.findall(text):
        if word[0].isdigit() or (word[0].isupper() and word.casefold() not in FUNCTION_WORDS):
            yield _plain(word)


def _plain(word: str) -> str:
    if not word[0].isdigit():
        return word.casefold()
    digits = word.replace(",", "")
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits).lstrip("0") or "0"
