"""The model card that a training run leaves beside its weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

_CARD = """---
license: apache-2.0
library_name: transformers
language: en
---

# The built-in model of toolformer

A small Llama that follows prompts for tool calls and uses what a note says. It exists so that the whole method runs on
a laptop without a network; it knows next to nothing, and is good for nothing else.

It learnt from text that `recipes/builtin` generates (sums in small stories, dates, facts of `knowledge.jsonl` and
made-up ones, notes and texts that repeat them, annotation prompts with their answers), and from real text:
{texts}.
Held out of all of it: half of the facts in every wording, a third of the templates, a fifth of the pairs of numbers,
and five tools.

    python -m recipes.builtin.train        makes it again
    python -m recipes.builtin.check        measures it on what it has never seen

| setting | |
| --- | --- |
{settings}
"""


def write_card(out: Path, settings: Mapping[str, object], texts: Sequence[tuple[str, int]]) -> None:
    """Write README.md: what the model is, and what it was made from and how."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in settings.items())
    used = ", ".join(f"{count:,} paragraphs of {name}" for name, count in texts) or "none"
    (out / "README.md").write_text(_CARD.format(texts=used, settings=rows), encoding="utf-8")
