"""Makes the corpus that comes with the built-in model: `toolformer.builtin.corpus` says what is in it.

    python -m recipes.builtin.corpus     writes corpus*.jsonl again, byte for byte

Its facts are those of the knowledge.jsonl that is in the package, so that is to be made first.
"""

import argparse
import datetime
import json
import random
from collections.abc import Iterator

from recipes.builtin import PACKAGE
from recipes.builtin.date_texts import date_text, today_text
from recipes.builtin.fact_texts import facts, told
from recipes.builtin.plain_texts import plain_text, vague
from recipes.builtin.stories import story
from recipes.builtin.words import ShortText
from toolformer.builtin.corpus import FILES, PLAIN_FILE, Entry, Kind, Split, TrueCall
from toolformer.builtin.knowledge import Fact

COUNTS: dict[Split, dict[Kind, int]] = {
    "train": {"sum": 330, "fact": 360, "date": 160, "today": 10, "plain": 100},
    "held": {"sum": 130, "fact": 130, "date": 60, "today": 10, "plain": 70},
}
PLAIN = 1500
"""Documents of corpus_plain.jsonl."""
STORIES = 0.3
"""Of them with a story that tells no number."""


def build(split: Split, seed: int = 3) -> list[Entry]:
    """The documents of one split, made anew."""
    rng = random.Random(f"corpus {seed} {split}")
    kinds = [kind for kind, count in COUNTS[split].items() for _ in range(count)]
    rng.shuffle(kinds)
    untold = list(facts(split))
    rng.shuffle(untold)
    return [_entry(rng, split, kind, number, untold) for number, kind in enumerate(kinds)]


def build_plain(seed: int = 3) -> list[Entry]:
    """The plain documents, made anew."""
    rng = random.Random(f"corpus {seed} plain")
    return [Entry(f"plain-{number:04d}", _plain(rng).text, "plain", ()) for number in range(PLAIN)]


def _plain(rng: random.Random) -> ShortText:
    """Plain sentences; in some, a story without its numbers: it is these that ask for a sum, and not its words."""
    if rng.random() < STORIES:
        return _among_others(rng, "train", vague(rng, story(rng, "train", parts=0.8)))
    return plain_text(rng, "train", rng.randint(2, 3))


def to_jsonl(entries: list[Entry]) -> str:
    """The text of a corpus file: one document a line."""
    return "".join(json.dumps(_record(entry), ensure_ascii=False) + "\n" for entry in entries)


def _entry(rng: random.Random, split: Split, kind: Kind, number: int, untold: list[Fact]) -> Entry:
    day = datetime.date(2015, 1, 1) + datetime.timedelta(days=rng.randrange(4300))
    stories, dates = (0.8, 0.75) if split == "train" else (0.0, 0.0)
    passage = {
        "sum": lambda: story(rng, split, parts=stories),
        "fact": lambda: told(untold.pop(), *rng.sample(range(3), 2)),
        "date": lambda: date_text(rng, split, dates),
        "today": lambda: today_text(rng, split, day),
        "plain": lambda: plain_text(rng, split, rng.randint(2, 3)),
    }[kind]()
    if kind != "plain":
        passage = _among_others(rng, split, passage)
    name = f"{split}-{number:04d}"
    dated = day.isoformat() if kind == "today" or rng.random() < 0.1 else None
    url = f"https://example.org/{day:%Y/%m/%d}/{name}" if dated and rng.random() < 0.5 else None
    return Entry(name, passage.text, kind, passage.calls, dated, url)


def _among_others(rng: random.Random, split: Split, passage: ShortText) -> ShortText:
    """The passage, often with plain sentences before or behind it."""
    if rng.random() < 0.5:
        passage = plain_text(rng, split) + passage
    if rng.random() < 0.4:
        passage = passage + plain_text(rng, split)
    return passage


def _record(entry: Entry) -> dict[str, object]:
    given = {"id": entry.id, "text": entry.text, "kind": entry.kind, "date": entry.date, "url": entry.url}
    record: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    record["truth"] = [dict(_fields(call)) for call in entry.truth]
    return record


def _fields(call: TrueCall) -> Iterator[tuple[str, object]]:
    yield from {"tool": call.tool, "input": call.input, "also": call.also, "result": call.result}.items()
    yield "start", call.start
    if call.answer:
        yield "answer", call.answer


def main() -> None:
    """Write the files into the package."""
    argparse.ArgumentParser(description="Makes the built-in corpus.").parse_args()
    made = [*((name, build(split)) for split, name in FILES.items()), (PLAIN_FILE, build_plain())]
    for name, entries in made:
        (PACKAGE / name).write_text(to_jsonl(entries), encoding="utf-8", newline="\n")
        print(f"{len(entries):5} documents in {name}")


if __name__ == "__main__":
    main()
