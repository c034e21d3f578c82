"""How surprising is a text? Plain passes in which the vocabulary head is asked only for what counts."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from toolformer.hf.network import Network, batches, halving
from toolformer.lm import WINDOW, Ids, Window

Question = tuple[Ids, list[int]]
"""A row of ids, and the places in it (never the first) of the tokens whose log-probabilities are wanted."""


def ask(network: Network, questions: Sequence[Question]) -> list[list[float]]:
    """The log-probabilities, row by row. A row is forwarded up to the last wanted token, which itself is not."""
    rows = [tuple(ids)[: max(places, default=0)] for ids, places in questions]
    network.check_fits(list(map(len, rows)))
    answers: list[list[float]] = [[] for _ in questions]

    def work(members: list[int]) -> None:
        width = max(len(rows[index]) for index in members)
        wanted = [row * width + place - 1 for row, index in enumerate(members) for place in questions[index][1]]
        targets = [questions[index][0][place] for index in members for place in questions[index][1]]
        said = iter(chosen(network.plain([rows[index] for index in members], wanted), targets))
        for index in members:
            answers[index] = [next(said) for _ in questions[index][1]]

    asked = [index for index, row in enumerate(rows) if row]
    wanted = [len(questions[index][1]) for index in asked]
    for batch in batches([len(rows[index]) for index in asked], network.budget, wanted, network.head_rows):
        halving([asked[i] for i in batch], work)
    return answers


def chosen(logits: Tensor, targets: Sequence[int]) -> list[float]:
    """The log-probability of one token in each row of logits."""
    asked = logits.gather(1, torch.tensor(targets, device=logits.device)[:, None])[:, 0]
    answer: list[float] = (asked - logits.logsumexp(dim=-1)).tolist()
    return answer


def log_probabilities(network: Network, start: tuple[int, ...], texts: Sequence[tuple[int, ...]]) -> list[list[float]]:
    """See `lm.LanguageModel.log_probabilities`. `start` is what stands before every text."""
    first = max(1, len(start))
    answers = ask(network, [(start + text, list(range(first, len(start) + len(text)))) for text in texts])
    return [[0.0] * (len(text) - len(answer)) + answer for text, answer in zip(texts, answers, strict=True)]


def window_losses(network: Network, start: tuple[int, ...], windows: Sequence[Window]) -> list[float]:
    """See `lm.LanguageModel.window_losses`. Windows over one text behind one prefix are one row."""
    places: dict[tuple[tuple[int, ...], tuple[int, ...]], set[int]] = defaultdict(set)
    for window in windows:
        places[window.prefix, window.text].update(tokens_of(window))
    questions = []
    for (prefix, text), tokens in places.items():
        before = start + prefix
        questions.append((before + text, sorted(len(before) + t for t in tokens if len(before) + t > 0)))
    known: dict[tuple[tuple[int, ...], tuple[int, ...]], dict[int, float]] = {}
    for key, (_, asked), answer in zip(places, questions, ask(network, questions), strict=True):
        known[key] = {place - len(start + key[0]): value for place, value in zip(asked, answer, strict=True)}
    return [
        # A token that nothing stands before cannot be asked for: it counts as certain.
        -sum(w * known[window.prefix, window.text].get(t, 0.0) for w, t in zip(WINDOW, tokens_of(window), strict=False))
        for window in windows
    ]


def tokens_of(window: Window) -> range:
    """The places in its text of the tokens that a window weighs."""
    return range(window.position, min(window.position + len(WINDOW), len(window.text)))
