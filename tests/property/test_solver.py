"""The solver's parser raises nothing but ToolError, and reads back what the solver writes."""

import contextlib

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from toolformer.errors import ToolError
from toolformer.tools.solver import Solver
from toolformer.tools.solver_sympy import build, spelled
from toolformer.tools.solver_text import parse

X, Y = sympy.symbols("x y", real=True)

FORMULAS = st.recursive(
    st.one_of(
        st.integers(-20, 20).map(sympy.Integer), st.sampled_from([X, Y, sympy.pi, sympy.E, sympy.Rational(2, 3)])
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(inner, st.integers(-3, 3)).map(lambda pair: pair[0] ** pair[1]),
        inner.map(sympy.sin),
        inner.map(sympy.exp),
        inner.map(sympy.Abs),
        inner.map(lambda value: sympy.sqrt(value**2 + 1)),
        inner.map(lambda value: sympy.log(value**2 + 1)),
    ),
    max_leaves=6,
)


@given(FORMULAS)
@settings(deadline=None)
def test_reads_back_what_it_writes(formula: sympy.Expr) -> None:
    if formula.has(sympy.nan, sympy.zoo):
        with pytest.raises(ToolError, match="not defined"):
            spelled(formula)
        return
    text = spelled(formula)
    (node,) = parse(text)
    assert build(node) == made_again(formula), text


def made_again(formula: sympy.Basic) -> sympy.Basic:
    """The same from its leaves up: sympy leaves |(|2x|)| as 2 |(|x|)|, where a second look makes it 2 |x|."""
    return formula.func(*map(made_again, formula.args)) if formula.args else formula


@given(st.lists(st.integers(-30, 30), min_size=1, max_size=4))
@settings(deadline=None, max_examples=50)
def test_finds_the_roots_a_polynomial_was_made_of(roots: list[int]) -> None:
    question = "*".join(f"(x - ({root}))" for root in roots) + " = 0"
    assert Solver()(question) == " or ".join(f"x = {root}" for root in sorted(set(roots)))


@given(st.one_of(st.text(), st.text("0123456789.xyen+-*/^()=<>, sinlog²√≤\0", max_size=600)))
@settings(max_examples=300)
def test_reading_raises_nothing_but_tool_error(text: str) -> None:
    with contextlib.suppress(ToolError):
        assert parse(text)
