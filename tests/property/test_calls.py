"""Whatever the input and the result: either format refuses with a reason, or find gives the call back."""

from hypothesis import example, given
from hypothesis import strategies as st

from toolformer import Call, CallFormatError, CallSyntax

MARKERS = ["<API>", "→", "</API>", " [", "->", "]", ")]", ") ->", "(", ")", " ", "\n", "[Calculator(", "<API> QA("]
NASTY = st.lists(st.one_of(st.sampled_from(MARKERS), st.text(max_size=5)), max_size=8).map("".join)
CALLS = st.builds(Call, st.one_of(st.sampled_from(["Calculator", "QA"]), NASTY), NASTY, st.none() | NASTY)
SYNTAXES = st.sampled_from([CallSyntax.TEXT, CallSyntax.TOKENS])


@given(SYNTAXES, CALLS)
@example(CallSyntax.TEXT, Call("QA", "", " "))
@example(CallSyntax.TOKENS, Call("QA", " x ", "x "))
def test_read_back_or_refused(syntax: CallSyntax, call: Call) -> None:
    try:
        text = syntax.format(call)
    except CallFormatError:
        return
    (found,) = syntax.find(text)
    assert (found.call, found.start, found.end) == (call, 0, len(text))


@given(SYNTAXES, CALLS, NASTY, NASTY)
def test_find_never_fails_and_never_overlaps(syntax: CallSyntax, call: Call, before: str, after: str) -> None:
    try:
        text = before + syntax.format(call) + after
    except CallFormatError:
        text = before + call.input + after
    end = 0
    for found in syntax.find(text):
        assert end <= found.start < found.end <= len(text)
        end = found.end


@given(SYNTAXES, st.builds(Call, st.just("QA"), st.text(), st.none() | st.text()))
def test_parts_hold_the_whole_call(syntax: CallSyntax, call: Call) -> None:
    text = "".join(part.text for part in syntax.parts(call))
    assert call.input in text
    assert (call.result or "") in text
    assert [part.text for part in syntax.parts(call) if part.control] == [
        token for token in syntax.control_tokens if call.result is not None or token != syntax.control_tokens[1]
    ]
