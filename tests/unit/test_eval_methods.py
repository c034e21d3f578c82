"""Other ways to ask: what the model writes by each method, which tools run, and what is taken for the answer."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ScriptedLM, script
from tests.finetune_texts import SMALL, saved, trained
from tests.unit.test_cli import status
from toolformer.errors import ConfigError, DataError
from toolformer.eval.evaluating import evaluate, load_tasks
from toolformer.eval.examples import Example
from toolformer.eval.methods import answers
from toolformer.eval.methods.ensemble import members_of
from toolformer.eval.methods.voted import elected
from toolformer.eval.outcomes import read_outcomes
from toolformer.eval.settings import METHODS, Settings
from toolformer.eval.tool_lm import Answer, Member, ToolLM
from toolformer.hf.source import find
from toolformer.loading import Loading
from toolformer.tools.calculator import Calculator

ASKED = "Ann had 4 eggs and found 3. How many?"
PROBLEM = Example(id="p", prompt=f"{ASKED} The answer is", answers=("7",), rule="number")
GREEDY: Mapping[str, Any] = {"until": ["\n\n"], "max_gen_toks": 48, "do_sample": False}


def behind(*texts: str) -> ScriptedLM:
    """A model that says these texts behind the question, whatever stands before it."""
    following = script(*(ASKED + text for text in texts))
    return ScriptedLM(follows=lambda said: following(said[said.rfind(ASKED) :]), context=100_000)


def asked(method: str, *texts: str) -> Answer:
    with ToolLM(behind(*texts), [Calculator()]) as lm:
        (answer,) = answers(method, lm, [PROBLEM], GREEDY)
    return answer


CHAIN = "\nAnswer: 4 and 3 are 7. The answer is 7.\nQuestion: more"
AS_TEXT = "\nAnswer: It is [Calculator(4 + 3) -> 7] 7. The answer is 7.\nQuestion: more"
FOLLOW_UPS = """
Are follow up questions needed here: Yes.
Follow up: 4 + 3
Intermediate answer: 7
Follow up: 7 * 1
Intermediate answer: 7
So the final answer is: 7
Question: more"""
THOUGHTS = """
Thought: I add.
Action: Calculator[4 + 3]
Observation: 7
Thought: Good.
Action: Finish[7]
Question: more"""


@pytest.mark.parametrize(
    ("method", "text", "answer", "calls"),
    [
        ("cot", CHAIN, "7.", []),
        ("few-shot", AS_TEXT, "7.", ["4 + 3"]),
        ("self-ask", FOLLOW_UPS, "7", ["4 + 3", "7 * 1"]),
        ("react", THOUGHTS, "7", ["4 + 3"]),
    ],
)
def test_a_method_asks_its_tools_and_takes_the_answer(method: str, text: str, answer: str, calls: list[str]) -> None:
    found = asked(method, text)
    assert (found.text, [made.call and made.call.input for made in found.calls]) == (answer, calls)
    assert text[text.index(":") + 1 :].startswith(found.raw)  # a result stands where the model would have gone on
    if method != "few-shot":  # of a fake, whose tokens are characters, each space begins the opening of a call as text
        assert not found.undone


def test_where_no_tool_answers_the_model_is_told_and_goes_on() -> None:
    text = THOUGHTS.replace("Calculator[4 + 3]", "Oracle[eggs]").replace("Observation: 7", "Observation: nothing found")
    found = asked("react", text)
    assert (found.text, found.calls) == ("7", ())
    (made,) = found.undone
    assert made.call is not None
    assert (made.call.tool, "Oracle" in made.reason) == ("Oracle", True)


def test_a_model_that_never_ends_is_asked_so_many_times() -> None:
    again = "\nThought: More.\nAction: Calculator[4 + 3]\nObservation: 7" * 20
    assert len(asked("react", again).calls) == 4


def test_texts_without_the_words_of_an_answer_are_taken_whole() -> None:
    assert asked("cot", "\nAnswer: 7 eggs\nQuestion:").text == "7 eggs"


def test_a_form_that_agrees_more_often_outvotes_two_that_guess() -> None:
    # The first form agrees with one of the others in eight of ten; the others agree with each other in the last alone.
    said = [[str(n), str(n), f"x{n}"] for n in range(4)] + [[str(n), f"y{n}", str(n)] for n in range(4, 8)]
    assert elected([*said, ["8", "z", "z"]])[:8] == [0] * 8
    assert elected([*said, *([["9", "a", "b"]] * 2)])[-2:] == [0, 0]
    assert elected([["", "5", "5"], ["", "", ""]]) == [1, 0]
    assert elected([]) == []


def test_forms_of_a_question_vote() -> None:
    said = {
        "In other words:": " Of 4 and 3 eggs, how many?\n",
        f"Solve this problem. {ASKED}\nThe number is": " 12\n",
        f"Question: {ASKED}\nAnswer:": " 7\n",
        f"{ASKED} The answer is": " 9\n",
        "Of 4 and 3 eggs, how many? The answer is": " 7\n",
        "Question: Of 4 and 3 eggs, how many?\nAnswer:": " 8\n",
    }

    def follows(text: str) -> dict[str, float]:
        for ending, reply in said.items():
            at = text.rfind(ending)
            if at >= 0 and reply.startswith(text[at + len(ending) :]) and text[at + len(ending) :] != reply:
                return {reply[len(text) - at - len(ending)]: 0.9}
        return {"?": 0.9}

    with ToolLM(ScriptedLM(follows=follows, context=100_000)) as lm:
        (answer,) = answers("ama", lm, [PROBLEM], GREEDY)
    assert (answer.text, answer.raw) == ("7", "9 | 7 | 12 | 7 | 8")


def saying(answer: str) -> ScriptedLM:
    prompt = str(PROBLEM.prompt)
    return ScriptedLM(follows=script(f"{prompt} {answer}"))


def test_learned_prompts_vote() -> None:
    members = [Member(str(n), str(n), partial(saying, answer)) for n, answer in enumerate(("9.", "7.", "7 eggs"))]
    told = []
    with ToolLM(saying("1"), [Calculator()], on_answer=lambda: told.append(1), members=members) as lm:
        (answer,) = answers("prompt-ensemble", lm, [PROBLEM], GREEDY)
    assert (answer.text, answer.raw, len(told)) == (" 7.", " 9. |  7. |  7 eggs", 1)
    with ToolLM(saying("1")) as lm, pytest.raises(ConfigError, match="needs learned prompts: name two or more"):
        answers("prompt-ensemble", lm, [PROBLEM], GREEDY)


def test_an_ensemble_is_of_several_learned_prompts_of_one_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = []
    for seed in (1, 2):
        config = replace(SMALL, how="prompt", steps=1, prompt_length=2, seed=seed)
        prompts.append(str(trained("builtin", tmp_path / str(seed), config).folder))
    one, other = members_of("builtin", prompts)
    assert one.fingerprint != other.fingerprint
    assert one.load().name == prompts[0]
    (tmp_path / "same").symlink_to(find("builtin", Loading())[0].place)
    assert members_of(str(tmp_path / "same"), prompts)[1].fingerprint == other.fingerprint
    with pytest.raises(ConfigError, match="needs two or more learned prompts, not 1"):
        members_of("builtin", prompts[:1] * 2)
    with pytest.raises(ConfigError, match="builtin-tools is no learned prompt: train one with how=prompt"):
        members_of("builtin", [*prompts, "builtin-tools"])
    with pytest.raises(ConfigError, match="is a learned prompt of builtin, and the model is "):
        members_of(saved("llama", tmp_path / "other"), prompts)
    (tmp_path / "svamp").mkdir()
    row = {"ID": "1", "Body": "Ann had 4 eggs and found 3.", "Question": "How many?", "Answer": 7.0}
    (tmp_path / "svamp" / "SVAMP.json").write_text(json.dumps([row]), "utf-8")
    run = ("eval", "--tasks", "svamp", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--tools", "calculator")
    named = [word for prompt in prompts for word in ("--prompts", prompt)]
    assert status(*run, "--method", "prompt-ensemble", *named) == 0
    assert "| builtin, prompt-ensemble" in capsys.readouterr().out
    header, _ = read_outcomes(tmp_path / "out" / "examples" / "svamp-k0-000.jsonl")
    assert header["calls"]["prompts"] == [one.fingerprint, other.fingerprint]
    assert status(*run, *named) == 2
    assert "--prompts goes with --method prompt-ensemble" in capsys.readouterr().err


def test_a_vote_is_the_decoders_own_way_with_several_samples() -> None:
    chosen = Settings(tasks=("svamp",), k=(0, 3), method="vote")
    assert (chosen.way, chosen.votes) == ("toolformer", 8)
    assert Settings(tasks=("svamp",), method="vote", vote=3).votes == 3
    assert Settings(tasks=("svamp",), k=(0,), method="cot", vote=3).votes == 3
    with pytest.raises(ConfigError, match="leave out vote, or need"):
        Settings(tasks=("svamp",), method="vote", need=True)


OWN_PROMPTS = ("toolformer", "reflect", "vote", "prompt-ensemble")


@pytest.mark.parametrize("method", [name for name in METHODS if name not in OWN_PROMPTS])
def test_each_prompt_shows_a_question_of_each_kind(method: str) -> None:
    model = behind("\nAnything\n\n")
    with ToolLM(model, [Calculator()]) as lm:
        found = answers(method, lm, [PROBLEM, Example(id="q", prompt=ASKED, question=ASKED, rule="qa")], GREEDY)
    assert len(found) == 2
    with ToolLM(model) as lm, pytest.raises(ConfigError, match="x asks for something else"):
        answers(method, lm, [Example(id="x", prompt=ASKED, rule="choice")], GREEDY)


def test_a_run_by_a_method_counts_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "svamp").mkdir()
    row = {"ID": "1", "Body": "Ann had 4 eggs and found 3.", "Question": "How many?", "Answer": 7.0}
    (tmp_path / "svamp" / "SVAMP.json").write_text(json.dumps([row]), "utf-8")
    settings = Settings(tasks=("svamp",), k=(0,), data=tmp_path, method="cot")
    model = behind("\nAnswer: 4 and 3 are 7. The answer is 7.\nQuestion: more")
    told = []
    (unit,) = evaluate(
        model, [], settings, tmp_path / "out", tasks=load_tasks(settings), on_progress=lambda one: told.append(one.done)
    )
    header, (outcome,) = read_outcomes(unit.path)
    assert (outcome.score, outcome.answer, header["calls"]["method"]) == (1.0, "7", "cot")
    assert max(told) == 1
    with pytest.raises(DataError, match="method"):
        evaluate(model, [], Settings(tasks=("svamp",), k=(0,), data=tmp_path), tmp_path / "out")


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="no method is called 'vot': did you mean vote?"):
        Settings(tasks=("svamp",), method="vot")
    with pytest.raises(ConfigError, match="k has no effect"):
        Settings(tasks=("svamp",), method="react")
    with pytest.raises(ConfigError, match="leave out one"):
        Settings(tasks=("svamp",), k=(0,), method="react", need=True)
    with ToolLM(behind()) as lm, pytest.raises(ConfigError, match="method"):
        answers("think", lm, [PROBLEM], GREEDY)
