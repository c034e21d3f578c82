"""What a model's text answers, and whether it is right: one rule for each kind of task, the paper's where it has one.

Texts come from a model, so from anyone: they are cut and compared, never evaluated. What the answers are is the tasks'
matter (`eval/tasks`); each of their examples names its rule.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from toolformer.errors import ConfigError, unknown_name
from toolformer.eval.words import holds, named, parted, words_of

LAMA_WORDS, QA_WORDS = 5, 20


@dataclass(frozen=True)
class Verdict:
    """What was taken for the answer, in a form in which equal answers are equal (votes are counted by it)."""

    answer: str
    right: bool


def judge(rule: str, text: str, answers: Sequence[str], choices: Sequence[str] = ()) -> Verdict:
    """Judge a text by a rule of `RULES`. An example whose answer is known to be none of a kind has no answers."""
    if rule not in RULES:
        raise ConfigError(unknown_name("rule for answers", rule, RULES))
    return RULES[rule](text, answers, choices)


def _lama(text: str, answers: Sequence[str], _: Sequence[str]) -> Verdict:
    """One of the answers stands within the first five words."""
    return _within(text, answers, LAMA_WORDS)


def _qa(text: str, answers: Sequence[str], _: Sequence[str]) -> Verdict:
    """One of the answers stands within the first twenty words."""
    return _within(text, answers, QA_WORDS)


def _within(text: str, answers: Sequence[str], most: int) -> Verdict:
    said = " ".join(parted(text).split(maxsplit=most)[:most])
    return Verdict(" ".join(named(words_of(said))), holds(said, answers))


_WHOLE = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_CODES = "USD|EUR|GBP|INR|JPY|CNY|CAD|AUD|CHF"
_FRONT = rf"(?<![\w./])|(?:(?<=\.\.)|(?<=[^\W\d_]\.)|(?i:(?<=\b(?:{_CODES}))|(?<=\bRs)))(?!\.)"
"""Where a number may begin: not in a word, a version or a date; but behind dots, a full stop and a currency's name."""
_NUMBER = re.compile(
    rf"(?:{_FRONT})(?:(?P<sign>[-−–])(?=[$€£(.\d])\(?)?[$€£]? ?(?P<mixed>\d{{1,9}} (?=\d+/))?"
    rf"(?P<number>(?:{_WHOLE})?\.\d+|{_WHOLE})(?:/(?P<below>\d+)(?![\d/]))?"
)
"""A dash with a space behind it is none of the number's: it begins a line of a list, or joins a sentence."""
_DIGITS = 50
"""Longer numbers are nobody's answer."""
_PLACES = 12
"""Decimals that are compared at most: the last ones of a float are noise."""


@dataclass(frozen=True)
class Number:
    """A number, and how many decimals it was written with."""

    value: Fraction
    decimals: int
    fraction: bool
    """Whether it was written as a fraction, which leaves nothing out."""

    def same(self, gold: "Number") -> bool:
        """Equal, or the gold one rounded to the decimals written here, two at least: a third is 0.33, never 0.3.

        A fraction is compared in the decimals of the gold one, which may be a third cut off: 0.333333.
        """
        if self.value == gold.value:
            return True
        places = gold.decimals if self.fraction else self.decimals
        return places >= 2 and _rounded(self.value, places) == _rounded(gold.value, places)


def _rounded(value: Fraction, places: int) -> int:
    """In units of the last place, halves away from zero."""
    units = int(abs(value) * 10 ** min(places, _PLACES) + Fraction(1, 2))
    return -units if value < 0 else units


def numbers(text: str) -> list[Number]:
    """The numbers in a text: digits with their sign, thousands separators and decimals, or fractions: 3/4, 1 1/2."""
    found = []
    for match in _NUMBER.finditer(text):
        whole, _, decimals = match["number"].replace(",", "").partition(".")
        below = match["below"] or "1"
        if len(match.group()) > _DIGITS or not int(below):
            continue
        value = int(match["mixed"] or 0) + Fraction(int(whole + decimals), 10 ** len(decimals) * int(below))
        fraction = match["below"] is not None
        found.append(Number(-value if match["sign"] else value, 0 if fraction else len(decimals), fraction))
    return found


def _number(text: str, answers: Sequence[str], choices: Sequence[str]) -> Verdict:
    """The first number, or the first behind the first "="; as many as the answer has.

    An answer without a digit ("Mrs. Hilt", "No") is looked for as in question answering.
    """
    golds = [_values(answer) for answer in answers]
    if not any(golds):
        return _qa(text, answers, choices)
    # "5+3=8" holds its answer behind the sign; a last "=" that nothing follows does not.
    _, _, behind = text.partition("=")
    said = numbers(_clocks(behind)) or numbers(_clocks(text))
    answer = [_show(number) for number in said[: max(sum(map(len, gold)) for gold in golds)]]
    return Verdict(" ".join(answer), any(_all_said(said, gold) for gold in golds if gold))


Whole = tuple[Number, ...]
"""A number, or those of a time or a ratio, whose order matters."""
_UNIT = re.compile(r"(?<=[\w%$€£°]) *\([^)(]*\)")
_RATIO = re.compile(r"(\d[\d.,/]*(?: ?: ?\d[\d.,/]*)+)")


def _values(answer: str) -> list[Whole]:
    """What a gold answer holds: `9 (apples)`, `2 (ft); 4 (ft)`, `3:45`, `6th`, `1 1/2`, `-(1/3)`."""
    plain = " ".join(_UNIT.sub(" ", answer).split())
    found: list[Whole] = []
    for place, piece in enumerate(_RATIO.split(plain)):
        said = numbers(_clocks(piece))
        found += [tuple(said)] if place % 2 else [(number,) for number in said]
    return [whole for whole in found if whole]


def _clocks(text: str) -> str:
    """Times and ratios (3:45, 3 : 45) as two numbers, ordinals (6th) and units that stick (5kg) as one."""
    return re.sub(r"(?<=\d)(?=(?!e\d)[a-z])", " ", re.sub(r"(?<=\d) ?: ?(?=\d)", " ; ", text))


def _all_said(said: Sequence[Number], gold: Sequence[Whole]) -> bool:
    """Whether the first numbers said are the gold ones. Several may come in any order, a time's or a ratio's not."""
    return not gold or any(
        len(said) >= len(whole)
        and all(number.same(right) for number, right in zip(said, whole, strict=False))
        and _all_said(said[len(whole) :], [*gold[:place], *gold[place + 1 :]])
        for place, whole in enumerate(gold)
        if whole not in gold[:place]  # the same once more leads nowhere else
    )


def _show(number: Number) -> str:
    return f"{float(number.value):.10g}"


_ANSWER_IS = re.compile(r"the answer is:?[ \t]*([^\n]*)", re.IGNORECASE)


def _exact(text: str, answers: Sequence[str], _: Sequence[str]) -> Verdict:
    """What follows "the answer is", to the end of its line, or else the first line, is the answer, whole."""
    match = _ANSWER_IS.search(text)
    said = _bare(match.group(1) if match else text.strip().split("\n", 1)[0])
    return Verdict(said, any(_bare(answer) == said for answer in answers) if said else False)


def _bare(answer: str) -> str:
    """Without case, a full stop at the end, and the brackets of a letter."""
    answer = " ".join(answer.split()).removesuffix(".").strip().casefold()
    letter = re.fullmatch(r"\(([a-z])\)", answer)
    return letter.group(1) if letter else answer


_LETTER = re.compile(r"\(?([A-Z])(?:\)|(?![\w'’]))")


def _letter(text: str, answers: Sequence[str], choices: Sequence[str]) -> Verdict:
    """The letter of a choice: the text's first word, or what follows "the answer is", or the choice's own text."""
    match = _ANSWER_IS.search(text)
    said = (match.group(1) if match else text).strip()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(choices)]
    found = _LETTER.match(said)
    line = said.split("\n", 1)[0]
    place = _chosen(line, choices)
    whole = "" if place is None else letters[place]
    # "A large dog" may be a choice, and then its A is no letter.
    answer = (
        found.group(1) if found and found.group(1) in letters and (not whole or len(words_of(line)) == 1) else whole
    )
    return Verdict(answer, answer in answers)


def _chosen(line: str, choices: Sequence[str]) -> int | None:
    """Which choice a line is: to the letter, or else without case, or else by its words. None if it could be two."""
    if len(line) > 10 * max(map(len, choices), default=0) + 100:  # no choice, however it is spaced: not worth the time
        return None
    for form in (_spaced, _bare, _signed):
        wanted = form(line)
        same = [place for place, choice in enumerate(choices) if wanted and form(choice) == wanted]
        if same:
            return same[0] if len({_spaced(choices[place]) for place in same}) == 1 else None
    return None


def _spaced(text: str) -> str:
    return " ".join(text.split()).removesuffix(".").strip()


_MINUS = re.compile(r"(?<![\w)\]}])[-−–](?=[$€£(]?(?:\.?\d|[^\W\d_]\b))")
_POINT_ALONE = re.compile(r"(?<![\w.])\.(?=\d)")


def _signed(text: str) -> str:
    """The words, with signs and points: -5 is not 5, and .5 is not 5."""
    return " ".join(words_of(_MINUS.sub(" minus ", _POINT_ALONE.sub("0.", text))))


Rule = Callable[[str, Sequence[str], Sequence[str]], Verdict]
RULES: dict[str, Rule] = {"lama": _lama, "number": _number, "qa": _qa, "exact": _exact, "letter": _letter}
"""How a text is judged, by name."""
