"""What a reader learns from: passages with questions, drawn from Wikipedia introductions and our own facts by a seed.

    python -m recipes.reader.pairs DATA OUT

DATA holds the file of `SOURCE`. OUT gets

    pairs.jsonl    inputs with their outputs, for `toolformer expert train`
    held.jsonl     200 of other pages, with what is asked; a half is of kinds that pairs.jsonl does not ask
"""

import argparse
import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from recipes.reader.templates import NEW, TEMPLATES, Template
from recipes.smollm2.sources import WIKIPEDIA, Json, digest, rows, write
from toolformer.builtin import knowledge
from toolformer.tools.expert_reader import UNKNOWN, reading
from toolformer.tools.passages import Passage
from toolformer.tools.wiki_search import shorten

SEED = 41
SOURCE = WIKIPEDIA
PAIRS = {"asked": 480, "unknown": 160, "fact": 80}
"""How many pairs there are of each kind."""
HELD = {"asked": 75, "new": 75, "unknown": 50}
MOST_OF_ONE = 60
"""So many pairs of one template at most."""
LENGTHS = (120, 180, 240, 360)
"""Characters of passages: short ones cost little to learn from."""
HELD_PAGES = 8_000


def main() -> None:
    """Check the file, draw, and write."""
    parser = argparse.ArgumentParser(description="The pairs that a reader learns from.")
    parser.add_argument("data", type=Path, help="the folder of the public file")
    parser.add_argument("out", type=Path, help="the folder to write")
    arguments = parser.parse_args()
    if digest(arguments.data / SOURCE.file) != SOURCE.sha256:
        sys.exit(f"{arguments.data} holds another {SOURCE.file} than this recipe was made with, or none")
    rng = random.Random(SEED)
    pages = [Passage(row["title"], row["text"]) for row in rows(arguments.data / SOURCE.file)]
    rng.shuffle(pages)
    held, learnt = pages[:HELD_PAGES], pages[HELD_PAGES:]
    pairs = [*asked(rng, learnt, TEMPLATES, PAIRS["asked"]), *unanswered(rng, learnt, PAIRS["unknown"])]
    pairs += facts(rng, PAIRS["fact"])
    rng.shuffle(pairs)
    new = asked(rng, held, NEW, HELD["new"], kind="new")
    tests = [*asked(rng, held, TEMPLATES, HELD["asked"]), *new, *unanswered(rng, held, HELD["unknown"])]
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(arguments.out / "pairs.jsonl", pairs)
    write(arguments.out / "held.jsonl", tests)
    print(f"{len(pairs):,} pairs, {len(tests)} held out")


def asked(
    rng: random.Random, pages: Sequence[Passage], templates: Sequence[Template], count: int, kind: str = "asked"
) -> list[Json]:
    """Questions that their passages answer; of each page one, and of each template about as many."""
    most = min(MOST_OF_ONE, -(-count * 3 // (2 * len(templates))))
    left = {template.name: most for template in templates}
    found: list[Json] = []
    for page in pages:
        passage = _shown(rng, page)
        answers = [
            (one, match["a"]) for one in templates if left[one.name] and (match := one.pattern.search(passage.text))
        ]
        if answers and len(found) < count:
            template, answer = rng.choice(answers)
            left[template.name] -= 1
            found.append(_pair(passage, rng.choice(template.wordings), answer, kind))
    return found


def unanswered(rng: random.Random, pages: Sequence[Passage], count: int) -> list[Json]:
    """Questions about what a passage does not say: half of them of the page itself, half of another page like it."""
    found: list[Json] = []
    for page, other in zip(pages[::-1], pages, strict=True):
        passage = _shown(rng, page)
        kinds = {one.kind for one in TEMPLATES if one.pattern.search(passage.text)}
        alike = [one for one in TEMPLATES if one.kind in kinds]
        silent = [one for one in alike if not re.search(rf"\b(?:{one.about})", passage.text)]
        of_other = len(found) % 2 == 1 and other.title not in passage.text
        if len(found) < count and (alike if of_other else silent):
            template = rng.choice(alike if of_other else silent)
            about = other.title if of_other else page.title
            found.append(_pair(passage, rng.choice(template.wordings), UNKNOWN, "unknown", about))
    return found


def facts(rng: random.Random, count: int) -> Iterator[Json]:
    """Our own facts, which are asked in many wordings."""
    for fact in rng.sample([fact for fact in knowledge.load() if fact.split == "train"], count):
        passage = Passage(fact.subject, rng.choice(fact.sentences))
        yield {"input": reading(passage, rng.choice(fact.questions)), "output": fact.answer, "kind": "fact"}


def _shown(rng: random.Random, page: Passage) -> Passage:
    """The beginning of a page, as long as a search might show it."""
    return Passage(page.title, shorten(page.text, rng.choice(LENGTHS)))


def _pair(passage: Passage, wording: str, answer: str, kind: str, about: str | None = None) -> Json:
    question = wording.format(x=_plain(about or passage.title))
    return {"input": reading(passage, question), "output": answer, "kind": kind}


def _plain(title: str) -> str:
    """A title as one says it: without what tells it from others."""
    return re.sub(r" \([^()]*\)$|, .*$", "", title)


if __name__ == "__main__":
    main()
