"""Whatever the values: they are refused with a reason, or the text of the call gives them back."""

from hypothesis import example, given
from hypothesis import strategies as st

from toolformer import ToolError
from toolformer.arguments import Argument, read_arguments, write_arguments

PIECES = st.sampled_from(['"', ",", "=", " ", "b=1", "c=", "a", "\n", "2", "é"])
NASTY = st.lists(PIECES, max_size=8).map("".join)
VALUES = st.fixed_dictionaries(
    {}, optional={"a": NASTY, "b": st.integers() | NASTY, "c": st.booleans(), "d": st.floats()}
)
ARGUMENTS = (
    Argument("a", str, needed=False, by_position=False),
    Argument("b", int, needed=False),
    Argument("c", bool, needed=False),
    Argument("d", float, needed=False, by_position=False),
)


@given(VALUES)
@example({"a": '", b="1'})
@example({"a": 'x", c=1, d="1'})
def test_read_back_or_refused(values: dict[str, object]) -> None:
    try:
        text = write_arguments(ARGUMENTS, values)
    except ToolError:
        return
    read = read_arguments(ARGUMENTS, text)
    assert read.keys() == values.keys()
    assert all(read[name] == value or str(read[name]) == value for name, value in values.items())


@given(st.text())
def test_one_text_is_the_whole_call(value: str) -> None:
    one = (Argument("a", str),)
    assert write_arguments(one, {"a": value}) == value
    assert read_arguments(one, value) == {"a": value}
