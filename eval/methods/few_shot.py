"""Tools are described and shown in the prompt, calls are written as text, and the decoder runs them.

A call opens where its bracket is the likeliest token, as a model without a decoder would write it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolformer.calls import CallSyntax
from toolformer.decode.options import Options
from toolformer.eval.examples import Example
from toolformer.eval.methods.prompts import Prompt, question_of
from toolformer.eval.methods.steps import request
from toolformer.eval.tool_lm import Answer, ToolLM

_OPTIONS = Options(k=1, calls=4)


def few_shot(
    lm: ToolLM, examples: Sequence[Example], prompts: Mapping[str, Prompt], settings: Mapping[str, Any]
) -> list[Answer]:
    """What the model writes, with its calls run."""
    requests = []
    for one in examples:
        prompt = prompts[one.rule]
        begun = prompt.begin(question_of(one.prompt, one.question))
        requests.append(request(begun, prompt, settings, {"date": one.date, "without": one.without}))
    answers = lm.answers(requests, base=_OPTIONS, syntax=CallSyntax.TEXT)
    finals = [prompts[one.rule].final(answer.text) for one, answer in zip(examples, answers, strict=True)]
    return [replace(answer, text=final) for answer, final in zip(answers, finals, strict=True)]
