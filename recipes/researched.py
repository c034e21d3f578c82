"""How well does a model answer PopQA's questions after one search, and after up to four that build on each other?

    python -m recipes.researched MODEL DATA [--questions 100]

DATA holds popqa/popqa.json, whose rows have two paragraphs each: all of them together are searched. An answer is judged
as `toolformer eval` judges it. Last comes how often a right answer stood in what was read, whatever the model said.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolformer import Research, Toolformer
from toolformer.eval.answers import judge
from toolformer.eval.call_statistics import share
from toolformer.eval.examples import Example, example_of
from toolformer.eval.sources import array
from toolformer.eval.tasks.popqa import popqa
from toolformer.eval.words import holds
from toolformer.tools.memory_index import MemoryIndex
from toolformer.tools.passages import Passage
from toolformer.tools.wiki_search import WikiSearch

SEED = 18
ROUNDS = (1, 4)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.researched", description="One search against several.")
    parser.add_argument("model", help="a model, by name or path")
    parser.add_argument("data", type=Path, help="the folder of benchmark data")
    parser.add_argument("--questions", type=int, default=100, help="ask so many (default: %(default)s)")
    chosen = parser.parse_args()
    examples = [example_of(row) for row in popqa(str(chosen.data))["test"]]
    asked = random.Random(SEED).sample(examples, min(chosen.questions, len(examples)))
    rows = [row for _, row in array(chosen.data / "popqa" / "popqa.json")]
    passages = {Passage(one["title"], one["text"]) for row in rows for one in row["paragraphs"]}
    search = WikiSearch(MemoryIndex("popqa", sorted(passages, key=lambda one: (one.title, one.text))))
    with Toolformer.from_pretrained(chosen.model, [search]) as tf:
        for rounds in ROUNDS:
            found = [tf.research(example.question, rounds) for example in asked]
            print("\n".join(told(rounds, asked, found)), flush=True)


def told(rounds: int, asked: Sequence[Example], found: Sequence[Research]) -> Iterator[str]:
    """What came of so many rounds, in two lines."""
    right = [judge(one.rule, made.answer, one.answers).right for one, made in zip(asked, found, strict=True)]
    read = [any(holds(note.result, one.answers) for note in made.notes) for one, made in zip(asked, found, strict=True)]
    searches = sum(len(made.notes) for made in found) / len(found)
    tokens = sum(made.tokens for made in found) / len(found)
    yield f"up to {rounds} searches: {_percent(right)} right; the answer was read in {_percent(read)}"
    yield f"  {searches:.1f} results and {tokens:.0f} tokens a question"


def _percent(hits: Sequence[bool]) -> str:
    found = share(hits)
    assert found is not None
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


if __name__ == "__main__":
    main()
