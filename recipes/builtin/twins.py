"""Tokens that differ by the space before them, as `12` and ` 12`: one is the other plus a vector.

All pairs share that vector, so that what is learnt about a number after a space holds for the number after a bracket.
Only numbers and what begins with a capital letter are paired; other pieces without a space mostly stand inside a word.
"""

import torch

from recipes.builtin.vocabulary import SPACE


class Twins:
    """The pairs of a table of embeddings, and the vector between them."""

    def __init__(self, table: torch.nn.Parameter, vocabulary: dict[str, int]) -> None:
        pairs = [
            (number, vocabulary[SPACE + token])
            for token, number in vocabulary.items()
            if SPACE + token in vocabulary and (token.isdigit() or "A" <= token[0] <= "Z")
        ]
        self.table = table
        self.bare, self.spaced = torch.tensor(sorted(pairs), device=table.device).T
        self.offset = torch.nn.Parameter(torch.zeros_like(table[0]))

    @torch.no_grad()
    def join(self) -> None:
        """Begin: the vector is the mean of what lies between the twins at first."""
        self.offset.copy_((self.table[self.bare] - self.table[self.spaced]).mean(0))
        self.spread()

    @torch.no_grad()
    def gather(self) -> None:
        """Hand the gradients of the tokens without a space to their twins and to the vector."""
        assert self.table.grad is not None
        bare = self.table.grad[self.bare]
        self.table.grad.index_add_(0, self.spaced, bare)
        self.table.grad[self.bare] = 0
        self.offset.grad = bare.sum(0)

    @torch.no_grad()
    def spread(self) -> None:
        """Put the tokens without a space where their twins and the vector say."""
        self.table[self.bare] = self.table[self.spaced] + self.offset
