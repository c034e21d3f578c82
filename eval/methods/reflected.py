"""A draft, reviewed and revised (`toolformer.reflect`), behind the tasks' own prompts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from toolformer.calls import Call
from toolformer.decode.options import Options
from toolformer.eval.examples import Example
from toolformer.eval.tool_lm import Answer, Made, ToolLM, facts_of, options_of
from toolformer.reflect import Reflector
from toolformer.reflection import Reflection


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
        come = reflector.run(prompts, facts=[*map(facts_of, docs)])
        found |= zip(places, map(_answer, come), strict=True)
    for _ in examples:
        lm.on_answer()
    return [found[place] for place in range(len(examples))]


def _answer(come: Reflection) -> Answer:
    calls = tuple(
        Made(one.start, Call(one.tool, one.input, one.result), "", one.probability, one.rank) for one in come.calls
    )
    undone = tuple(
        Made(one.start, one.call, "no result", one.probability, one.rank)
        for one in come.reviews
        if one.verdict == "failed"
    )
    first = max(calls, key=lambda made: made.probability, default=None)
    return Answer(
        come.text,
        come.raw,
        calls,
        undone,
        first.probability if first else 0.0,
        first.rank if first else -1,
        -1,
        0,
    )
