"""Could the result be what the text says next? Calls whose result shares nothing with the words behind them.

Rules propose calls by what the text says behind a place: of them only those go on whose result begins to say it. A
search finds something for every query: a page about another footballer says as well that he is one, so where a lesson
asks for it, the result has to name what was looked for. It is the same for what a model writes beside rules: where all
are ranked and one is taken, a likely call with a wrong result would take the place of a right one. Calls of a model
alone are asked only with `Method.match`, and less strictly: it saves scoring, and loses the calls that help in other
words.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from toolformer.chains import FUNCTION_WORDS
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.lessons.expressions import numbers
from toolformer.data_gen.lessons.places import word_start
from toolformer.data_gen.records import Candidate, Rejected

REACH = 80
"""Characters behind a place that are looked at."""
WORDS = 6
"""Words of them."""
_NUMBER = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?(?:\s?%)?")
_NAME = re.compile(r"[^\W\d_a-z][\w'’-]*(?: [^\W\d_a-z][\w'’-]*| [0-9]{1,2}\b){0,3}")
_WORD = re.compile(r"[0-9][0-9.,]*[0-9]|\w+")


def match(
    executed: Iterable[Candidate],
    lessons: Mapping[str, Lesson],
    rejected: list[Rejected],
    *,
    ranked: bool = False,
    shared: bool = False,
) -> list[Candidate]:
    """The candidates that go on: all, unless they will be `ranked`, or have to share a word."""
    matching = []
    for one in executed:
        reason = _mismatch(one, must_name=lessons[one.call.tool].must_name, ranked=ranked, shared=shared)
        if reason is None:
            matching.append(one)
        else:
            rejected.append(Rejected(one.place, "match", reason, one.call))
    return matching


def _mismatch(one: Candidate, *, must_name: bool, ranked: bool, shared: bool) -> str | None:
    """Why a candidate goes no further, if so."""
    result, following = one.call.result or "", one.place.following
    if ranked and must_name and not names(result, one.call.input):
        return "the result is about something else"
    if (ranked and not says_next(result, following)) or (not ranked and shared and not shares(result, following)):
        return "the result is not what the text says next"
    return None


def names(result: str, asked: str) -> bool:
    """Whether the result holds the words of what was asked for, one behind the other, but for articles and such."""
    words = _words_in_order(asked, len(asked))
    return f" {' '.join(words)} " in f" {' '.join(_words_in_order(result, len(result)))} "


def shares(result: str, following: str) -> bool:
    """Whether the result has a word or a number in common with the next few words."""
    return not _words(result).isdisjoint(list(_words_in_order(following))[:WORDS])


def says_next(result: str, following: str) -> bool:
    """Whether the result says the name, the number or the word that comes next; of a date, the day is as well.

    Names count whole. Numbers are compared to the digits that the text writes them with.
    """
    start = word_start(following, 0) or 0
    number = _NUMBER.match(following, start)
    if number:
        wanted = next((one for one in numbers(number.group()) if one.said), None)
        return wanted is not None and any(abs(one.value - wanted.value) <= wanted.error for one in numbers(result))
    said = _words_in_order(result, len(result))
    name = _NAME.match(following, start)
    words = _words_in_order(name.group()) if name else _words_in_order(following)[:1]
    if not any(word[0].isdigit() for word in said):  # a month may come without its day
        words = [word for word in words if not word[0].isdigit()]
    return bool(words) and f" {' '.join(words)} " in f" {' '.join(said)} "


def _words(text: str) -> set[str]:
    return set(_words_in_order(text, len(text)))


def _words_in_order(text: str, reach: int = REACH) -> Sequence[str]:
    # The month is written like the verb, but with a capital letter.
    said = (word for word in _WORD.findall(text[:reach]) if word == "May" or word.casefold() not in FUNCTION_WORDS)
    return [word.casefold().replace(",", "") for word in said]
