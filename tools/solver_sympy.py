"""From the trees of solver_text.py to sympy's objects, and from those to text again.

Sizes are bounded before sympy works on anything: `_power` sees to numbers, `checked` to what multiplying out may bring.
"""

import math
import re
from collections.abc import Callable, Sequence

import sympy
from sympy.printing.str import StrPrinter

from toolformer.errors import ToolError
from toolformer.tools.solver_text import RELATIONS, Apply, Name, Node, Number

MAX_WEIGHT = 10_000
"""Bits of the largest number, or the highest degree, that an expression may come to when it is multiplied out."""
MAX_TERMS = 2_000
"""Terms that an expression may have when it is multiplied out."""

FUNCTIONS: dict[str, Callable[..., sympy.Expr]] = {
    "sqrt": sympy.sqrt, "cbrt": sympy.cbrt, "abs": sympy.Abs, "exp": sympy.exp, "ln": sympy.log, "log": sympy.log,
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec, "csc": sympy.csc,
    "asin": sympy.asin, "acos": sympy.acos, "atan": sympy.atan,
    "arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan,
    "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh, "erf": sympy.erf,
}  # fmt: skip
_CONSTANTS = {"pi": sympy.pi, "π": sympy.pi, "e": sympy.E} | dict.fromkeys(("infinity", "oo", "∞"), sympy.oo)
_SYMBOL = re.compile(
    r"(?:[^\W\d_]|alpha|beta|gamma|delta|epsilon|theta|lambda|mu|nu|rho|sigma|tau|phi|psi|omega)(?:_?\d{1,3})?"
)


def build(node: Node) -> sympy.Expr:
    """The tree as an expression, small enough to work with."""
    return checked(_built(node))


def variable(given: Sequence[Node], *expressions: sympy.Expr) -> sympy.Symbol:
    """The variable that is given, or the only one there is."""
    if given:
        symbol = _built(given[0])
        if not symbol.is_Symbol:
            raise ToolError(f"{spelled(symbol)[:40]} is no variable")
        return symbol
    symbols = sorted(set().union(*(expression.free_symbols for expression in expressions)), key=str)
    if len(symbols) != 1:
        found = ", ".join(map(str, symbols)) or "none"
        raise ToolError(f"which variable? There is: {found}. Name one after a comma")
    return symbols[0]


def _built(node: Node) -> sympy.Expr:
    match node:
        case Number(value):
            return sympy.Rational(value.numerator, value.denominator)
        case Name(text):
            return _named(text)
        case Apply(head, arguments) if head in FUNCTIONS:
            return _applied(head, [_built(argument) for argument in arguments])
        case Apply("+" | "-" | "*" | "/" | "^" as sign, (first, second)):
            return _combined(sign, _built(first), _built(second))
        case Apply(head) if head in RELATIONS:
            raise ToolError(f"{head} has no place inside an expression")
        case Apply(head):
            raise ToolError(f"{head[:40]} is no function known here; write {head[:40]}*(...) for a product")


def _named(text: str) -> sympy.Expr:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _SYMBOL.fullmatch(text):
        return sympy.Symbol(text, real=True)
    hint = f"; {text} needs brackets, as {text}(x)" if text in FUNCTIONS else ""
    raise ToolError(f"{text[:40]!r} is no variable: those are single letters, as x or x1{hint}")


def _applied(head: str, arguments: list[sympy.Expr]) -> sympy.Expr:
    if len(arguments) != 1 and not (head == "log" and len(arguments) == 2):
        raise ToolError(f"{head} takes one argument, found {len(arguments)}")
    return FUNCTIONS[head](*arguments)


def _combined(sign: str, first: sympy.Expr, second: sympy.Expr) -> sympy.Expr:
    match sign:
        case "+":
            return first + second
        case "-":
            return first - second
        case "*":
            return first * second
        case "/" if second.is_zero:
            raise ToolError("division by zero")
        case "/":
            return first / second
    return _power(first, second)


def _power(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    """sympy works powers of numbers out at once, whatever their size: hence the estimate."""
    if base.is_zero and exponent.is_negative:
        raise ToolError("division by zero: 0 to a negative power")
    factor, _ = exponent.as_coeff_Mul()  # 2^(10^9*x) becomes (2^(10^9))^x
    if factor.is_Rational and _weight(base) * abs(factor) > MAX_WEIGHT:
        raise ToolError("the power is too large")
    return base**exponent


def _weight(expression: sympy.Expr) -> float:
    """At most how many bits its numbers have, or how high its degree is, when it is multiplied out."""
    if expression.is_Rational:
        return float((max(abs(expression.p), expression.q) - 1).bit_length())
    if not expression.args:
        return 1
    if expression.is_Pow and expression.exp.is_Rational:
        return float(_weight(expression.base) * abs(expression.exp) + expression.exp.q.bit_length())
    weights = [_weight(argument) for argument in expression.args]
    return max(weights) + len(weights).bit_length() if expression.is_Add else sum(weights)


def _terms(expression: sympy.Expr) -> int:
    """At most how many terms it has when it is multiplied out; what is in a function stays there."""
    if expression.is_Add:
        return sum(_terms(argument) for argument in expression.args)
    if expression.is_Mul:
        return math.prod(_terms(argument) for argument in expression.args)
    if expression.is_Pow and expression.exp.is_Integer:
        terms, exponent = min(_terms(expression.base), MAX_TERMS + 1), abs(int(expression.exp))
        return math.comb(exponent + terms - 1, exponent)
    return 1


def checked(expression: sympy.Expr) -> sympy.Expr:
    """The expression itself, if it is a real one of bounded size."""
    if expression.has(sympy.nan, sympy.zoo):
        raise ToolError("it is not defined: a division by zero, or infinity minus infinity")
    if not _real(expression):
        raise ToolError("it is not a real number: a root or a logarithm of something negative, or an arcsine beyond 1")
    if _weight(expression) > MAX_WEIGHT or _terms(expression) > MAX_TERMS:
        raise ToolError("it becomes too large when it is multiplied out")
    return expression


class _Plain(StrPrinter):  # type: ignore[misc] # sympy has no types
    """sympy's spelling, except where it is Python's."""

    def _print_Exp1(self, _: sympy.Expr) -> str:  # noqa: N802 - sympy finds these by the class's name
        return "e"

    def _print_Infinity(self, _: sympy.Expr) -> str:  # noqa: N802
        return "infinity"

    def _print_NegativeInfinity(self, _: sympy.Expr) -> str:  # noqa: N802
        return "-infinity"

    def _print_Abs(self, expression: sympy.Expr) -> str:  # noqa: N802
        return f"abs({self._print(expression.args[0])})"

    def _print_log(self, expression: sympy.Expr) -> str:
        return f"ln({self._print(expression.args[0])})"

    def _print_Piecewise(self, expression: sympy.Expr) -> str:  # noqa: N802
        *pieces, (last, condition) = expression.args
        texts = [f"{self._print(value)} if {self._print(when)}" for value, when in pieces]
        texts.append(self._print(last) + ("" if condition == sympy.true else f" if {self._print(condition)}"))
        return ", else ".join(texts)

    def _print_Relational(self, relation: sympy.Basic) -> str:  # noqa: N802
        sign = {"==": "="}.get(relation.rel_op, relation.rel_op)
        return f"{self._print(relation.lhs)} {sign} {self._print(relation.rhs)}"

    def _print_And(self, condition: sympy.Basic) -> str:  # noqa: N802
        return " and ".join(sorted(map(self._print, condition.args)))

    def _print_Or(self, condition: sympy.Basic) -> str:  # noqa: N802
        return " or ".join(sorted(map(self._print, condition.args)))


_UNFINISHED = (sympy.Integral, sympy.Limit, sympy.Derivative, sympy.AccumBounds, sympy.RootSum, sympy.RootOf)
_KNOWN = {function for function in FUNCTIONS.values() if isinstance(function, type)} | {sympy.Piecewise}


def readable(expression: sympy.Basic) -> bool:
    """Whether it is real and made of functions that can also be written in a question."""
    unknown = {type(part) for part in expression.atoms(sympy.Function)} - _KNOWN
    return not unknown and not expression.has(*_UNFINISHED) and _real(expression)


def _real(expression: sympy.Basic) -> bool:
    """Whether nothing in it is known not to be real; what depends on variables has the benefit of the doubt."""
    parts = sympy.preorder_traversal(expression)
    return not any(isinstance(part, sympy.Expr) and part.is_extended_real is False for part in parts)


def spelled(expression: sympy.Basic) -> str:
    """The expression in the spelling that solver_text.py reads, or a ToolError where there is none."""
    if expression.has(sympy.nan, sympy.zoo):
        raise ToolError("it is not defined")
    if not readable(expression):
        raise ToolError("there is no real answer in the functions known here")
    return str(_Plain().doprint(expression)).replace("**", "^")
