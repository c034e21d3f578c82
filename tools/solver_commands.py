"""What the solver can be asked, command by command."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy

from toolformer.errors import ToolError, unknown_name
from toolformer.tools.solver_equations import is_relation, solved
from toolformer.tools.solver_sympy import FUNCTIONS, build, spelled, variable
from toolformer.tools.solver_text import Apply, Name, Node

MAX_ANSWER = 1_000
"""Characters in an answer."""
MAX_FACTORED_BITS = 128
"""Bits of a whole number that is taken apart into primes."""


def answer(nodes: list[Node]) -> str:
    """The answer to a command, to equations, or, for a bare expression, its simplest form."""
    match nodes:
        case [Apply(head, arguments)] if head in _COMMANDS:
            command = _COMMANDS[head]
        case _ if any(is_relation(node) for node in nodes):
            command, arguments = _COMMANDS["solve"], tuple(nodes)
        case _:
            command, arguments = _COMMANDS["simplify"], tuple(nodes)
    for node in arguments:
        _refuse_unknown(node)
    if len(arguments) > command.arguments:
        raise ToolError(f"{len(arguments)} arguments are too many; write {command.example}")
    try:
        text = command.run(arguments)
    except NotImplementedError:
        raise ToolError("no way to work this out is known here") from None
    if len(text) > MAX_ANSWER:
        raise ToolError(f"the answer has {len(text):,} characters, more than anyone reads")
    return text


def _refuse_unknown(node: Node) -> None:
    """A word before a bracket has to be a function; a command cannot be part of a formula."""
    if isinstance(node, Apply):
        if node.head in _COMMANDS:
            raise ToolError(f"{node.head} stands alone: ask one thing at a time")
        if node.head.isalpha() and len(node.head) > 1 and node.head not in FUNCTIONS:
            raise ToolError(unknown_name("command or function", node.head, [*FUNCTIONS, *_COMMANDS]))
        for argument in node.arguments:
            _refuse_unknown(argument)


@dataclass(frozen=True)
class _Command:
    run: Callable[[Sequence[Node]], str]
    arguments: int
    example: str


def _only(arguments: Sequence[Node]) -> sympy.Expr:
    if len(arguments) != 1:
        raise ToolError(f"one expression at a time, found {len(arguments)}")
    return build(arguments[0])


def _simplify(arguments: Sequence[Node]) -> str:
    return spelled(sympy.simplify(_only(arguments)))


def _expand(arguments: Sequence[Node]) -> str:
    return spelled(sympy.expand(_only(arguments)))


def _factor(arguments: Sequence[Node]) -> str:
    formula = _only(arguments)
    if not formula.is_Integer:
        return spelled(sympy.factor(formula))
    if abs(formula.p).bit_length() > MAX_FACTORED_BITS:
        raise ToolError(f"only whole numbers up to 2^{MAX_FACTORED_BITS} are taken apart")
    powers = sympy.factorint(formula).items()
    return "*".join(str(prime) if power == 1 else f"{prime}^{power}" for prime, power in sorted(powers)) or "1"


def _gcd(arguments: Sequence[Node]) -> str:
    return spelled(sympy.gcd_list([build(argument) for argument in arguments]))


def _lcm(arguments: Sequence[Node]) -> str:
    return spelled(sympy.lcm_list([build(argument) for argument in arguments]))


def _diff(arguments: Sequence[Node]) -> str:
    formula = build(arguments[0])
    symbol = variable(arguments[1:], formula)
    times = build(arguments[2]) if len(arguments) == 3 else sympy.Integer(1)
    if not (times.is_Integer and 1 <= times <= 10):
        raise ToolError("a derivative is taken once to ten times, as in diff(x^5, x, 2)")
    return spelled(sympy.simplify(sympy.diff(formula, symbol, int(times))))


def _integrate(arguments: Sequence[Node]) -> str:
    formula = build(arguments[0])
    symbol = variable(arguments[1:], formula)
    if len(arguments) <= 2:
        return spelled(sympy.integrate(formula, symbol))
    if len(arguments) == 3:
        raise ToolError("an integral has two bounds or none, as in integrate(x^2, x, 0, 1)")
    low, high = build(arguments[2]), build(arguments[3])
    area = sympy.simplify(sympy.integrate(formula, (symbol, low, high)))
    if _contradicted(area, formula, symbol, low, high):
        raise ToolError("the exact integral and a sum over narrow strips do not agree, so neither is given")
    return spelled(area)


def _contradicted(area: sympy.Expr, formula: sympy.Expr, symbol: sympy.Symbol, *bounds: sympy.Expr) -> bool:
    """Whether strips show that the area cannot be right, as where an antiderivative jumps between the bounds."""
    if not all(value.is_number and value.is_finite for value in (area, *bounds)):
        return False
    low, high = map(float, bounds)
    sums = []
    for strips in (37, 64):
        width = (high - low) / strips
        heights = [formula.evalf(10, subs={symbol: low + (strip + 0.5) * width}) for strip in range(strips)]
        if not all(height.is_Float for height in heights):
            return False
        sums.append(float(sum(heights)) * width)
    coarse, fine = sums
    size = max(abs(fine), abs(float(area)), 1e-9)
    # Where the two sums differ, strips are no measure of this function.
    return abs(coarse - fine) < 0.05 * size and abs(fine - float(area)) > 0.2 * size


def _limit(arguments: Sequence[Node]) -> str:
    if len(arguments) < 3:
        raise ToolError("a limit needs an expression, a variable and a point, as in limit(sin(x)/x, x, 0)")
    formula, symbol, point = build(arguments[0]), variable(arguments[1:]), build(arguments[2])
    if len(arguments) == 4:
        side = _SIDES.get(arguments[3])
        if side is None:
            raise ToolError("the side of a limit is left or right, as in limit(1/x, x, 0, right)")
        return spelled(sympy.limit(formula, symbol, point, side))
    left, right = (sympy.limit(formula, symbol, point, side) for side in ("-", "+"))
    if point.is_finite and left != right and sympy.simplify(left - right) != 0:
        raise ToolError(f"no limit: from the left it is {spelled(left)}, from the right {spelled(right)}")
    return spelled(right)


_SIDES: dict[Node, str] = {Name("left"): "-", Name("right"): "+"}


def _solve(arguments: Sequence[Node]) -> str:
    unknowns = [node for node in arguments if isinstance(node, Name)]
    relations = [node for node in arguments if not isinstance(node, Name)]
    if not relations:
        raise ToolError("there is nothing to solve; write solve(x^2 - 4 = 0, x)")
    if len({is_relation(node) for node in relations}) == 2:
        raise ToolError("one part has a sign such as = and another has none; unknowns are single variables")
    return solved(relations, [variable([node]) for node in unknowns])


_COMMANDS = {
    "solve": _Command(_solve, 8, "solve(x^2 - 4 = 0, x)"),
    "simplify": _Command(_simplify, 1, "simplify(2x + 3x)"),
    "expand": _Command(_expand, 1, "expand((x + 1)^2)"),
    "factor": _Command(_factor, 1, "factor(x^2 - 1)"),
    "gcd": _Command(_gcd, 8, "gcd(12, 18)"),
    "lcm": _Command(_lcm, 8, "lcm(4, 6)"),
    "diff": _Command(_diff, 3, "diff(sin(x)^2, x)"),
    "integrate": _Command(_integrate, 4, "integrate(x^2, x, 0, 1)"),
    "limit": _Command(_limit, 4, "limit(sin(x)/x, x, 0)"),
}
