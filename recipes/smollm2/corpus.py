"""The texts that smollm2-tools learns from, drawn from public text by a seed; and what they can search.

    python -m recipes.smollm2.corpus DATA OUT

DATA holds the files of `SOURCES`; the package's own texts and facts are mixed in. OUT gets

    corpus.jsonl      the texts of all kinds, mixed. Some keep the calls that their authors wrote down: they serve to
                      count how many of the annotator's calls are right, and nothing is learnt from them
    passages.jsonl    introductions that are in no text, since a search must not find the text itself; and our facts
    validation/       MAWPS's training split in the place of its test split, for settings to be chosen by
"""

import argparse
import gzip
import hashlib
import json
import random
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.builtin.corpus import build, to_jsonl
from recipes.smollm2.problems import problems
from toolformer.builtin import knowledge

SEED = 16
Json = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A file of texts, and how many texts are taken from it."""

    file: str
    sha256: str
    texts: int
    longest: int | None = None
    """Only texts of at most so many characters."""


BARE = Source("gsm8k/train_bare.jsonl", "fc6ad918497a7fd679a66c367ffd9e27c1499f42566234323aa2d7463639e328", 600, 300)
"""Solved word problems without the expressions before their results. Short ones take one or two steps."""
WIKIPEDIA = Source(
    "wikipedia/passages.jsonl.gz", "b9bd4ab634adf009b68b318be28f4543a30cc337de6873975982ee523fccb425", 80
)
POSTS = Source("webtext/posts.jsonl.gz", "489fad6d5f2b891c71779c7a3813bf2e3e71f41d94455d45f3b956d967f89f62", 12, 3000)
"""Web pages with their dates."""
MAWPS = Source("mawps/trainset.json", "2b64752c55d451a157b6aec2ffddfe67a64ec3a67e3e7c7d4eb7a02ce2ed05dc", 0)
"""Not learnt from: settings are chosen by it."""
SOURCES = (BARE, WIKIPEDIA, POSTS, MAWPS)
PROBLEMS = 700
"""Short word problems of our own: problems.py."""
OWN = {"sum": 120, "date": 300, "today": 60, "fact": 360}
"""Texts of each kind of the package's own corpus, which is made again with several seeds."""
SEEDS = range(6)


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
    mixed = [*solved, *told, *posts, *own(rng), *problems("smollm2", PROBLEMS)]
    rng.shuffle(mixed)
    facts = [{"title": fact.subject, "text": fact.sentences[0]} for fact in knowledge.load()]
    return mixed, [*introductions[WIKIPEDIA.texts :], *facts]


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


def rows(path: Path) -> Iterator[Json]:
    """The lines of a file."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def write(path: Path, rows: list[Json]) -> None:
    """A line each."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def digest(path: Path) -> str:
    """The file's hash; nothing, where there is no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


if __name__ == "__main__":
    main()
