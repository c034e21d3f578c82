"""How people write numbers and signs, for the tools that read formulas and dates.

Knows characters and single numbers; what stands between the numbers is for each tool to read.
"""

import re
import unicodedata
from fractions import Fraction

MAX_EXPONENT = 1_000
"""The largest power of ten that a number may carry, as in 1e1000."""

_MEANINGS = {
    "-": "−–‐‑‒﹣－➖",
    "+": "﹢＋➕",
    "*": "×⋅·∙✕✖∗＊",
    "/": "÷∕⁄／",
    "(": "（",
    ")": "）",
    "^": "＾",
    "%": "％﹪",
    "=": "＝﹦",
    ",": "，٬",
    ".": "．٫",
    "$": "＄﹩",
    "£": "￡",
    "¥": "￥",
    " ": "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u205f\u3000",
}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_THOUSANDS_SPACE = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_PLAIN = str.maketrans(
    {odd: plain for plain, odds in _MEANINGS.items() for odd in odds} | dict.fromkeys("\u00a0\u2009\u202f", " ")
)


def plain(text: str) -> str:
    """The text with digits of any script, superscripts, and the many minus and times signs in their ASCII spelling.

    A no-break or thin space between digits, as in 1 234 567, separates thousands and becomes a comma. Characters that
    have no such meaning stay as they are.
    """
    if text.isascii():
        return text
    text = _RAISED.sub(lambda raised: "^" + raised.group().translate(_SUPERSCRIPTS), text)
    text = "".join(_digit(character) for character in text)
    return _THOUSANDS_SPACE.sub(",", text).translate(_PLAIN)


def _digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def exact(number: str) -> int | Fraction | None:
    """The value of a number like 12, 1.5, .5 or 2e-3, without separators; None if its power of ten is out of bounds."""
    if number.isdigit():
        return int(number)
    mantissa, _, exponent = number.lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    power = (int(exponent) if exponent else 0) - len(decimals)
    if abs(power) > MAX_EXPONENT:
        return None
    digits = int(whole + decimals)
    return digits * 10**power if power >= 0 else Fraction(digits, 10**-power)
