"""How likely is a call at each place of given texts? They are read token by token, as the decoder reads its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from toolformer.lm import Ids, LanguageModel


@dataclass(frozen=True)
class Chance:
    """Of a call's opening at one place."""

    probability: float
    rank: int
    """How many tokens are at least as likely."""


def along(model: LanguageModel, texts: Sequence[Ids], opening: int) -> list[list[Chance]]:
    """For each text, what the model gives the opening before each of its tokens."""
    rows = model.rows([()] * len(texts))
    found: list[list[Chance]] = [[] for _ in texts]
    for step in range(max(map(len, texts), default=0)):
        logits = rows.logits
        here = logits[:, opening]
        chances = (here - logits.logsumexp(dim=-1)).exp().tolist()
        ranks = ((logits >= here[:, None]).sum(dim=-1) - 1).tolist()
        for text, chance, rank, seen in zip(texts, chances, ranks, found, strict=True):
            if step < len(text):
                seen.append(Chance(chance, rank))
        rows.extend([text[step : step + 1] for text in texts])
    return found
