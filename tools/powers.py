"""Quotients, powers and roots of exact numbers, or a ToolError that says why there is none.

Sums and products are Python's own; how large all values of an expression may grow is for the calculator to watch.
"""

from fractions import Fraction

from toolformer.errors import ToolError

MAX_BITS = 16_384
"""Bits in one value, numerator and denominator together. (1 + 0.0475/12)^360, a mortgage, needs 8,800."""
MAX_ROOT = 64
"""The highest root that is looked for."""
MAX_ROOT_BITS = 512
"""Bits of what it is looked for in: a root takes many operations."""

Value = int | Fraction


def quotient(value: Value, divisor: Value) -> Value:
    """One number divided by another; a ToolError if that is zero."""
    if not divisor:
        raise ToolError("division by zero")
    exact = Fraction(value, divisor)
    return exact.numerator if exact.denominator == 1 else exact


def power(base: Value, exponent: Value) -> Value:
    """A number to a power, estimated before it is taken; a ToolError if it is too large, or not exact."""
    if exponent.denominator != 1:
        base, exponent = _root(base, exponent.denominator), exponent.numerator
    exponent = int(exponent)
    if exponent < 0 and not base:
        raise ToolError("division by zero: 0 to a negative power")
    # How many bits one more factor brings; none where the base is 0, 1 or -1.
    growth = (max(abs(base.numerator), base.denominator) - 1).bit_length()
    if growth * abs(exponent) > MAX_BITS:
        raise ToolError("the power is too large")
    return base**exponent if exponent >= 0 else quotient(1, base**-exponent)


def _root(value: Value, degree: int) -> Value:
    """The exact root, or a ToolError."""
    if value < 0:
        raise ToolError("a fractional power of a negative number is not real")
    if degree <= MAX_ROOT and max(value.numerator, value.denominator).bit_length() <= MAX_ROOT_BITS:
        top, bottom = _floor_root(value.numerator, degree), _floor_root(value.denominator, degree)
        if top**degree == value.numerator and bottom**degree == value.denominator:
            return quotient(top, bottom)
    raise ToolError("a fractional power is only taken where the root is exact, as in 8^(1/3), and small")


def _floor_root(number: int, degree: int) -> int:
    """The largest whole number whose power is not above `number`, by Newton's method from above."""
    root = 1 << -(-number.bit_length() // degree)
    while (closer := ((degree - 1) * root + number // root ** (degree - 1)) // degree) < root:
        root = closer
    return root
