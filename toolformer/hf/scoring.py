"""How surprising is a text? Plain passes in which the vocabulary head is asked only for what counts."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toolformer.hf.network import Network, batches, halving
from toolformer.lm import WINDOW, Ids, Window

Begin = Callable[[Ids], tuple[Ids, tuple[int, ...]]]
"""For a prefix, what an encoder reads (nothing, where there is none) and what the text's row begins with."""


@dataclass(frozen=True)
class Question:
    """How likely are some tokens of a row?"""

    source: Ids
    row: tuple[int, ...]
    places: Sequence[int]
    """Where in the row these tokens are, in their order; never the first."""


Ask = Callable[[Sequence[Question]], list[list[float]]]
"""Whoever answers, row by row: a network here, or a server."""


def answers_of(network: Network, questions: Sequence[Question]) -> list[list[float]]:
    """The log-probabilities, row by row. A row is forwarded up to the last wanted token, which itself is not."""
    rows = [one.row[: max(one.places, default=0)] for one in questions]
    network.check_fits([max(len(one.source), len(row)) for one, row in zip(questions, rows, strict=True)])
    answers: list[list[float]] = [[] for _ in questions]

    def work(members: list[int]) -> None:
        some = [questions[index] for index in members]
        width = max(len(rows[index]) for index in members)
        wanted = [number * width + place - 1 for number, one in enumerate(some) for place in one.places]
        sources = [one.source for one in some] if some[0].source else None
        logits = network.plain([rows[index] for index in members], wanted, sources)
        said = iter(chosen(logits, [one.row[place] for one in some for place in one.places]))
        for index, one in zip(members, some, strict=True):
            answers[index] = [next(said) for _ in one.places]

    asked = [index for index, row in enumerate(rows) if row]
    lengths = [len(questions[index].source) + len(rows[index]) for index in asked]
    wanted = [len(questions[index].places) for index in asked]
    for batch in batches(lengths, network.budget, wanted, network.head_rows):
        halving([asked[i] for i in batch], work)
    return answers


def chosen(logits: Tensor, tokens: Sequence[int], rows: Sequence[int] | None = None) -> list[float]:
    """The log-probability of one token in each row of logits, or of each token in a row of its own."""
    rows = range(len(tokens)) if rows is None else rows
    row, token = torch.tensor([[*rows], [*tokens]], dtype=torch.long, device=logits.device)
    answer: list[float] = (logits[row, token] - logits.logsumexp(dim=-1)[row]).tolist()
    return answer


def log_probabilities(ask: Ask, begin: Begin, texts: Sequence[tuple[int, ...]]) -> list[list[float]]:
    """See `lm.Judge.log_probabilities`."""
    source, start = begin(())
    first = max(1, len(start))
    answers = ask([Question(source, start + text, range(first, len(start + text))) for text in texts])
    return [[0.0] * (len(text) - len(answer)) + answer for text, answer in zip(texts, answers, strict=True)]


def window_losses(ask: Ask, begin: Begin, windows: Sequence[Window]) -> list[float]:
    """See `lm.Judge.window_losses`. Windows over one text behind one prefix are one row."""
    tokens: dict[tuple[tuple[int, ...], tuple[int, ...]], set[int]] = defaultdict(set)
    for window in windows:
        tokens[window.prefix, window.text].update(window.tokens)
    questions, known = [], []
    for (prefix, text), some in tokens.items():
        source, before = begin(prefix)
        # A token that nothing stands before cannot be asked for: it counts as certain.
        asked = sorted(token for token in some if len(before) + token > 0)
        known.append(asked)
        questions.append(Question(source, before + text, [len(before) + token for token in asked]))
    answers = ask(questions)
    said = {
        key: dict(zip(asked, answer, strict=True)) for key, asked, answer in zip(tokens, known, answers, strict=True)
    }
    return [
        -sum(
            weight * said[window.prefix, window.text].get(token, 0.0)
            for weight, token in zip(WINDOW, window.tokens, strict=False)
        )
        for window in windows
    ]
