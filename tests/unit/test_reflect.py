"""A draft, reviewed with all of it in view, and revised: where calls are tried, what changes a text, when it ends."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.fakes import ScriptedLM, script
from toolformer.decode.decoder import Decoder
from toolformer.decode.options import Options
from toolformer.errors import ConfigError
from toolformer.eval.examples import Example
from toolformer.eval.methods import answers
from toolformer.eval.tool_lm import ToolLM
from toolformer.generation import MadeCall
from toolformer.model import Toolformer
from toolformer.reflect import PLACES, Reflector
from toolformer.reflection import Draft, Reflection, Review
from toolformer.toolbox import Toolbox
from toolformer.tools.calculator import Calculator

PROMPT = "Ann had 4 eggs and found 3, so she has"
CALLED = "<API> Calculator(4 + 3)→ 7</API>"
WRONG, RIGHT = " 8 eggs.", " 7 eggs."


def reviewer(draft: str, called: str, rest: str, opens: Mapping[int, float], sure: float = 0.1) -> ScriptedLM:
    """A model that writes a draft, would call at some of its characters, and goes on behind the call with the rest.

    Its loss is `sure` behind a call, and 1 without.
    """
    following = script(PROMPT + draft, f"{PROMPT}{called}{rest}")

    def follows(said: str) -> Mapping[str, float]:
        again = said[said.rindex(PROMPT) :]
        if again == PROMPT and said != PROMPT:  # the draft stands before it, and a call is likely
            return {"<API>": 0.9}
        return following(again)

    def likely(prompt: str, text: str, position: int) -> float:
        assert prompt == f"{text}\n"  # what stands behind the place is known
        return opens.get(position - len(PROMPT), 0.0)

    def loss(prefix: str, text: str, position: int) -> float:
        assert prefix == ""
        return sure if called in text else 1.0

    return ScriptedLM(opens=likely, follows=follows, loss=loss)


def reflect(model: ScriptedLM, rounds: int = 2, **changes: Any) -> Reflection:
    with Toolbox([Calculator()]) as box:
        reflector = Reflector(Decoder(model, box), Options(max_new_tokens=20).changed(**changes))
        (found,) = reflector.run([model.encode(PROMPT).ids], rounds)
    return found


def test_a_call_that_changes_the_text_is_put_in_and_the_rest_is_written_anew() -> None:
    found = reflect(reviewer(WRONG, CALLED, RIGHT, {0: 0.9}))
    (call,) = found.calls
    assert (found.text, call) == (RIGHT, MadeCall("Calculator", "4 + 3", "7", call.probability, 0, 0))
    assert found.drafts == (WRONG, CALLED + RIGHT)
    assert [(one.draft, one.start, one.verdict) for one in found.reviews] == [(0, 0, "changed")]
    assert (found.why, found.end, found.raw) == ("settled", "end", CALLED + RIGHT)
    assert str(found) == (
        f"draft: {WRONG}\n  review at 0 (rank 0): Calculator(4 + 3) gave 7: changed (gain 0.90)\n"
        f"revision: {CALLED}{RIGHT}"
    )


def test_a_change_of_which_the_model_is_no_surer_than_of_the_draft_does_not_pay() -> None:
    found = reflect(reviewer(RIGHT, CALLED, WRONG, {0: 0.9}, sure=0.9))
    assert (found.text, found.calls, found.why) == (RIGHT, (), "settled")
    assert [(one.verdict, round(one.gain, 2)) for one in found.reviews] == [("no gain", 0.1)]


def test_words_are_compared_as_far_as_both_go() -> None:
    asked = []
    model = reviewer(" 8", CALLED, RIGHT, {0: 0.9})
    loss = model.loss

    def told(prefix: str, text: str, position: int) -> float:
        asked.append(text.removeprefix(PROMPT).removeprefix(CALLED))
        return loss(prefix, text, position)

    model.loss = told
    assert reflect(model).text == RIGHT
    assert asked == [" 8", " 7"]


def test_each_step_is_told_as_it_comes() -> None:
    with Toolformer(reviewer(WRONG, CALLED, RIGHT, {0: 0.9}), [Calculator()]) as writer:
        steps = list(writer.stream_reflection(PROMPT, max_new_tokens=20))
        many = writer.reflect([PROMPT, PROMPT], max_new_tokens=20)
    assert [type(one) for one in steps] == [Draft, Review, Draft, Reflection]
    assert steps[0] == Draft(0, 0, WRONG)
    assert steps[2] == Draft(0, 1, CALLED + RIGHT)
    assert [(one.row, one.text) for one in many] == [(0, RIGHT), (1, RIGHT)]


@pytest.mark.parametrize(
    ("draft", "why"),
    [("", "no words"), (" [Calculator(4 + 3) -> 8] [Calculator(1 + 1)]", "no words"), (WRONG, "context")],
)
def test_a_draft_with_nothing_to_review_says_why(draft: str, why: str) -> None:
    model = reviewer(draft, CALLED, RIGHT, {0: 0.9})
    model.context = 120 if why == "no words" else 2 * len(PROMPT) + 12
    found = reflect(model, max_new_tokens=60 if why == "no words" else 10)
    assert (found.text, found.reviews, found.why) == (draft, (), why)
    assert str(found).startswith(f"draft: {draft}\n  not reviewed: the draft ")


def test_a_revision_is_no_longer_than_was_allowed() -> None:
    model = reviewer(" 8 eggs, yes", " 8 <API> Calculator(4 + 3)→ 7</API>", "of them all", {3: 0.9})
    found = reflect(model, max_new_tokens=12, k=10_000, rounds=1)
    assert (found.text, found.end, len(found.drafts)) == (" 8 of them a", "length", 2)


def test_a_chat_keeps_what_reflection_came_to() -> None:
    with Toolformer(reviewer(WRONG, CALLED, RIGHT, {0: 0.9}), [Calculator()]) as writer:
        chat = writer.chat(max_new_tokens=20)
        assert [type(one) for one in chat.reflect(PROMPT)] == [Draft, Review, Draft, Reflection]
        asked, answer = chat.turns
        assert (asked.text, answer.text, [call.result for call in answer.calls]) == (PROMPT, RIGHT, ["7"])
        assert answer.ids is not None
        assert writer.model.decode(answer.ids) == CALLED + RIGHT
        chat.undo()
        next(chat.reflect(PROMPT))
        assert chat.turns == []


def test_a_draft_that_the_result_confirms_stays() -> None:
    found = reflect(reviewer(RIGHT, CALLED, RIGHT, {0: 0.9}))
    assert (found.text, found.calls, found.drafts, found.why) == (RIGHT, (), (RIGHT,), "settled")
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
    assert (found.text, found.why) == (RIGHT, "rounds")
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
