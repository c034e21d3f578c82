"""Calls in a repeated text: found where they were put, whatever the text; and nothing else ever raised."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from toolformer import Call, CallSyntax
from toolformer.data_gen.samplers.align import ChangedTextError, new_calls

PLAIN = st.text(st.characters(exclude_characters="[", exclude_categories=["Cs"]), max_size=60)
NASTY = st.text(st.sampled_from("[]()->A1 \n\t\u00a0é世"), max_size=60)
INPUTS = st.text(st.sampled_from("abc 12+-*é"), max_size=8)


def behind(text: str, offset: int) -> int:
    """The end of the last thing before the offset that is not white space."""
    return len(text[:offset].rstrip())


@given(PLAIN, st.lists(st.tuples(st.integers(0, 60), INPUTS), max_size=4))
def test_what_was_put_in_is_found(text: str, wanted: list[tuple[int, str]]) -> None:
    places = sorted((min(offset, len(text)), what) for offset, what in wanted)
    reply, end = "", 0
    for offset, what in places:
        reply += text[end:offset] + CallSyntax.TEXT.format(Call("A", what))
        end = offset
    found = new_calls(reply + text[end:], text)
    assert [(call.input, at) for call, at in found] == [(what, behind(text, offset)) for offset, what in places]


@given(NASTY)
def test_a_text_repeated_as_it_is_has_no_new_call(text: str) -> None:
    assert new_calls(text, text) == []
    assert new_calls(f"\n {text} ", text) == []


@given(NASTY, NASTY)
def test_any_reply_is_read_or_refused(reply: str, text: str) -> None:
    with contextlib.suppress(ChangedTextError):
        for _, at in new_calls(reply, text):
            assert 0 <= at <= len(text)
