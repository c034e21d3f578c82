"""What teaching cost in prose: calls where none was asked for, and perplexity without calls.

    python -m recipes.smollm2.prose DATA [--model smollm2-tools] [--base smollm2] [--to-choose]

DATA holds the files that `corpus.py` draws from, and WikiText-2. The texts are drawn by a seed; none is one of the
recipe's. Settings are chosen with `--to-choose`, by other texts than those whose figures are told. A text counts as
called in if the opening is among the k likeliest next tokens anywhere in it. Perplexities leave out the first token of
a text: it follows nothing, and what texts begin with is easily learnt.
"""

import argparse
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes.smollm2.corpus import drawn
from recipes.smollm2.sources import POSTS, WIKIPEDIA, rows
from toolformer.builtin.compare import nearest_in, perplexity
from toolformer.hf import load
from toolformer.lm import LanguageModel, syntax_of

LONGEST = 600
"""Characters of a text that are read."""
RANKS = (1, 3, 10)
_TOGETHER = 25
"""Texts that are read together."""


@dataclass(frozen=True)
class Draw:
    """Which texts are drawn, and how many of each kind."""

    seed: int | str
    wikitext: str
    introductions: int
    pages: int
    paragraphs: int


TOLD = Draw(2026, "wikitext2/test.txt", 100, 50, 50)
TO_CHOOSE = Draw("to choose", "wikitext2/valid.txt", 40, 25, 40)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.smollm2.prose", description="What teaching cost in prose.")
    parser.add_argument("data", type=Path, help="the folder of the public files")
    parser.add_argument("--model", default="smollm2-tools", help="the tool user (default: %(default)s)")
    parser.add_argument("--base", default="smollm2", help="what it was finetuned from (default: %(default)s)")
    parser.add_argument("--to-choose", action="store_true", help="texts to choose settings by")
    chosen = parser.parse_args()
    some = texts(chosen.data, TO_CHOOSE if chosen.to_choose else TOLD)
    for line in measured(load(chosen.base), load(chosen.model), some):
        print(line, flush=True)


def texts(data: Path, draw: Draw) -> Mapping[str, list[str]]:
    """Texts of each kind that the recipe does not learn from."""
    rng = random.Random(draw.seed)
    taken = {row["text"] for row in drawn(data)[0]}
    if draw is not TOLD:
        taken |= {text for some in texts(data, TOLD).values() for text in some}
    wikitext = (data / draw.wikitext).read_text("utf-8").splitlines()
    there = {
        "introductions": ([row["text"] for row in rows(data / WIKIPEDIA.file)], draw.introductions),
        "web pages": ([row["text"] for row in rows(data / POSTS.file)], draw.pages),
        "paragraphs of WikiText": ([line.strip() for line in wikitext if len(line) > 400], draw.paragraphs),
    }
    return {
        kind: rng.sample([cut for one in some if one not in taken and (cut := one[:LONGEST]) not in taken], number)
        for kind, (some, number) in there.items()
    }


def measured(base: LanguageModel, user: LanguageModel, kinds: Mapping[str, list[str]]) -> Iterator[str]:
    """A line for each kind of texts."""
    (opening, *_) = user.encode_parts([syntax_of(user).opening])
    for kind, some in kinds.items():
        before, after = (perplexity(model, some, behind=1) for model in (base, user))
        parts = [some[at : at + _TOGETHER] for at in range(0, len(some), _TOGETHER)]
        nearest = [rank for part in parts for rank in nearest_in(user, part, opening)]
        shares = ", ".join(f"{sum(rank < k for rank in nearest) / len(some):.0%} at k = {k}" for k in RANKS)
        yield (
            f"{len(some)} {kind}: perplexity {before:.2f} untaught, {after:.2f} taught ({after / before - 1:+.1%}); "
            f"called in {shares}"
        )


if __name__ == "__main__":
    main()
