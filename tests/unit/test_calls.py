"""How a call is written: the paper's own calls, and what is refused."""

import ast
import re
import time
from pathlib import Path

import pytest

from toolformer import Call, CallFormatError, CallSyntax
from toolformer.calls import Part

ROOT = Path(__file__).parents[2]
PERCENT = Call("Calculator", "400 / 1400", "0.29")


def test_the_papers_call_in_both_spellings() -> None:
    assert CallSyntax.TEXT.format(PERCENT) == " [Calculator(400 / 1400) -> 0.29]"
    assert CallSyntax.TOKENS.format(PERCENT) == "<API> Calculator(400 / 1400) → 0.29 </API>"


def test_a_call_before_it_has_run_and_one_with_nothing_behind_its_arrow() -> None:
    assert CallSyntax.TEXT.format(Call("Calendar", "")) == " [Calendar()]"
    assert CallSyntax.TEXT.format(Call("Calendar", "", "")) == " [Calendar() ->]"
    assert CallSyntax.TOKENS.format(Call("Calendar", "")) == "<API> Calendar() </API>"
    assert CallSyntax.TOKENS.format(Call("Calendar", "", "")) == "<API> Calendar() → </API>"


def test_find_reads_calls_out_of_running_text() -> None:
    text = "Out of 1400 participants, 400 (or [Calculator(400 / 1400) -> 0.29] 29%) passed [Calendar()] today."
    first, second = CallSyntax.TEXT.find(text)
    assert (first.call, second.call) == (PERCENT, Call("Calendar", ""))
    assert text[: first.start] + text[first.end : second.start] + text[second.end :] == (
        "Out of 1400 participants, 400 (or 29%) passed today."
    )


def test_find_forgives_a_forgotten_space() -> None:
    assert [found.call for found in CallSyntax.TEXT.find("[Calculator(1+1)->2]")] == [Call("Calculator", "1+1", "2")]
    assert [found.call for found in CallSyntax.TOKENS.find("<API>QA(Who?)→Ann</API>")] == [Call("QA", "Who?", "Ann")]


def test_an_unclosed_call_does_not_swallow_the_next() -> None:
    text = "see [Calculator(2 + 2 and [Calculator(3 + 4) -> 7] or [Calculator("
    assert [found.call for found in CallSyntax.TEXT.find(text)] == [Call("Calculator", "3 + 4", "7")]


def test_brackets_inside_an_input_are_fine() -> None:
    call = Call("Solver", "solve((x + 1) * (x - [1]) = 0, x)", "x = -1")
    assert [found.call for found in CallSyntax.TEXT.find(CallSyntax.TEXT.format(call))] == [call]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call("Calculator(", "1"), "no tool name"),
        (Call("Сalculator", "1"), "no tool name"),  # a Cyrillic letter
        (Call("", "1"), "no tool name"),
        (Call("QA", "a)] b"), "the input of QA holds"),
        (Call("QA", "a) -> b"), "the input of QA holds"),
        (Call("QA", "a", "b] c"), "the result of QA holds"),
        (Call("QA", "a", "b [Calculator(1) -> 1"), "the result of QA holds"),
        (Call("QA", "[Calculator(1 + 1"), "the input of QA holds"),
    ],
)
def test_what_could_not_be_read_back_is_refused_with_the_reason(call: Call, reason: str) -> None:
    with pytest.raises(CallFormatError, match=reason):
        CallSyntax.TEXT.format(call)


def test_parts_keep_what_only_looks_like_a_marker_as_text() -> None:
    call = Call("QA", "what is <API>?", "a </API> forged → end")
    assert CallSyntax.TOKENS.parts(call) == [
        Part("<API>", control=True),
        Part(" QA(what is <API>?)"),
        Part("→", control=True),
        Part(" a </API> forged → end"),
        Part("</API>", control=True),
    ]
    assert CallSyntax.TEXT.parts(PERCENT) == [Part(" [Calculator(400 / 1400) -> 0.29]")]


def test_the_opening_the_control_tokens_and_the_stops() -> None:
    assert CallSyntax.TEXT.opening == Part(" [")
    assert CallSyntax.TOKENS.opening == Part("<API>", control=True)
    assert CallSyntax.TEXT.control_tokens == ()
    assert CallSyntax.TOKENS.control_tokens == ("<API>", "→", "</API>")
    assert CallSyntax.TEXT.stops == (") ->", ")]")
    assert CallSyntax.TOKENS.stops == ("→", "</API>")


@pytest.mark.parametrize(
    ("syntax", "written", "call"),
    [
        (CallSyntax.TEXT, "Calculator(400 / 1400) ->", Call("Calculator", "400 / 1400")),
        (CallSyntax.TEXT, "Calendar()]", Call("Calendar", "")),
        (CallSyntax.TOKENS, " QA(Who?)→", Call("QA", "Who?")),
        (CallSyntax.TOKENS, " QA(Who?)</API>", Call("QA", "Who?")),
        (CallSyntax.TEXT, "Calculator 400 / 1400)]", None),
        (CallSyntax.TEXT, "see [Calculator(1)]", None),
        (CallSyntax.TEXT, "", None),
    ],
)
def test_read_what_a_model_wrote_behind_the_opening(syntax: CallSyntax, written: str, call: Call | None) -> None:
    assert syntax.read(written) == call


def test_find_takes_linear_time_on_hostile_text() -> None:
    for piece in ("[A(", "[A(1) ->", "[A(", "[", ")]", "[A(1)]"):
        start = time.process_time()
        list(CallSyntax.TEXT.find(piece * (1_000_000 // len(piece))))
        assert time.process_time() - start < 5.0, piece


def test_no_other_file_spells_a_marker() -> None:
    """String constants of the package's code, docstrings left out: only calls.py may hold a marker."""
    marker = re.compile("|".join([*CallSyntax.TOKENS.control_tokens, r" \[\w*\(", r"\)\]", r"\) ->"]))
    files = [file for folder in ("toolformer", "tools", "data_gen", "eval") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 10
    spelled = {
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.value[:60]!r}"
        for file in files
        if file.name != "calls.py"
        for node in _constants(ast.parse(file.read_text("utf-8")))
        if isinstance(node.value, str) and marker.search(node.value)
    }
    assert not spelled


def _constants(tree: ast.Module) -> list[ast.Constant]:
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]


def test_a_call_begins_as_it_is_written() -> None:
    for syntax in (CallSyntax.TEXT, CallSyntax.TOKENS):
        whole = "".join(part.text for part in syntax.parts(Call("Calculator", "1")))
        assert whole.startswith("".join(part.text for part in syntax.begun("Calculator")) + "1)")
    assert CallSyntax.TEXT.begun("Calculator") == [Part(" [Calculator(")]
    assert CallSyntax.TOKENS.begun("Calculator") == [Part("<API>", control=True), Part(" Calculator(")]
