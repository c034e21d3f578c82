"""Base model against tool user: what counts as right, and where a call is counted."""

import math
from importlib.resources import files
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.fakes import ScriptedLM, script
from toolformer.builtin import corpus
from toolformer.builtin.compare import ADAPTER, begins_with, compared, cut, nearest_in, perplexity, sameness, score
from toolformer.builtin.corpus import Entry, TrueCall
from toolformer.calls import Call, CallSyntax
from toolformer.model import Toolformer
from toolformer.tools.calculator import Calculator

TEXT = "Anna had 31 stamps and got 14 more, so now Anna has 45 stamps."
ENTRY = Entry("a", TEXT, "sum", (TrueCall("Calculator", "31 + 14", "45", TEXT.index("45")),))


@pytest.mark.parametrize("text", [" 45 stamps", "45.", " 45, said Anna", " 45"])
def test_an_answer_may_be_followed_by_what_is_no_part_of_it(text: str) -> None:
    assert begins_with(text, "45")


@pytest.mark.parametrize("text", [" 457 stamps", " 45.7", " 45,000", " about 45", " 4 5", ""])
def test_a_longer_number_is_another_answer(text: str) -> None:
    assert not begins_with(text, "45")


def test_texts_are_cut_right_before_their_answer() -> None:
    for entry in corpus.load("held"):
        if entry.truth:
            prompt, answer = cut(entry)
            assert prompt == prompt.rstrip()
            assert begins_with(entry.text[len(prompt) :], answer)


def test_a_model_that_calls_is_right_with_its_tool_and_wrong_without() -> None:
    prompt, _ = cut(ENTRY)
    called = "".join(part.text for part in CallSyntax.TOKENS.parts(Call("Calculator", "31 + 14", "45")))
    says = script(f"{prompt}{called} 45 stamps.", f"{prompt} 12.")
    tf = Toolformer(ScriptedLM(follows=says), [Calculator()])
    asked, (made,) = score(tf, [ENTRY], 1)
    alone, _ = score(tf, [ENTRY], 0)
    assert (asked.right, asked.called) == (1.0, 1.0)
    assert made.calls[0].result == "45"
    assert (alone.right, alone.called) == (0.0, 0.0)


def test_an_opening_is_looked_for_anywhere_in_a_text_but_behind_its_last_token() -> None:
    syntax = CallSyntax.TOKENS

    def follows(said: str) -> dict[str, float]:
        if said in ("a", "abb"):
            return {"b": 0.5, syntax.open: 0.4} if said == "a" else {syntax.open: 0.9}
        return {"b": 0.9, "c": 0.05, "d": 0.04}

    model = ScriptedLM(follows=follows)
    (opening,) = model.encode_parts([syntax.opening])
    assert nearest_in(model, ["ab", "abbb"], opening) == [1, 0]
    assert nearest_in(model, ["b"], opening)[0] > 1


def test_perplexity_is_over_the_tokens_of_all_texts() -> None:
    model = ScriptedLM(loss=lambda prefix, text, position: 1.0 if text == "ab" else 4.0)
    assert perplexity(model, ["ab", "c"]) == pytest.approx(math.exp((1 + 1 + 4) / 3))


def test_a_part_of_the_texts_is_compared_without_the_built_in_models_floors() -> None:
    base, user = (Toolformer(ScriptedLM(follows=script("x")), []) for _ in range(2))
    lines = [*compared(base, user, 2)]
    assert [line.split("  ")[0] for line in lines[1:4]] == ["2 sums", "2 unseen facts", "2 dates"]
    assert not any("MISSED" in line or "at least" in line for line in lines[1:4])
    assert lines[4].startswith("2 plain texts")


def test_an_adapter_made_again_is_compared_in_every_weight(tmp_path: Path) -> None:
    shipped = load_file(str(files("toolformer.builtin") / "tools_adapter" / ADAPTER))
    name = sorted(shipped)[0]
    save_file(shipped, tmp_path / ADAPTER)
    assert "in every weight" in sameness(tmp_path)
    changed = {**shipped, name: shipped[name] + 0.5}
    save_file(changed, tmp_path / ADAPTER)
    assert "up to 0.5 a weight" in sameness(tmp_path)
    save_file({name: shipped[name]}, tmp_path / ADAPTER)
    assert "other settings" in sameness(tmp_path)
