"""Log-likelihoods over the port, as lm-eval asks for them. No calls are made here: a probability has no tools."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from toolformer.lm import Ids, LanguageModel

_BATCH = 8
"""Contexts that are read together."""


class Scored(NamedTuple):
    """The log-probability of a continuation, and whether the model would have said it greedily."""

    log_probability: float
    greedy: bool


class Rolled(NamedTuple):
    """The log-probability of a whole text, and in how many tokens."""

    log_probability: float
    tokens: int


def encode_pair(model: LanguageModel, context: str, continuation: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A context and what follows it as ids: where words meet, they are encoded as one text."""
    spaces = context[len(context.rstrip()) :]
    context, continuation = context[: len(context) - len(spaces)], spaces + continuation
    before = model.encode(context).ids
    if model.reads_apart:
        behind = model.encode(continuation).ids
        return before[-model.context :], behind[: model.context]
    whole = model.encode(context + continuation).ids
    behind = whole[len(before) :][-model.context :]
    # A context that is too long loses its beginning. The last token is asked for, and never put in.
    room = model.context + 1 - len(behind)
    return (before[-room:] if room else ()), behind


def score(model: LanguageModel, pairs: Sequence[tuple[Ids, Ids]]) -> list[Scored]:
    """The continuations behind their contexts. A context that several share goes through the model once."""
    places: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, (context, _) in enumerate(pairs):
        places[tuple(context)].append(place)
    contexts = sorted(places, key=len)
    scored: dict[int, Scored] = {}
    for first in range(0, len(contexts), _BATCH):
        batch = contexts[first : first + _BATCH]
        members = [(row, place) for row, context in enumerate(batch) for place in places[context]]
        answers = _score(model, batch, [(row, pairs[place][1]) for row, place in members])
        scored |= {place: answer for (_, place), answer in zip(members, answers, strict=True)}
    return [scored[place] for place in range(len(pairs))]


def _score(model: LanguageModel, contexts: Sequence[Ids], asked: Sequence[tuple[int, Ids]]) -> list[Scored]:
    """Each continuation behind the context of its row: all of them grow together, token by token."""
    port = model.rows(contexts)
    sums, greedy = [0.0] * len(asked), [True] * len(asked)
    alive = [number for number, (_, ids) in enumerate(asked) if ids]
    rows = [asked[number][0] for number in alive]
    step = 0
    while alive:
        said = port.logits[rows].log_softmax(dim=-1)
        best = said.argmax(dim=-1).tolist()
        for place, number in enumerate(alive):
            token = asked[number][1][step]
            sums[number] += float(said[place, token])
            greedy[number] = greedy[number] and best[place] == token
        step += 1
        going = [place for place, number in enumerate(alive) if len(asked[number][1]) > step]
        if going:
            port.keep([rows[place] for place in going])
            alive = [alive[place] for place in going]
            port.extend([(asked[number][1][step - 1],) for number in alive])
            rows = list(range(len(alive)))
        else:
            alive = []
    return [Scored(total, sure) for total, sure in zip(sums, greedy, strict=True)]


def roll(model: LanguageModel, text: str) -> Rolled:
    """A text of any length: each token once, in windows as long as the context; the last window reaches back.

    A later window begins with the model's start token and the last token of the window before it.
    """
    ids = model.encode(text).ids
    most = model.context + (not model.reads_apart)
    ends = [most, *range(2 * most - 1, len(ids) + most - 1, most - 1)] if len(ids) > most else [len(ids)]
    windows, asked, begin = [], [], 0
    for end in ends:
        end = min(end, len(ids))
        windows.append(ids[max(0, end - most) : end])
        asked.append(end - begin)
        begin = end
    answers = model.log_probabilities(windows)
    return Rolled(sum(sum(answer[-count:]) for answer, count in zip(answers, asked, strict=True) if count), len(ids))
