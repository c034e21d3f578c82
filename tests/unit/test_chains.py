"""Which earlier results an input builds on."""

import pytest

from toolformer.calls import Call
from toolformer.chains import uses

ADDED = Call("Calculator", "24 + 48", "72")
TODAY = Call("Calendar", "", "Today is Monday, November 30, 2026.")
FOUND = Call("WikiSearch", "tower in Paris", "The tower was built by Gustave Eiffel, who was born in Dijon.")


@pytest.mark.parametrize(
    ("before", "asked", "built_on"),
    [
        (["24 and 48 are ", ADDED, " 72, half is "], "72 / 2", (0,)),  # the text repeats what the result said first
        (["24 and 48 are 72: ", ADDED], "72 / 2", ()),  # the text said it first
        (["some are ", ADDED], "24 * 48", ()),  # what an earlier input said is of nobody's result
        (["some are ", Call("Calculator", "72 + 0", "72"), " so"], "72 / 2", ()),
        ([ADDED, " so ", Call("Calculator", "72 / 2", "36"), " and "], "72 + 36", (0, 1)),
        ([ADDED, " so ", Call("Calculator", "71 + 1", "72"), " and "], "72 + 1", (0,)),  # where it stood first
        (["", Call("Calculator", "2800 / 2", "1,400.0"), ""], "1400 / 7", (0,)),  # the same number, written otherwise
        (["", Call("Calculator", "1 / 2", "0.50"), ""], "0.5 * 4", (0,)),
        (["", Call("Calculator", "9 - 9", "00"), ""], "0 + 4", (0,)),
        (["The day is ", TODAY, " Monday, and "], "3 days after November 30, 2026", (0,)),
        (["On a Monday, 30 in all, ", TODAY], "Monday 30", ()),
        (["Who built it? ", FOUND], "Where was Eiffel born?", (0,)),
        (["Who built it? ", FOUND], "The who was born in it?", ()),  # no name, no number
        (["Gustave EIFFEL: ", FOUND], "Eiffel", ()),  # in whatever letters
        (["", Call("QA", "x", "x"), "", FOUND], "dijon", ()),  # not written like a name
        ([], "1 + 1", ()),
    ],
)
def test_an_input_uses_the_results_in_which_its_numbers_and_names_stood_first(
    before: list[str | Call], asked: str, built_on: tuple[int, ...]
) -> None:
    assert uses(before, asked) == built_on
