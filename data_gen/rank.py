"""Which of the proposed calls would the model write there itself? The likeliest at each place, if it is likely enough.

Rules propose coincidences: 18 is 9 * 2 and 12 + 6, and both results help alike. So the model says how likely it finds
it to open a call at the place and write this one, behind the lesson's demonstrations (a finetuned model, behind nothing
but the text). Only the likeliest goes on, and no place where even that is unlikely. What is likely, the lesson's own
demonstrations say, for any model, tokenizer and tool: each has been shown behind the others, and a call must reach
their mean log-probability less one standard deviation. A call of more tokens than theirs may be less likely, by what a
token of theirs costs: otherwise hardly any calculation of two operations would go on.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from toolformer.calls import Call
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.records import Candidate, Rejected
from toolformer.data_gen.samplers.prompts import Live, Prompts
from toolformer.lm import Continuation, LanguageModel

TEXTS = 32
"""Texts whose caches are held at a time."""


@dataclass(frozen=True)
class _Shown:
    """How likely the calls of the demonstrations are."""

    least: float
    """Their mean log-probability less one standard deviation."""
    tokens: float
    """How many tokens one has."""
    each: float
    """The log-probability of a token of theirs."""


class Ranker:
    """Ranks calls by a model's own probability of writing them."""

    def __init__(self, model: LanguageModel, lessons: Mapping[str, Lesson]) -> None:
        self._model = model
        self._lessons = lessons
        self._prompts = {tool: Prompts(model, lesson) for tool, lesson in lessons.items()}
        self._shown: dict[str, _Shown] = {}

    def rank(self, candidates: Iterable[Candidate], rejected: list[Rejected]) -> list[Candidate]:
        """The likeliest call of each tool at each place, of the likeliest places in each text."""
        by_tool: dict[str, list[Candidate]] = defaultdict(list)
        for one in candidates:
            by_tool[one.place.tool].append(one)
        ranked: list[Candidate] = []
        for tool, some in by_tool.items():
            likely = self._weighed(tool, some)
            ranked += _best(likely, self.least, self._lessons[tool].positions, rejected)
        return ranked

    def least(self, call: Call) -> float:
        """The log-probability that a call must reach."""
        if call.tool not in self._shown:
            self._shown[call.tool] = self._demonstrated(call.tool)
        shown = self._shown[call.tool]
        more = len(self._written(call)) - shown.tokens
        return shown.least + shown.each * max(0.0, more)

    def _demonstrated(self, tool: str) -> _Shown:
        asked = []
        for number, text, at, call in self._lessons[tool].examples():
            if at == len(text):
                continue  # nothing stands behind it, so that nobody can be asked about that place
            live = self._prompts[tool].showing(text, without=number)
            asked.append((live, live.encoded.token_at(at), call))
        said = zip(asked, self._log_probabilities(tool, asked), strict=True)
        known = [(one, len(self._written(call))) for (_, _, call), one in said if one > -math.inf]
        if not known:
            return _Shown(-math.inf, 0.0, 0.0)
        likely, tokens = zip(*known, strict=True)
        least = statistics.mean(likely) - statistics.pstdev(likely)
        return _Shown(least, statistics.mean(tokens), sum(likely) / sum(tokens))

    def _weighed(self, tool: str, some: Sequence[Candidate]) -> list[tuple[float, Candidate]]:
        """The candidates, each with the log-probability of the model writing it there."""
        lives: dict[str, Live] = {}
        asked = []
        for one in some:
            document = one.place.text.document
            if document.id not in lives:
                lives[document.id] = self._prompts[tool].showing(document.text, calls=one.place.text.calls)
            live = lives[document.id]
            asked.append((live, live.encoded.token_at(one.place.start), one.call))
        likely = self._log_probabilities(tool, asked)
        return list(zip(likely, some, strict=True))

    def _log_probabilities(self, tool: str, asked: Sequence[tuple[Live, int, Call]]) -> list[float]:
        opening = self._model.encode_parts([self._prompts[tool].syntax.opening])
        answers: dict[int, float] = {}
        for group in _by_text(asked):
            texts = {id(asked[index][0]): asked[index][0] for index in group}
            rows = {key: row for row, key in enumerate(texts)}
            places: list[set[int]] = [set() for _ in texts]
            continuations = []
            for index in group:
                live, position, call = asked[index]
                places[rows[id(live)]].add(position)
                continuations.append(Continuation(rows[id(live)], position, self._written(call)))
            prompted = [live.up_to(max(some)) for live, some in zip(texts.values(), places, strict=True)]
            with self._model.open(prompted, opening, [sorted(some) for some in places]) as openings:
                answers.update(zip(group, openings.log_probabilities(continuations), strict=True))
        return [answers[index] for index in range(len(asked))]

    def _written(self, call: Call) -> tuple[int, ...]:
        return self._model.encode_parts(self._prompts[call.tool].syntax.parts(replace(call, result=None)))


def _by_text(asked: Sequence[tuple[Live, int, Call]]) -> Iterator[list[int]]:
    """Indices of what is asked, some texts at a time."""
    by_text: dict[int, list[int]] = defaultdict(list)
    for index, (live, _, _) in enumerate(asked):
        by_text[id(live)].append(index)
    groups = list(by_text.values())
    for start in range(0, len(groups), TEXTS):
        yield [index for group in groups[start : start + TEXTS] for index in group]


def _best(
    likely: Sequence[tuple[float, Candidate]], least: Callable[[Call], float], most: int, rejected: list[Rejected]
) -> Iterator[Candidate]:
    """The likeliest of each place, of each text's `most` likeliest places, in the order in which they came."""
    order = sorted(
        range(len(likely)), key=lambda n: (-likely[n][0], likely[n][1].place.position, likely[n][1].call.input)
    )
    taken: dict[str, set[int]] = defaultdict(set)
    chosen: list[int] = []
    for n in order:
        log_probability, one = likely[n]
        places = taken[one.place.text.document.id]
        if one.place.position in places:
            reason = "another call is likelier at this place"
        elif not log_probability >= least(one.call) or log_probability == -math.inf:
            reason = "the model would hardly write it there"
        elif len(places) == most:
            reason = f"more than {most} places in this text"
        else:
            places.add(one.place.position)
            chosen.append(n)
            continue
        rejected.append(Rejected(one.place, "rank", reason, one.call))
    return (likely[n][1] for n in sorted(chosen))
