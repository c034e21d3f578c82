"""Solves equations, systems of them, and inequalities, in real numbers."""

from collections.abc import Sequence

import sympy
from sympy.functions.elementary.trigonometric import TrigonometricFunction
from sympy.solvers.inequalities import solve_univariate_inequality

from toolformer.errors import ToolError
from toolformer.tools.solver_sympy import build, checked, readable, spelled, variable
from toolformer.tools.solver_text import RELATIONS, Apply, Node

MAX_DEGREE = 60
"""Of a polynomial whose roots are looked for."""
MAX_UNKNOWNS = 6
"""In a system of equations."""
MAX_ROOT_CHARS = 60
"""A root whose formula is longer is given by its first digits."""

_NONE = "no real solution"


def is_relation(node: Node) -> bool:
    """Whether it is an equation or an inequality."""
    return isinstance(node, Apply) and node.head in RELATIONS


def solved(relations: Sequence[Node], unknowns: list[sympy.Symbol]) -> str:
    """All solutions, joined by "or". An expression without a sign is meant to be 0."""
    sides = [_sides(node) for node in relations]
    symbols = set().union(*(left.free_symbols | right.free_symbols for _, left, right in sides))
    for unknown in unknowns:
        if unknown not in symbols:
            raise ToolError(f"{unknown} does not occur in what is to be solved")
    differences = [checked(left - right) for _, left, right in sides]
    if not symbols:
        holds = (_COMPARISONS[sign](sympy.simplify(left - right), 0) for sign, left, right in sides)
        return "true" if all(truth == sympy.true for truth in holds) else "false"
    if any(sign != "=" for sign, _, _ in sides):
        return _region(sides, unknowns[0] if unknowns else variable([], *symbols))
    if len(differences) > 1 or len(unknowns) > 1:
        return _system(differences, unknowns)
    return _one(differences[0], unknowns[0] if unknowns else variable([], *symbols))


def _sides(node: Node) -> tuple[str, sympy.Expr, sympy.Expr]:
    if isinstance(node, Apply) and node.head in RELATIONS:
        left, right = node.arguments
        return node.head, build(left), build(right)
    return "=", build(node), sympy.Integer(0)


def _one(difference: sympy.Expr, unknown: sympy.Symbol) -> str:
    """The solutions of one equation in one unknown."""
    polynomial = difference.as_poly(unknown)
    if polynomial is not None and all(number.is_Rational for number in polynomial.all_coeffs()):
        return _joined(unknown, _polynomial_roots(polynomial)) if polynomial else f"every real {unknown}"
    difference = sympy.simplify(difference)
    if difference == 0:
        return f"every real {unknown}"
    if _repeats(difference, unknown):
        return _periodic(difference, unknown)
    return _joined(unknown, sympy.solve(difference, unknown))


def _polynomial_roots(polynomial: sympy.Poly) -> list[sympy.Expr]:
    """The real roots, each once."""
    if polynomial.degree() > MAX_DEGREE:
        raise ToolError(f"its degree is {polynomial.degree()}; up to {MAX_DEGREE} is possible")
    return list(dict.fromkeys(polynomial.real_roots())) if polynomial.degree() else []


def _joined(unknown: sympy.Symbol, roots: list[sympy.Expr]) -> str:
    texts = [text for root in sorted(roots, key=_order) if (text := _root(unknown, root))]
    return " or ".join(texts) or _NONE


def _repeats(difference: sympy.Expr, unknown: sympy.Symbol) -> bool:
    """Whether the unknown stands in a sine or the like, so that there may be endlessly many solutions."""
    return any(part.has(unknown) for part in difference.atoms(TrigonometricFunction))


def _root(unknown: sympy.Symbol, root: sympy.Expr) -> str:
    """The root by its formula, or, where that is long or missing, by its first digits. Empty if it is not real."""
    if not root.is_number:
        return f"{unknown} = {spelled(root)}"
    real, imaginary = root.evalf(30).as_real_imag()
    if abs(imaginary) > sympy.Float("1e-20"):
        return ""
    if readable(root):
        text = spelled(root)
        if len(text) <= MAX_ROOT_CHARS:
            return f"{unknown} = {text}"
    return f"{unknown} ≈ {float(real):.5g}"


def _order(root: sympy.Expr) -> tuple[float, str]:
    """Numbers by their size, formulas behind them by their text."""
    return (float(sympy.re(root.evalf())), "") if root.is_number else (float("inf"), str(root))


def _periodic(difference: sympy.Expr, unknown: sympy.Symbol) -> str:
    """The solutions of an equation with sines and the like."""
    solutions = sympy.solveset(difference, unknown, sympy.S.Reals)
    parts = solutions.args if isinstance(solutions, sympy.Union) else [solutions]
    whole = sympy.Symbol("k" if unknown.name == "n" else "n", integer=True)
    texts: list[str] = []
    for part in parts:
        if isinstance(part, sympy.FiniteSet):
            texts += [f"{unknown} = {spelled(root)}" for root in sorted(part, key=_order)]
        elif isinstance(part, sympy.ImageSet) and part.base_sets == (sympy.S.Integers,):
            texts.append(f"{unknown} = {spelled(sympy.expand(part.lamda(whole)))}")
        elif part is not sympy.S.EmptySet:
            raise ToolError("its solutions cannot be written down in known functions")
    endless = any(isinstance(part, sympy.ImageSet) for part in parts)
    return (" or ".join(texts) + (f", for every whole {whole}" if endless else "")) or _NONE


def _system(differences: list[sympy.Expr], unknowns: list[sympy.Symbol]) -> str:
    unknowns = unknowns or sorted(set().union(*(difference.free_symbols for difference in differences)), key=str)
    if not 1 <= len(unknowns) <= MAX_UNKNOWNS:
        raise ToolError(f"a system has 1 to {MAX_UNKNOWNS} unknowns, found {len(unknowns)}")
    solutions = sympy.solve(differences, unknowns, dict=True)
    texts = []
    for solution in sorted(solutions, key=lambda solution: [_order(solution[u]) for u in unknowns if u in solution]):
        roots = [_root(unknown, solution[unknown]) for unknown in unknowns if unknown in solution]
        if all(roots):
            texts.append(", ".join(roots))
    return " or ".join(texts) or _NONE


_COMPARISONS = {"<": sympy.Lt, ">": sympy.Gt, "<=": sympy.Le, ">=": sympy.Ge, "=": sympy.Eq}


def _region(sides: list[tuple[str, sympy.Expr, sympy.Expr]], unknown: sympy.Symbol) -> str:
    """Where all the inequalities hold at once."""
    region = sympy.S.Reals
    for sign, left, right in sides:
        if others := (left - right).free_symbols - {unknown}:
            raise ToolError(f"an inequality is solved in one unknown; this one also has {min(map(str, others))}")
        if _repeats(left - right, unknown):
            raise ToolError("inequalities with sines and the like have endlessly many solutions, not written here")
        relation = _COMPARISONS[sign](left, right)
        if relation == sympy.false:
            return _NONE
        if relation != sympy.true:
            region &= solve_univariate_inequality(relation, unknown, relational=False)
    parts = region.args if isinstance(region, sympy.Union) else [region]
    return " or ".join(_part(part, unknown) for part in parts)


def _part(part: sympy.Set, unknown: sympy.Symbol) -> str:
    """A piece of the real line in words."""
    if part is sympy.S.EmptySet:
        return _NONE
    if part == sympy.S.Reals:
        return f"every real {unknown}"
    if isinstance(part, sympy.FiniteSet):
        return " or ".join(f"{unknown} = {spelled(root)}" for root in sorted(part, key=_order))
    if not isinstance(part, sympy.Interval):
        raise ToolError("its solutions cannot be written down as intervals")
    above, below = ("<" if part.left_open else "<="), ("<" if part.right_open else "<=")
    if part.start == -sympy.oo:
        return f"{unknown} {below} {spelled(part.end)}"
    if part.end == sympy.oo:
        return f"{unknown} {above.replace('<', '>')} {spelled(part.start)}"
    return f"{spelled(part.start)} {above} {unknown} {below} {spelled(part.end)}"
