"""The calculator: exact arithmetic on an expression, rounded once at the end.

    400 / 1400              0.29        two decimals as in the paper, halves go up; Calculator(decimals=6) has more
    27 + 4 * 2              35          + - * / and their Unicode signs, " x " between numbers, brackets, ** or ^
    -2^2,  2^3^2            -4,  512    a power binds tighter than a sign, and from the right
    8^(1/3)                 2           roots only where they are exact; others are refused
    $1,234.50 * 3           3703.5      thousands separators and one kind of currency sign, both left out of the answer
    15%,  50% of 80         0.15,  40
    200 + 10%               220         a lone percentage after + or - is of what stands before it; (10%) is just 0.1
    5% + 3%                 0.08        unless that is a percentage too
    12 * 12 = ?             144         a trailing = or ? is allowed

Words and units are refused, since nothing here knows what they would do to the answer. So is an equation; see Solver.

Nothing is evaluated by Python. Powers are estimated before they are taken, and every value and all values together are
bounded in bits, so that no input takes longer than some milliseconds.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from toolformer.errors import ConfigError, ToolError
from toolformer.tool import Traits
from toolformer.tools.number_text import exact, plain
from toolformer.tools.powers import MAX_BITS, Value, power, quotient

MAX_CHARS = 2_000
"""Longer expressions are refused."""
MAX_DEPTH = 50
"""Brackets, and powers of powers, inside one another."""
MAX_WORK = 20 * MAX_BITS
"""Bits in all large values of one expression together."""
MAX_DIGITS = 900
"""Digits before the decimal point of an answer, so that it never has to be cut."""

_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<number>(?:[1-9]\d{0,2}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<sign>\*\*|[-+*/^()%]|of\b)"
    r"|(?P<times>(?<=\s)[xX](?=\s+[\d.(]))"
    r"|(?P<currency>[$€£¥₹₩₽₺₪฿])"
    r"|(?P<other>\w+|\S)"
    r"|$)",
    re.ASCII,
)
_FORM = "write an expression such as 400 / 1400"


@dataclass(frozen=True)
class Calculator:
    """Works out an arithmetic expression exactly and rounds the answer to some decimals."""

    decimals: int = 2

    name: ClassVar[str] = "Calculator"
    description: ClassVar[str] = "Works out an arithmetic expression: + - * / ^ % and brackets."

    def __post_init__(self) -> None:
        if not 0 <= self.decimals <= 50:
            raise ConfigError(f"Calculator(decimals={self.decimals}): 0 to 50 are possible")

    @cached_property
    def traits(self) -> Traits:
        """Answers depend on the number of decimals, so that remembered ones must not be mixed."""
        return Traits(version=f"1 ({self.decimals} decimals)", in_process=True, remember=True)

    def __call__(self, text: str, /) -> str:
        """The rounded value of the expression."""
        return _rounded(evaluate(text), self.decimals)


def evaluate(text: str) -> Value:
    """The exact value of the expression."""
    if len(text) > MAX_CHARS:
        raise ToolError(f"the expression has {len(text):,} characters; {MAX_CHARS:,} are allowed")
    question = plain(text).rstrip().removesuffix("?").rstrip().removesuffix("=")
    return _Reader(_tokens(question)).value()


def _rounded(value: Value, decimals: int) -> str:
    """The value with so many decimals at most, halves rounded up (away from zero), without trailing zeros."""
    numerator, denominator = value.as_integer_ratio()
    scale = 10**decimals
    scaled = (2 * abs(numerator) * scale + denominator) // (2 * denominator)
    if scaled >= 10 ** (MAX_DIGITS + decimals):
        raise ToolError(f"the answer has more than {MAX_DIGITS} digits")
    whole, rest = divmod(scaled, scale)
    sign = "-" if numerator < 0 and scaled else ""
    return f"{sign}{whole}.{rest:0{decimals}d}".rstrip("0").rstrip(".")


def _tokens(text: str) -> list[Value | str]:
    """Numbers as values, signs as strings; an empty string marks the end."""
    tokens: list[Value | str] = []
    currencies: set[str] = set()
    for match in _TOKEN.finditer(text):
        piece = match[match.lastgroup] if match.lastgroup else ""
        match match.lastgroup:
            case "number":
                tokens.append(_number(piece))
            case "sign":
                tokens.append("^" if piece == "**" else piece)
            case "times":
                tokens.append("*")
            case "currency":
                currencies.add(piece)
            case "other":
                raise ToolError(_unexpected(piece))
    if len(currencies) > 1:
        raise ToolError(f"different currencies ({' '.join(sorted(currencies))}) do not add up: convert them first")
    if not tokens:
        raise ToolError(f"the input holds no number; {_FORM}")
    tokens.append("")
    return tokens


def _number(piece: str) -> Value:
    value = exact(piece.replace(",", ""))
    if value is None:
        raise ToolError(f"{piece[:40]} is out of bounds")
    return value


def _unexpected(piece: str) -> str:
    if piece == ",":
        return "a comma only separates thousands, as in 1,234.5; the decimal sign is a point"
    if piece == "=":
        return "an equation is for the Solver; here only one = is allowed, at the end"
    return f"{piece[:40]!r} is neither a number nor a sign; {_FORM}, without words or units"


class _Reader:
    """Reads tokens by recursive descent and works out their value on the way."""

    def __init__(self, tokens: list[Value | str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._work = 0

    def value(self) -> Value:
        """The value of all tokens."""
        value = self._sum()
        piece = self._tokens[self._at]
        if piece == ")":
            raise ToolError("a ) closes no bracket")
        if isinstance(piece, str) and piece:
            raise ToolError(f"{piece!r} cannot stand where it does")
        if piece != "":
            raise ToolError("a sign is missing between two numbers")
        return value

    def _sum(self) -> Value:
        total, percentage = self._product()
        while (sign := self._tokens[self._at]) in ("+", "-"):
            self._at += 1
            value, lone = self._product()
            if lone and not percentage:
                value = self._bounded(total * value)
            percentage = percentage and lone
            total = self._bounded(total + value if sign == "+" else total - value)
        return total

    def _product(self) -> tuple[Value, bool]:
        """The value, and whether it is a percentage and nothing else."""
        value, percentage = self._factor()
        while (sign := self._tokens[self._at]) in ("*", "/", "of"):
            self._at += 1
            right, lone = self._factor()
            if sign == "of" and not percentage:
                raise ToolError("'of' only follows a percentage, as in 50% of 80")
            percentage = sign == "of" and lone
            value = self._bounded(quotient(value, right) if sign == "/" else value * right)
        return value, percentage

    def _factor(self) -> tuple[Value, bool]:
        value = self._signed()
        if self._tokens[self._at] != "%":
            return value, False
        self._at += 1
        return quotient(value, 100), True

    def _signed(self) -> Value:
        negative = False
        while (sign := self._tokens[self._at]) in ("-", "+"):
            negative ^= sign == "-"
            self._at += 1
        value = self._atom()
        if self._tokens[self._at] == "^":
            self._at += 1
            self._enter()
            value = self._bounded(power(value, self._signed()))
            self._depth -= 1
        return -value if negative else value

    def _atom(self) -> Value:
        piece = self._tokens[self._at]
        self._at += 1
        if not isinstance(piece, str):
            return piece
        if piece != "(":
            raise ToolError(f"a number is missing {f'before {piece!r}' if piece else 'at the end'}")
        self._enter()
        value = self._sum()
        if self._tokens[self._at] != ")":
            raise ToolError("a bracket is not closed, or a sign is missing in it")
        self._at += 1
        self._depth -= 1
        return value

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ToolError(f"brackets and powers are nested more than {MAX_DEPTH} deep")

    def _bounded(self, value: Value) -> Value:
        bits = value.numerator.bit_length() + value.denominator.bit_length()
        if bits > 256:
            self._work += bits
            if bits > MAX_BITS or self._work > MAX_WORK:
                raise ToolError("the numbers on the way to the answer grow too large")
        return value
