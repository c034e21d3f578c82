"""Asks a model one task at one k: prompts and choices go in, outcomes with their verdicts come out."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.api.instance import Instance

from toolformer.errors import DataError
from toolformer.eval.answers import Verdict, judge
from toolformer.eval.call_statistics import vote
from toolformer.eval.examples import Example
from toolformer.eval.likelihood import encode_pair, roll, score
from toolformer.eval.methods import answers as by_method
from toolformer.eval.outcomes import Outcome, calls_of
from toolformer.eval.overlap import rouge
from toolformer.eval.settings import OURS
from toolformer.eval.tasks.mmlu import LETTERS
from toolformer.eval.tool_lm import Answer, ToolLM
from toolformer.lm import LanguageModel

_VOTE_TEMPERATURE = 0.7


def generates(task: Any) -> bool:
    """Whether the task is answered by a text, in which calls can be made."""
    return bool(task.OUTPUT_TYPE == "generate_until")


def ask(
    lm: ToolLM, task: Any, examples: Sequence[Example], votes: int, method: str, on_answer: Callable[[], None]
) -> list[Outcome]:
    """What came of each example. Texts tell the model's own `on_answer`, the rest this one."""
    if generates(task):
        return _generated(lm, examples, [*map(_doc, examples)], task.config.generation_kwargs, votes, method)
    asked = _rolled if task.OUTPUT_TYPE == "loglikelihood_rolling" else _chosen
    outcomes = []
    for example in examples:
        outcomes.append(asked(lm.model, example))
        on_answer()
    return outcomes


def ask_with_call(lm: ToolLM, task: Any, examples: Sequence[Example], places: Sequence[int]) -> list[Outcome]:
    """What comes of each example if a call opens at its place, counted in tokens of the text."""
    docs = [_doc(one) | {"call_at": place} for one, place in zip(examples, places, strict=True)]
    return _generated(lm, examples, docs, task.config.generation_kwargs, votes=1)


def _doc(example: Example) -> dict[str, Any]:
    """What the model with its tools has to know of an example."""
    return {"rule": example.rule, "date": example.date, "without": example.without}


def _generated(
    lm: ToolLM,
    examples: Sequence[Example],
    docs: Sequence[dict[str, Any]],
    settings: dict[str, Any],
    votes: int,
    method: str = OURS,
) -> list[Outcome]:
    """Every example's text, or the one that stands for several sampled ones."""
    kwargs = settings | ({"do_sample": True, "temperature": _VOTE_TEMPERATURE} if votes > 1 else {})
    if method == OURS:
        asked = [(doc, example.prompt) for example, doc in zip(examples, docs, strict=True) for _ in range(votes)]
        answers = lm.answers([Instance("generate_until", doc, (prompt, kwargs), 0) for doc, prompt in asked])
    else:
        answers = by_method(method, lm, [example for example in examples for _ in range(votes)], kwargs)
    return [_voted(example, answers[place * votes : (place + 1) * votes]) for place, example in enumerate(examples)]


def _voted(example: Example, answers: Sequence[Answer]) -> Outcome:
    judged = [_judged(example, answer.text) for answer in answers]
    place = vote([verdict.answer for verdict, _ in judged])
    (verdict, value), answer = judged[place], answers[place]
    return Outcome(
        id=example.id,
        group=example.group,
        chance=example.chance,
        prompt=example.prompt,
        answers=example.answers,
        text=answer.text,
        raw=answer.raw,
        answer=verdict.answer,
        score=value,
        calls=calls_of(answer),
        probability=answer.probability,
        rank=answer.rank,
        place=answer.place,
        cut=answer.cut,
        votes=sum(one.answer == verdict.answer for one, _ in judged),
    )


def _judged(example: Example, text: str) -> tuple[Verdict, float]:
    if example.rule == "overlap":
        value = rouge(text, example.answers)["rougeL"]
        return Verdict(text.strip(), right=value >= 1), value
    verdict = judge(example.rule, text, example.answers, example.choices)
    return verdict, float(verdict.right)


def _chosen(model: LanguageModel, example: Example) -> Outcome:
    """The likeliest of the letters."""
    letters = LETTERS[: len(example.choices)]
    pairs = [encode_pair(model, example.prompt, f" {letter}") for letter in letters]
    scores = [_finite(model, example, one.log_probability) for one in score(model, pairs)]
    letter = letters[scores.index(max(scores))]
    return Outcome(
        example.id,
        example.group,
        example.chance,
        example.prompt,
        example.answers,
        text=letter,
        raw=letter,
        answer=letter,
        score=float(letter in example.answers),
        cut=max(0, len(model.encode(example.prompt).ids) - len(pairs[0][0])),
    )


def _rolled(model: LanguageModel, example: Example) -> Outcome:
    rolled = roll(model, example.prompt)
    return Outcome(
        example.id,
        example.group,
        0.0,
        prompt="",  # it would be the whole text
        answers=(),
        text="",
        raw="",
        answer="",
        score=_finite(model, example, rolled.log_probability),
        tokens=rolled.tokens,
        words=example.words,
        size=len(example.prompt.encode("utf-8", "surrogatepass")),
    )


def _finite(model: LanguageModel, example: Example, value: float) -> float:
    if not math.isfinite(value):
        raise DataError(f"{model.name} scores {example.id} with {value}: its weights are damaged")
    return value
