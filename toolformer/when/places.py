"""What a model would do at each place of judged texts: how likely a call opens there, and of which tool it would be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolformer.decode.along import Chance, along
from toolformer.decode.names import name_paths
from toolformer.decode.options import Options
from toolformer.lm import Continuation, LanguageModel, Prompted, syntax_of
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
    ids = [one.ids[: model.context] for one in encoded]
    (opening, *_) = model.encode_parts([syntax_of(model).opening])
    chances = along(model, ids, opening)
    named = _named(model, tools, ids, chances)
    for row, (number, text) in enumerate(texts.items()):
        needed = {encoded[row].token_at(start): tool for start, tool in text.needed.items()}
        unknown = {encoded[row].token_at(start) for start in text.undecided} - needed.keys()
        for position, chance in enumerate(chances[row]):
            if position and position not in unknown:
                tool = named.get((row, position), "")
                yield Place(number, chance.probability, chance.rank, tool, needed.get(position, ""))


def _named(
    model: LanguageModel, tools: Sequence[str], ids: Sequence[tuple[int, ...]], chances: Sequence[Sequence[Chance]]
) -> dict[tuple[int, int], str]:
    """For each place where a call could open, by text and position, the tool that the model would likeliest name."""
    syntax = syntax_of(model)
    opening = model.encode_parts([syntax.opening])
    paths = name_paths(model, syntax, tools)
    places = [[at for at, one in enumerate(row) if at and one.rank < NEAR] for row in chances]
    asked = [(row, at, tool) for row, positions in enumerate(places) for at in positions for tool in tools]
    with model.open([Prompted((), (), one) for one in ids], opening, places) as openings:
        said = openings.log_probabilities([Continuation(row, at, (*opening, *paths[tool])) for row, at, tool in asked])
    best: dict[tuple[int, int], tuple[float, str]] = {}
    for (row, at, tool), likelihood in zip(asked, said, strict=True):
        best[row, at] = max(best.get((row, at), (-float("inf"), tool)), (likelihood, tool))
    return {place: tool for place, (_, tool) in best.items()}
