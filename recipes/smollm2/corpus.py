"""The texts that smollm2-tools learns from, drawn from public text by a seed; and what they can search.

    python -m recipes.smollm2.corpus DATA OUT

DATA holds the files of `SOURCES`; the package's own texts and facts are mixed in. OUT gets

    corpus.jsonl      the texts of all kinds, mixed. Some keep the calls that their authors wrote down: they serve to
                      count how many of the annotator's calls are right, and nothing is learnt from them
    passages.jsonl    introductions that are in no text, since a search must not find the text itself; and our facts
    validation/       MAWPS's training split in the place of its test split, for settings to be chosen by
"""

import argparse
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from recipes.builtin.corpus import build, to_jsonl
from recipes.smollm2 import asked
from recipes.smollm2.problems import problems
from recipes.smollm2.sources import BARE, MAWPS, POSTS, SOURCES, WIKIPEDIA, Json, Source, digest, rows, write
from toolformer.builtin import knowledge

SEED = 16
PROBLEMS = 1300
"""Short word problems of our own: problems.py."""
DAYS, FACTS, PAGES, SUMS = 320, 120, 200, 200
"""Texts about days, and questions about facts, pages and sums: asked.py."""
OWN = {"sum": 80, "date": 200, "today": 100, "fact": 260}
"""Texts of each kind of the package's own corpus, which is made again with several seeds."""
SEEDS = range(12)


def main() -> None:
    """Check the files, draw, and write."""
    parser = argparse.ArgumentParser(description="The texts that smollm2-tools learns from.")
    parser.add_argument("data", type=Path, help="the folder of the public files")
    parser.add_argument("out", type=Path, help="the folder to write")
    arguments = parser.parse_args()
    if wrong := [source.file for source in SOURCES if digest(arguments.data / source.file) != source.sha256]:
        sys.exit(f"{arguments.data} holds another {wrong[0]} than this recipe was made with, or none")
    texts, passages = drawn(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(arguments.out / "corpus.jsonl", texts)
    write(arguments.out / "passages.jsonl", passages)
    validation = arguments.out / "validation" / "mawps" / "testset.json"
    validation.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.data / MAWPS.file, validation)
    print(f"{len(texts)} texts, {len(passages):,} passages")


def drawn(data: Path) -> tuple[list[Json], list[Json]]:
    """The texts, mixed, and the passages that are left."""
    rng = random.Random(SEED)
    solved = taken(rng, data, BARE)
    introductions = [*rows(data / WIKIPEDIA.file)]
    rng.shuffle(introductions)
    texts = [{"id": f"wikipedia-{number}", **row} for number, row in enumerate(introductions[: WIKIPEDIA.texts])]
    posts = [{"id": row["url"], **row} for row in taken(rng, data, POSTS)]
    told = [{"id": row["id"], "text": row["text"]} for row in texts]
    left = introductions[WIKIPEDIA.texts :]
    short = [
        *asked.days("smollm2", DAYS), *asked.facts("smollm2", FACTS), *asked.pages("smollm2", left, PAGES),
        *asked.sums("smollm2", SUMS),
    ]  # fmt: skip
    mixed = [*solved, *told, *posts, *own(rng), *problems("smollm2", PROBLEMS), *short]
    rng.shuffle(mixed)
    facts = [{"title": fact.subject, "text": fact.sentences[0]} for fact in knowledge.load()]
    return mixed, [*left, *facts]


def taken(rng: random.Random, data: Path, source: Source) -> list[Json]:
    """As many rows of a source as it says."""
    longest = source.longest
    return rng.sample(
        [row for row in rows(data / source.file) if longest is None or len(row["text"]) <= longest], source.texts
    )


def own(rng: random.Random) -> Iterator[Json]:
    """Short texts of our own about sums, dates and facts."""
    lines = ((seed, line) for seed in SEEDS for line in to_jsonl(build("train", seed)).splitlines())
    texts = [{**json.loads(line), "seed": seed} for seed, line in lines]
    for kind, count in OWN.items():
        for row in rng.sample([row for row in texts if row["kind"] == kind], count):
            dated: Json = {name: row[name] for name in ("date", "url") if name in row}
            yield {"id": f"own-{row['seed']}-{row['id']}", "text": row["text"], **dated, "calls": row["truth"]}


if __name__ == "__main__":
    main()
