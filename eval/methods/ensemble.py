"""Several learned prompts of one frozen model, which vote: `train` makes them with how=prompt, each with another seed.

One after the other they answer by the tasks' own prompts, with calls as text. Votes count by how often a learned prompt
agrees with the others' winners, as in `voted.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from lm_eval.api.instance import Instance

from toolformer.decode.options import Options
from toolformer.errors import ConfigError
from toolformer.eval.answers import judge
from toolformer.eval.examples import Example
from toolformer.eval.methods.voted import elected
from toolformer.eval.tool_lm import Answer, Member, ToolLM
from toolformer.hf import fetch, load
from toolformer.hf.shared import same_weights
from toolformer.hf.source import find
from toolformer.loading import Loading

_OPTIONS = Options(k=1, calls=4)


def members_of(model: str, prompts: Sequence[str], loading: Loading = Loading()) -> list[Member]:
    """The learned prompts by name or path, all of this model. None is loaded yet."""
    if len(set(prompts)) < 2:
        raise ConfigError(
            f"an ensemble needs two or more learned prompts, not {len(set(prompts))}: train them with how=prompt and "
            "several seeds"
        )
    base, _ = find(model, loading)
    members = []
    for name in prompts:
        source, adapter = find(name, loading)
        if adapter is None or adapter.kind != "PROMPT_TUNING":
            raise ConfigError(f"{name} is no learned prompt: train one with how=prompt")
        if not same_weights(source, base):
            raise ConfigError(
                f"{name} is a learned prompt of {source.name}, and the model is {base.name}: name that one"
            )
        members.append(Member(name, fetch(name, loading)[1], partial(load, name, **vars(loading))))
    return members


def ensemble(lm: ToolLM, examples: Sequence[Example], settings: Mapping[str, Any]) -> list[Answer]:
    """Of each example the answer that most of the prompts' trust is in."""
    if not lm.members:
        raise ConfigError("the method prompt-ensemble needs learned prompts: name two or more")
    by_member = []
    for member in lm.members:
        with lm.behind(member) as other:
            by_member.append(other.answers([_request(one, settings) for one in examples], told=False, base=_OPTIONS))
    for _ in examples:
        lm.on_answer()
    rows = [*zip(*by_member, strict=True)]
    said = [[judge(one.rule, answer.text, one.answers, one.choices).answer for answer in row]
            for one, row in zip(examples, rows, strict=True)]  # fmt: skip
    return [
        replace(row[place], raw=" | ".join(answer.raw for answer in row))
        for row, place in zip(rows, elected(said), strict=True)
    ]


def _request(one: Example, settings: Mapping[str, Any]) -> Instance:
    doc = {"rule": one.rule, "date": one.date, "without": one.without}
    return Instance("generate_until", doc, (one.prompt, dict(settings)), 0)
