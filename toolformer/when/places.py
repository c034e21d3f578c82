"""What a model would do at each place of judged texts: how likely a call opens there, and of which tool it would be.

Each text is read once, in a plain pass; what a call could begin with is asked behind it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolformer.decode.names import name_paths
from toolformer.decode.options import Options
from toolformer.lm import Continuation, LanguageModel, Openings, Prompted, syntax_of
from toolformer.when.needed import Judged

TOGETHER = 25
"""Texts that are read together."""
NEAR = Options().ranks
"""No call opens but where its opening is among so many of the likeliest tokens."""


@dataclass(frozen=True)
class Place:
    """A place of a text at which it is known whether a call is needed."""

    text: int
    """The number of the text."""
    probability: float
    """Of the opening."""
    rank: int
    tool: str
    """Of the call that the model would make; empty where none could open."""
    needed: str
    """The tool of the call that is needed; empty where none is."""

    @property
    def right(self) -> bool:
        """Whether the call would be the one that is needed."""
        return self.tool == self.needed != ""


def read_places(model: LanguageModel, tools: Sequence[str], texts: Sequence[Judged]) -> list[Place]:
    """The places of the texts, without the first of each, where nothing has been said. A text longer than the model's
    context is read as far as it fits."""
    order = sorted(range(len(texts)), key=lambda number: len(texts[number].text))
    found: list[Place] = []
    for at in range(0, len(order), TOGETHER):
        some = {number: texts[number] for number in order[at : at + TOGETHER]}
        found += _read(model, tools, some)
    return sorted(found, key=lambda place: place.text)


def _read(model: LanguageModel, tools: Sequence[str], texts: Mapping[int, Judged]) -> Iterator[Place]:
    encoded = [model.encode(one.text) for one in texts.values()]
    opening = model.encode_parts([syntax_of(model).opening])
    prompted = [Prompted((), (), one.ids[: model.context - 1]) for one in encoded]
    with model.open(prompted, opening) as openings:
        named = _named(model, tools, openings, opening)
        for row, (number, text) in enumerate(texts.items()):
            needed = {encoded[row].token_at(start): tool for start, tool in text.needed.items()}
            unknown = {encoded[row].token_at(start) for start in text.undecided} - needed.keys()
            chances = zip(openings.probabilities[row], openings.ranks[row], strict=True)
            for position, (probability, rank) in enumerate(chances):
                if position and position not in unknown:
                    tool = named.get((row, position), "")
                    yield Place(number, probability, rank, tool, needed.get(position, ""))


def _named(
    model: LanguageModel, tools: Sequence[str], openings: Openings, opening: tuple[int, ...]
) -> dict[tuple[int, int], str]:
    """For each place where a call could open, by text and position, the tool that the model would likeliest name."""
    paths = name_paths(model, syntax_of(model), tools)
    near = [(row, at) for row, ranks in enumerate(openings.ranks) for at in range(1, len(ranks)) if ranks[at] < NEAR]
    asked = [(row, at, tool) for row, at in near for tool in tools]
    said = openings.log_probabilities([Continuation(row, at, (*opening, *paths[tool])) for row, at, tool in asked])
    best: dict[tuple[int, int], tuple[float, str]] = {}
    for (row, at, tool), likelihood in zip(asked, said, strict=True):
        best[row, at] = max(best.get((row, at), (-float("inf"), tool)), (likelihood, tool))
    return {place: tool for place, (_, tool) in best.items()}
