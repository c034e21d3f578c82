"""The solver: exact algebra and calculus on formulas, by sympy, behind our own parser.

    solve(x^2 - 4 = 0, x)       x = -2 or x = 2
    x + 2 = 5                   x = 3                       an equation by itself is solved
    x + y = 3, x - y = 1        x = 2, y = 1                so are several
    x^2 < 4                     -2 < x < 2
    solve(x^5 = x + 1)          x ≈ 1.1673                  where no formula gives the root, five digits of it
    simplify, expand, factor, gcd, lcm, diff, integrate, limit: as in diff(sin(x)^2, x), integrate(x^2, x, 0, 1),
                                limit(sin(x)/x, x, 0), factor(x^2 - 1), gcd(12, 18)

Variables are single letters (x, x1, theta) and real numbers: x^2 = -1 has no real solution. e is Euler's number, log
the natural logarithm, log(x, 2) that to base 2. An indefinite integral is written without its constant.

No text reaches sympy: the tree that solver_text.py reads is bounded, then built into sympy's objects one by
one. What sympy then does cannot be bounded from inside, so a Toolbox runs this tool in a worker process and kills it at
its limits. Called directly, it has none.
"""

from dataclasses import dataclass
from typing import ClassVar

from toolformer.tool import Traits
from toolformer.tools.solver_text import parse


@dataclass(frozen=True)
class Solver:
    """Solves equations and does calculus, exactly."""

    name: ClassVar[str] = "Solver"
    description: ClassVar[str] = (
        "Does exact algebra: solve(x^2 - 4 = 0, x), simplify, expand, factor, gcd, lcm, diff, integrate, limit."
    )
    traits: ClassVar[Traits] = Traits(seconds=5.0, memory_mb=1_000, remember=True)

    def __call__(self, text: str, /) -> str:
        """The answer to one question."""
        from toolformer.tools.solver_commands import answer

        return answer(parse(text))

    def __reduce__(self) -> tuple[object, ...]:
        """A worker process loads sympy as it starts, not in its first call: it takes longer than most answers."""
        return _loaded, ()


def _loaded() -> Solver:
    solver = Solver()
    solver("x^2 = 4")
    return solver
