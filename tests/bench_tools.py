"""How fast the calculator and the solver answer: `python -m tests.bench_tools`.

Prints one line a figure. Other work on the machine shows, most of all in the solver's: repeat it.
"""

import functools
import time
import timeit

from tests.unit.test_calculator import HOSTILE
from toolformer.errors import ToolError
from toolformer.toolbox import Toolbox
from toolformer.tools.calculator import Calculator
from toolformer.tools.solver import Solver

SHORT = ("400 / 1400", "27 + 4 * 2", "1,234.5 * 3")
QUESTIONS = ("x + 2 = 5", "solve(x^2 - 4 = 0, x)", "diff(sin(x)^2, x)", "x + y = 3, x - y = 1")


def calculator() -> None:
    """Short expressions a second on one core, and the longest that a hostile one takes."""
    calculate = Calculator()
    for expression in SHORT:
        # In seconds of the processor's, so that other work on the machine shows less.
        timer = timeit.Timer(functools.partial(calculate, expression), timer=time.process_time)
        seconds = min(timer.repeat(number=10_000, repeat=5))
        print(f"Calculator({expression}): {10_000 / seconds:,.0f} a second")
    slowest, name = max((_refusal(calculate, expression), name) for name, expression in HOSTILE.items())
    print(f"Calculator, slowest of {len(HOSTILE)} hostile expressions: {1e3 * slowest:.1f} ms ({name})")


def _refusal(calculate: Calculator, expression: str) -> float:
    """Seconds of the processor's, the least of five."""

    def refuse() -> None:
        try:
            calculate(expression)
        except ToolError:
            return
        raise AssertionError(f"{expression[:40]} was not refused")

    return min(timeit.repeat(refuse, number=1, repeat=5, timer=time.process_time))


def solver() -> None:
    """The first call, which starts the worker process, and later ones on the warm worker."""
    with Toolbox([Solver()]) as box:
        start = time.perf_counter()
        box.run("Solver", "x + 1 = 2")
        print(f"Solver, first call: {time.perf_counter() - start:.2f} s")
        for question in QUESTIONS:
            times = sorted(timeit.repeat(functools.partial(box.run, "Solver", question), number=1, repeat=20))
            print(f"Solver({question}): first {1e3 * times[-1]:.0f} ms, then {1e3 * times[len(times) // 2]:.1f} ms")


def main() -> None:
    """All of it."""
    calculator()
    solver()


if __name__ == "__main__":
    main()
