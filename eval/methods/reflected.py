"""A draft, reviewed and revised (`toolformer.reflect`), behind the tasks' own prompts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from toolformer.calls import Call
from toolformer.decode.options import Options
from toolformer.eval.examples import Example
from toolformer.eval.tool_lm import Answer, Made, ToolLM, facts_of, options_of
from toolformer.reflect import Reflection, Reflector, Review

_ROUNDS = 2


def reflected(lm: ToolLM, examples: Sequence[Example], settings: Mapping[str, Any]) -> list[Answer]:
    """What each example's draft comes to. Those with the same tools go through the model together."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, one in enumerate(examples):
        groups[one.without].append(place)
    found: dict[int, Answer] = {}
    for places in groups.values():
        docs = [{"without": examples[place].without, "date": examples[place].date} for place in places]
        reflector = Reflector(lm.decoder(docs[0]), options_of(Options(late_stop=True), settings))
        prompts = [lm.model.encode(examples[place].prompt).ids for place in places]
        come = reflector.run(prompts, _ROUNDS, [*map(facts_of, docs)])
        found |= zip(places, map(_answer, come), strict=True)
    for _ in examples:
        lm.on_answer()
    return [found[place] for place in range(len(examples))]


def _answer(come: Reflection) -> Answer:
    undone = tuple(_made(one, one.call, "no result") for one in come.reviews if one.verdict == "failed")
    kept = [one for one in come.reviews if one.verdict == "changed" and one.call in come.calls]
    first = max(kept, key=lambda one: one.probability, default=None)
    return Answer(
        come.text,
        come.drafts[-1],
        tuple(_made(one, one.call, "") for one in kept),
        undone,
        first.probability if first else 0.0,
        first.rank if first else -1,
        -1,
        0,
    )


def _made(one: Review, call: Call | None, reason: str) -> Made:
    return Made(one.start, call, reason, one.probability, one.rank)
