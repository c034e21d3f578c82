"""What teaching cost in prose: calls where none was asked for, and perplexity without calls.

    python -m recipes.smollm2.prose DATA [--model smollm2-tools] [--base smollm2]

DATA holds the files that `corpus.py` draws from, and WikiText-2. The texts are drawn by a seed; none is one of the
recipe's. A text counts as called in if the opening is among the k likeliest next tokens anywhere in it. Perplexities
leave out the first token of a text: it follows nothing, and what texts begin with is easily learnt.
"""

import argparse
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from recipes.smollm2.corpus import drawn
from recipes.smollm2.sources import POSTS, WIKIPEDIA, rows
from toolformer.builtin.compare import nearest_in, perplexity
from toolformer.hf import load
from toolformer.lm import LanguageModel, syntax_of

SEED = 2026
WIKITEXT = "wikitext2/test.txt"
LONGEST = 600
"""Characters of a text that are read."""
TEXTS = {"introductions": 100, "web pages": 50, "paragraphs of WikiText": 50}
RANKS = (1, 10)
_TOGETHER = 25
"""Texts that are read together."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.smollm2.prose", description="What teaching cost in prose.")
    parser.add_argument("data", type=Path, help="the folder of the public files")
    parser.add_argument("--model", default="smollm2-tools", help="the tool user (default: %(default)s)")
    parser.add_argument("--base", default="smollm2", help="what it was finetuned from (default: %(default)s)")
    chosen = parser.parse_args()
    for line in measured(load(chosen.base), load(chosen.model), texts(chosen.data)):
        print(line, flush=True)


def texts(data: Path) -> Mapping[str, list[str]]:
    """Texts of each kind that the recipe does not learn from."""
    rng = random.Random(SEED)
    learnt = {row["text"] for row in drawn(data)[0]}
    wikitext = (data / WIKITEXT).read_text("utf-8").splitlines()
    there = {
        "introductions": [row["text"] for row in rows(data / WIKIPEDIA.file)],
        "web pages": [row["text"] for row in rows(data / POSTS.file)],
        "paragraphs of WikiText": [line.strip() for line in wikitext if len(line) > 400],
    }
    return {
        kind: [text[:LONGEST] for text in rng.sample([one for one in there[kind] if one not in learnt], number)]
        for kind, number in TEXTS.items()
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
