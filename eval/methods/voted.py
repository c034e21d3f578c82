"""Ask me anything (Arora et al. 2022): a question in several forms, whose answers vote by how much they can be trusted.

Nobody says which answers are right. How far a form can be trusted is how often it agrees with the others, as in weak
supervision: votes and trust are found in turns, until they stay.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from toolformer.eval.answers import judge
from toolformer.eval.examples import Example
from toolformer.eval.methods.prompts import SLOT, Prompt, question_of
from toolformer.eval.methods.steps import write
from toolformer.eval.tool_lm import Answer, ToolLM

_ROUNDS = 20
_REWRITTEN = "{rewritten}"


def reworded(
    lm: ToolLM, examples: Sequence[Example], prompts: Mapping[str, Prompt], settings: Mapping[str, Any]
) -> list[Answer]:
    """Of each example the answer that most of its forms' trust is in."""
    found: dict[int, Answer] = {}
    for rule, prompt in prompts.items():
        places = [place for place, one in enumerate(examples) if one.rule == rule]
        if places:
            found |= zip(places, _of_one_kind(lm, [examples[place] for place in places], prompt, settings), strict=True)
    for _ in examples:
        lm.on_answer()
    return [found[place] for place in range(len(examples))]


def _of_one_kind(lm: ToolLM, examples: Sequence[Example], prompt: Prompt, settings: Mapping[str, Any]) -> list[Answer]:
    questions = [question_of(one.prompt, one.question) for one in examples]
    begun = [prompt.begin(one) for one in questions]
    others = write(lm, begun, prompt, settings)
    rewritten = [other.strip() or one for other, one in zip(others, questions, strict=True)]
    forms = []
    for form in prompt.reworded:
        asked = [
            form.replace(SLOT, one).replace(_REWRITTEN, other) for one, other in zip(questions, rewritten, strict=True)
        ]
        forms.append([prompt.final(text) for text in write(lm, asked, prompt, settings)])
    said = [[judge(one.rule, text, one.answers, one.choices).answer for text in texts]
            for one, texts in zip(examples, zip(*forms, strict=True), strict=True)]  # fmt: skip
    chosen = elected(said)
    return [
        Answer(forms[form][place], " | ".join(texts[place] for texts in forms), (), (), 0.0, -1, -1, 0)
        for place, form in enumerate(chosen)
    ]


def elected(said: Sequence[Sequence[str]]) -> list[int]:
    """For each example the first form that gave the winning answer. An empty answer has no vote.

    A form's trust is the log-odds of agreeing with the winners, so a form that is right more often outvotes two that
    guess.
    """
    forms = max(map(len, said), default=0)
    trust = [1.0] * forms
    winners: list[str] = []
    for _ in range(_ROUNDS):
        before, winners = winners, [_winner(one, trust) for one in said]
        if winners == before:
            break
        trust = [_log_odds([one[form] == win for one, win in zip(said, winners, strict=True) if one[form]])
                 for form in range(forms)]  # fmt: skip
    return [one.index(win) if win else 0 for one, win in zip(said, winners, strict=True)]


def _winner(said: Sequence[str], trust: Sequence[float]) -> str:
    votes: dict[str, float] = defaultdict(float)
    for answer, weight in zip(said, trust, strict=True):
        if answer:
            votes[answer] += weight
    return max(votes, key=lambda answer: votes[answer]) if votes else ""


def _log_odds(agreed: Sequence[bool]) -> float:
    """Of agreeing, as if one vote of each kind had been seen before; never below zero: a form is not turned around."""
    return max(0.0, math.log((sum(agreed) + 1) / (len(agreed) - sum(agreed) + 1)))
