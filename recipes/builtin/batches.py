"""Training texts as batches of ids: a step's data depends on its number and the settings alone.

A pool of texts is sorted by length and cut into batches of about as many tokens, so that little is padded and nothing
is packed: no text can see another.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from recipes.builtin.mixture import example
from recipes.builtin.notes import Pieces

CONTEXT = 1024
TOKENS = 2048
"""Tokens of one batch, about: those of its texts, each rounded up to what `_padded` says."""
BATCHES = 4
"""Batches of one step."""
COURSE = 16_000_000
"""Tokens after which the mixture of texts stays as it is."""
POOL = 8
"""Steps whose texts are drawn together and shared out at random."""


@dataclass(frozen=True)
class Batch:
    """Rows of ids, padded on the right, and how much each token counts as a target."""

    ids: torch.Tensor
    weights: torch.Tensor


def steps(tokenizer: Any, texts: Sequence[str], seed: int, first: int, total: int) -> Iterator[list[Batch]]:
    """The batches of every step from `first` to the last of `total`."""
    for pool in range(first // POOL, -(-total // POOL)):
        progress = min(1.0, pool * POOL * BATCHES * TOKENS / COURSE)
        batches = _pool(tokenizer, texts, f"{seed} {pool}", progress)
        for step in range(pool * POOL, min(total, (pool + 1) * POOL)):
            if step >= first:
                place = (step % POOL) * BATCHES
                yield batches[place : place + BATCHES]


def encode(tokenizer: Any, pieces: Pieces, begin: bool = True) -> tuple[list[int], list[float]]:
    """The ids of a training text, each piece encoded alone, with a weight for each id."""
    pieces = [(text, weight) for text, weight in pieces if text]
    ids = tokenizer([text for text, _ in pieces], add_special_tokens=False)["input_ids"]
    flat = [token for piece in ids for token in piece]
    weights = [weight for piece, (_, weight) in zip(ids, pieces, strict=True) for _ in piece]
    start = [tokenizer.bos_token_id] if begin else []
    return [*start, *flat, tokenizer.eos_token_id][:CONTEXT], [*(0.0 for _ in start), *weights, 0.5][:CONTEXT]


def _pool(tokenizer: Any, texts: Sequence[str], seed: str, progress: float) -> list[Batch]:
    """The batches of POOL steps, shuffled: texts of about one length together, all of about as many tokens."""
    rng = random.Random(seed)
    rows: list[tuple[list[int], list[float]]] = []
    drawn, count = 0, POOL * BATCHES
    while drawn < count * TOKENS:
        rows.append(encode(tokenizer, example(rng, progress, texts), begin=rng.random() < 0.9))
        drawn += _padded(len(rows[-1][0]))
    rows.sort(key=lambda row: len(row[0]))
    shares: list[list[tuple[list[int], list[float]]]] = [[] for _ in range(count)]
    end = 0
    for row in rows:
        # By its middle, so that none is left over; a share is longer than any row, so that none is empty.
        width = _padded(len(row[0]))
        shares[(2 * end + width) * count // (2 * drawn)].append(row)
        end += width
    batches = [_batch(share, tokenizer.pad_token_id) for share in shares]
    rng.shuffle(batches)
    return batches


def _batch(rows: list[tuple[list[int], list[float]]], pad: int) -> Batch:
    width = _padded(max(len(ids) for ids, _ in rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in rows])
    weights = torch.tensor([row + [0.0] * (width - len(row)) for _, row in rows])
    return Batch(ids, weights)


def _padded(length: int) -> int:
    return -(-length // 8) * 8
