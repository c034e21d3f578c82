"""The calculator agrees with `fractions` on whatever is arithmetic, and refuses everything else with a ToolError."""

import math
import random
import time
from fractions import Fraction

from hypothesis import example, given, settings
from hypothesis import strategies as st

from toolformer.errors import ToolError
from toolformer.tools.calculator import Calculator, evaluate

SIGNS = "0123456789.,+-*/^()%=xe $€£×÷−–·²³⁻٣３½\u00a0\u202f\0of"


def grown(random_: random.Random, depth: int) -> tuple[str, Fraction | None]:
    """A random expression with its value as `fractions` works it out; None for a division by zero."""
    if depth == 0 or random_.random() < 0.2:
        if random_.random() < 0.5:
            whole = random_.randrange(10_000)
            return f"{whole:,}" if random_.random() < 0.3 else str(whole), Fraction(whole)
        decimal = f"{random_.randrange(1_000)}.{random_.randrange(1_000):03d}"
        return decimal, Fraction(decimal)
    if random_.random() < 0.15:
        text, value = grown(random_, depth - 1)
        return f"-({text})", None if value is None else -value
    if random_.random() < 0.1:
        text, value = grown(random_, depth - 1)
        power = random_.randrange(-3, 4)
        written = f"({text}){random_.choice(['^', '**'])}{power}"
        return written, None if value is None or (value == 0 and power < 0) else value**power
    (left_text, left), (right_text, right) = grown(random_, depth - 1), grown(random_, depth - 1)
    sign = random_.choice("+-*/−×÷")
    space = random_.choice(["", " "])
    text = f"({left_text}){space}{sign}{space}({right_text})"
    if left is None or right is None or (sign in "/÷" and right == 0):
        return text, None
    match sign:
        case "+":
            return text, left + right
        case "-" | "−":
            return text, left - right
        case "*" | "×":
            return text, left * right
    return text, left / right


def value_of(text: str) -> int | Fraction | None:
    """What the calculator makes of it; None where it divides by zero."""
    try:
        return evaluate(text)
    except ToolError as error:
        if "division by zero" in str(error):
            return None
        raise


def outcome(text: str) -> tuple[str, str]:
    """The answer, or the reason why there is none."""
    try:
        return Calculator()(text), ""
    except ToolError as error:
        return "", str(error)


def test_agrees_with_fractions_on_10_000_expressions() -> None:
    random_ = random.Random(20261121)
    defined = 0
    for _ in range(10_000):
        text, expected = grown(random_, random_.randrange(1, 5))
        assert value_of(text) == expected, text
        defined += expected is not None
    assert defined > 9_500


@given(st.lists(st.tuples(st.sampled_from("+-*/"), st.integers(0, 50)), min_size=1, max_size=12))
def test_precedence_is_that_of_python(steps: list[tuple[str, int]]) -> None:
    text = "7" + "".join(f" {sign} {number}" for sign, number in steps)
    in_python = "F(7)" + "".join(f" {sign} F({number})" for sign, number in steps)
    try:
        expected = eval(in_python, {"F": Fraction})
    except ZeroDivisionError:
        expected = None
    assert value_of(text) == expected


@given(st.fractions(), st.integers(0, 12))
def test_rounds_once_with_halves_up(value: Fraction, decimals: int) -> None:
    text = Calculator(decimals=decimals)(f"({value.numerator}) / {value.denominator}")
    scaled = abs(value) * 10**decimals
    expected = Fraction(math.floor(scaled + Fraction(1, 2)), 10**decimals)
    assert Fraction(text) == (expected if value >= 0 else -expected)
    assert text != "-0"
    assert "." not in text or not text.endswith(("0", "."))


@given(st.one_of(st.text(), st.text(SIGNS), st.text(SIGNS, min_size=100, max_size=2_100)))
@settings(max_examples=500)
@example("9" * 5_000)
@example("1e999")
def test_raises_nothing_but_tool_error_and_in_time(text: str) -> None:
    start = time.process_time()
    answer, reason = outcome(text)
    assert bool(answer) != bool(reason)
    assert len(reason) < 200
    assert len(answer) < 1_000
    Fraction(answer or 0)
    assert time.process_time() - start < 0.2
