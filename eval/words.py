"""Words as they are compared: whether a text that anybody wrote holds an answer, whatever its case and punctuation."""

import re
import unicodedata
from collections.abc import Sequence


def holds(text: str, answers: Sequence[str]) -> bool:
    """Whether one of the answers stands in a text, as whole words."""
    words = words_of(text)
    return any(_stands(text, words, answer) for answer in answers)


def _stands(text: str, words: list[str], answer: str) -> bool:
    wanted = named(words_of(answer))
    if not wanted:  # it is all signs: looked for as it is
        return bool(answer.strip()) and answer.strip() in text
    if wanted[0] in _ARTICLES:  # it is nothing else ("A"), and stands in every sentence
        return words == wanted
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))


def named(words: list[str]) -> list[str]:
    """Without the articles before a name. Those in it stay: vitamin A is not vitamin C."""
    first = next((place for place, word in enumerate(words) if word not in _ARTICLES), 0)
    return words[first:]


_SIGNS = r"!\"#%&()*,.:;?@\[\\\]{}¡¿«»“”„…·、。・，．：；！？"
_JOINED = r"['’‘/\-‐-―]"
_LETTER_ALONE = r"[^\W\d_]"
_BETWEEN = re.compile(
    r"(?<=\w)(?=[^\w\s])"
    r"(?!(?<=\d)\.\d|(?<=\d),\d{3}(?!\d))"  # 4.2 and 1,234 are one word
    rf"(?!(?:(?<=\b{_LETTER_ALONE})|(?<=\b{_LETTER_ALONE}{{2}}))\.{_LETTER_ALONE}\b)"  # and so are U.S. and Ph.D.
    rf"{_JOINED}*[{_SIGNS}](?:[{_SIGNS}]|{_JOINED})*(?=\w)"
)


def parted(text: str) -> str:
    """With a space behind punctuation that stands between two words: "Answer:Paris" is two."""
    return _BETWEEN.sub(r"\g<0> ", text)


_ARTICLES = {"a", "an", "the"}
_POSSESSIVE = re.compile(r"['’]s\b")
_JOINS = re.compile(r"[-‐-―/]")
_POINT = re.compile(r"(?<=\d)\.(?=\d)")


def words_of(text: str) -> list[str]:
    """The words as they are compared: without case, possessive endings and punctuation, but for a decimal point."""
    text = _JOINS.sub(" ", _POSSESSIVE.sub("", unicodedata.normalize("NFKC", parted(text)).casefold()))
    return ".".join(map(_unpunctuated, _POINT.split(text))).split()


def _unpunctuated(text: str) -> str:
    return "".join(c for c in text if not unicodedata.category(c).startswith("P"))
