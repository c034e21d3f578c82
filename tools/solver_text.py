"""Reads formulas as people write them into trees. Knows no algebra and no names: what `sin` means is for others.

    2x^2 - 3(x + 1) = 0, x      [Apply("=", ...), Name("x")]

A product sign may be left out after a number or a bracket; where that could be read in two ways, it is refused.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from toolformer.errors import ToolError
from toolformer.tools.number_text import exact, plain

MAX_CHARS = 500
"""Longer formulas are refused."""
MAX_DEPTH = 25
"""Brackets, functions and powers inside one another."""
MAX_DIGITS = 50
"""Digits in one number."""


@dataclass(frozen=True)
class Number:
    """An exact number."""

    value: int | Fraction


@dataclass(frozen=True)
class Name:
    """A variable, a constant, or a word that a command understands."""

    text: str


@dataclass(frozen=True)
class Apply:
    """A sign (+ - * / ^ = < > <= >=) or a function, with what it stands between or holds in its brackets."""

    head: str
    arguments: "tuple[Node, ...]"


Node = Number | Name | Apply

RELATIONS = ("=", "<", ">", "<=", ">=")

_TOKEN = re.compile(
    r"\s*(?:(?P<scientific>(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+)|(?P<number>\d+\.?\d*|\.\d+)|(?P<name>[^\W\d_]\w*|∞)"
    r"|(?P<sign>\*\*|<=|>=|==|[-+*/^()=<>,])|(?P<other>\S)|$)"
)
_SPELLINGS = {"**": "^", "==": "="}
_ORDERS = str.maketrans({"≤": "<=", "≥": ">=", "≦": "<=", "≧": ">="})


def parse(text: str) -> list[Node]:
    """What stands between the commas of the text."""
    if len(text) > MAX_CHARS:
        raise ToolError(f"the formula has {len(text):,} characters; {MAX_CHARS} are allowed")
    if not text.strip():
        raise ToolError("the input is empty; write a formula such as x^2 - 4 = 0")
    return _Parser(_tokens(plain(text).translate(_ORDERS))).statement()


def _tokens(text: str) -> list[Node | str]:
    """Numbers and names as nodes, signs as strings; an empty string marks the end."""
    tokens: list[Node | str] = []
    for match in _TOKEN.finditer(text):
        piece = match[match.lastgroup] if match.lastgroup else ""
        match match.lastgroup:
            case "number":
                tokens.append(_number(piece))
            case "name":
                tokens.append(Name(piece))
            case "sign":
                tokens.append(_SPELLINGS.get(piece, piece))
            case "scientific":
                raise ToolError(f"{piece[:40]} can be read in two ways: write 5*10^3, or 5*e^3 for Euler's number")
            case "other":
                raise ToolError(f"{piece!r} has no place in a formula; write one such as x^2 - 4 = 0")
    return [*tokens, ""]


def _number(piece: str) -> Number:
    if len(piece) > MAX_DIGITS:
        raise ToolError(f"a number has {len(piece)} digits; {MAX_DIGITS} are allowed")
    value = exact(piece)
    assert value is not None, "a number without an exponent is in bounds"
    return Number(value)


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[Node | str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def statement(self) -> list[Node]:
        """Everything, from the first piece to the last."""
        nodes = self._list()
        piece = self._tokens[self._at]
        if piece == ")":
            raise ToolError("a ) closes no bracket")
        if piece != "":
            raise ToolError(f"a sign is missing before {_shown(piece)}")
        return nodes

    def _list(self) -> list[Node]:
        nodes = [self._relation()]
        while self._next_is(","):
            nodes.append(self._relation())
        return nodes

    def _relation(self) -> Node:
        left = self._sum()
        sign = self._tokens[self._at]
        if not isinstance(sign, str) or sign not in RELATIONS:
            return left
        self._at += 1
        node = Apply(sign, (left, self._sum()))
        if self._tokens[self._at] in RELATIONS:
            raise ToolError("one = or < at a time: write x > 1, x < 3 instead of 1 < x < 3")
        return node

    def _sum(self) -> Node:
        left = self._product()
        while (sign := self._tokens[self._at]) in ("+", "-"):
            self._at += 1
            left = Apply(str(sign), (left, self._product()))
        return left

    def _product(self) -> Node:
        left, divided = self._signed(), False
        while True:
            piece = self._tokens[self._at]
            if piece in ("*", "/"):
                self._at += 1
                left, divided = Apply(str(piece), (left, self._signed())), piece == "/"
            elif isinstance(piece, Name) or piece == "(":
                if divided:
                    raise ToolError("a quotient before a product without a sign, as 1/2x: write 1/(2*x) or (1/2)*x")
                left = Apply("*", (left, self._power()))
            else:
                return left

    def _signed(self) -> Node:
        negative = False
        while (sign := self._tokens[self._at]) in ("-", "+"):
            negative ^= sign == "-"
            self._at += 1
        node = self._power()
        return Apply("*", (Number(-1), node)) if negative else node

    def _power(self) -> Node:
        base = self._atom()
        if not self._next_is("^"):
            return base
        self._enter()
        exponent = self._signed()
        self._depth -= 1
        return Apply("^", (base, exponent))

    def _atom(self) -> Node:
        piece = self._tokens[self._at]
        self._at += 1
        if isinstance(piece, Name):
            return Apply(piece.text, self._bracket()) if self._next_is("(") else piece
        if not isinstance(piece, str):
            return piece
        if piece != "(":
            raise ToolError(f"something is missing {f'before {piece!r}' if piece else 'at the end'}")
        nodes = self._bracket()
        if len(nodes) != 1:
            raise ToolError("a comma stands between a function's arguments only")
        return nodes[0]

    def _bracket(self) -> tuple[Node, ...]:
        """What an open bracket holds, up to the one that closes it."""
        self._enter()
        nodes = self._list()
        if not self._next_is(")"):
            raise ToolError("a bracket is not closed, or a sign is missing in it")
        self._depth -= 1
        return tuple(nodes)

    def _next_is(self, sign: str) -> bool:
        """Whether this sign comes next; if so, it is passed."""
        found = self._tokens[self._at] == sign
        self._at += found
        return found

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ToolError(f"brackets and powers are nested more than {MAX_DEPTH} deep")


def _shown(piece: Node | str) -> str:
    if isinstance(piece, Name):
        return piece.text[:40]
    return str(piece.value) if isinstance(piece, Number) else repr(piece)
