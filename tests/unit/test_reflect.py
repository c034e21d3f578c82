"""A draft, reviewed with all of it in view, and revised: where calls are tried, what changes a text, when it ends."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.fakes import ScriptedLM, script
from toolformer.calls import Call
from toolformer.decode.decoder import Decoder
from toolformer.decode.options import Options
from toolformer.errors import ConfigError
from toolformer.eval.examples import Example
from toolformer.eval.methods import answers
from toolformer.eval.tool_lm import ToolLM
from toolformer.reflect import PLACES, Reflection, Reflector
from toolformer.toolbox import Toolbox
from toolformer.tools.calculator import Calculator

PROMPT = "Ann had 4 eggs and found 3, so she has"
CALLED = "<API> Calculator(4 + 3)→ 7</API>"
WRONG, RIGHT = " 8 eggs.", " 7 eggs."


def reviewer(draft: str, called: str, rest: str, opens: Mapping[int, float]) -> ScriptedLM:
    """A model that writes a draft, would call at some of its characters, and behind the call goes on with the rest."""
    following = script(PROMPT + draft, f"{PROMPT}{called}{rest}")

    def follows(said: str) -> Mapping[str, float]:
        again = said[said.rindex(PROMPT) :]
        if again == PROMPT and said != PROMPT:  # the draft stands before it, and a call is likely
            return {"<API>": 0.9}
        return following(again)

    def likely(prompt: str, text: str, position: int) -> float:
        assert prompt == f"{text}\n"  # what stands behind the place is known
        return opens.get(position - len(PROMPT), 0.0)

    return ScriptedLM(opens=likely, follows=follows)


def reflect(model: ScriptedLM, rounds: int = 2, **changes: Any) -> Reflection:
    with Toolbox([Calculator()]) as box:
        reflector = Reflector(Decoder(model, box), Options(max_new_tokens=20).changed(**changes))
        (found,) = reflector.run([model.encode(PROMPT).ids], rounds)
    return found


def test_a_call_that_changes_the_text_is_put_in_and_the_rest_is_written_anew() -> None:
    found = reflect(reviewer(WRONG, CALLED, RIGHT, {0: 0.9}))
    assert (found.text, found.calls) == (RIGHT, (Call("Calculator", "4 + 3", "7"),))
    assert found.drafts == (WRONG, CALLED + RIGHT)
    assert [(one.draft, one.start, one.verdict) for one in found.reviews] == [(0, 0, "changed")]
    assert found.settled
    assert str(found) == (
        f"draft: {WRONG}\n  review at 0 (rank 0): Calculator(4 + 3) gave 7: changed\nrevision: {CALLED}{RIGHT}"
    )


def test_a_draft_that_the_result_confirms_stays() -> None:
    found = reflect(reviewer(RIGHT, CALLED, RIGHT, {0: 0.9}))
    assert (found.text, found.calls, found.drafts, found.settled) == (RIGHT, (), (RIGHT,), True)
    assert [one.verdict for one in found.reviews] == ["confirmed"]


def test_a_call_without_a_result_changes_nothing() -> None:
    found = reflect(reviewer(WRONG, "<API> Calculator(4 / 0)→", "", {0: 0.9}))
    assert (found.text, found.calls, [one.verdict for one in found.reviews]) == (WRONG, (), ["failed"])


def test_only_places_within_k_are_tried_and_no_more_than_a_few() -> None:
    likely = dict.fromkeys(range(1, 8), 0.9)
    assert [one.start for one in reflect(reviewer(WRONG, CALLED, RIGHT, likely), k=1).reviews] == [0]
    many = reflect(reviewer(WRONG, CALLED, RIGHT, likely), rounds=1, k=10_000).reviews
    assert [(one.start, one.verdict) for one in many] == [(start + 1, "failed") for start in range(PLACES)]


def test_a_text_that_asks_already_is_not_changed_again() -> None:
    model = reviewer(WRONG, CALLED, RIGHT, {0: 0.9})
    begun, follows = RIGHT[:4], model.follows
    writes = script(f"{PROMPT}{CALLED}{begun}{CALLED}")

    def asks_again(said: str) -> Mapping[str, float]:
        if said.endswith(f"\n{PROMPT}{begun}"):
            return {"<API>": 0.9}
        return writes(said) if said.startswith(f"{PROMPT}{CALLED}{begun}<API>") else follows(said)

    model.follows = asks_again
    found = reflect(model)
    assert (found.text, len(found.calls)) == (RIGHT, 1)
    assert [one.verdict for one in found.reviews] == ["changed", "confirmed"]


def test_as_many_rounds_as_are_allowed() -> None:
    found = reflect(reviewer(WRONG, CALLED, RIGHT, {0: 0.9}), rounds=1)
    assert (found.text, found.settled) == (RIGHT, False)
    assert reflect(reviewer(WRONG, CALLED, RIGHT, {0: 0.9}), rounds=0).drafts == (WRONG,)


def test_a_stop_string_is_no_part_of_the_text() -> None:
    assert reflect(reviewer(WRONG, CALLED, RIGHT, {0: 0.9}), stop=(".",)).text == " 7 eggs"


def test_a_model_that_cannot_review_is_refused() -> None:
    model = reviewer(WRONG, CALLED, RIGHT, {})
    model.reads_apart = True
    with Toolbox() as box, pytest.raises(ConfigError, match="cannot review a draft"):
        Reflector(Decoder(model, box), Options())


def test_it_is_a_method_of_eval() -> None:
    example = Example(id="p", prompt=PROMPT, answers=("7",), rule="number")
    with ToolLM(reviewer(WRONG, CALLED, RIGHT, {0: 0.9}), [Calculator()], Options(k=0)) as lm:
        (answer,) = answers("reflect", lm, [example], {"until": ["\n\n"], "max_gen_toks": 20, "do_sample": False})
    assert (answer.text, answer.raw) == (RIGHT, CALLED + RIGHT)
    assert [made.call and made.call.input for made in answer.calls] == ["4 + 3"]
