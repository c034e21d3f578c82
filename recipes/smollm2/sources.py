"""The public files that the recipes read, by their hashes; and how they are read."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A file of texts, and how many texts are taken from it."""

    file: str
    sha256: str
    texts: int
    longest: int | None = None
    """Only texts of at most so many characters."""


BARE = Source("gsm8k/train_bare.jsonl", "fc6ad918497a7fd679a66c367ffd9e27c1499f42566234323aa2d7463639e328", 500, 300)
"""Solved word problems without the expressions before their results. Short ones take one or two steps."""
WIKIPEDIA = Source(
    "wikipedia/passages.jsonl.gz", "b9bd4ab634adf009b68b318be28f4543a30cc337de6873975982ee523fccb425", 80
)
POSTS = Source("webtext/posts.jsonl.gz", "489fad6d5f2b891c71779c7a3813bf2e3e71f41d94455d45f3b956d967f89f62", 12, 3000)
"""Web pages with their dates."""
MAWPS = Source("mawps/trainset.json", "2b64752c55d451a157b6aec2ffddfe67a64ec3a67e3e7c7d4eb7a02ce2ed05dc", 0)
"""Not learnt from: settings are chosen by it."""
SOURCES = (BARE, WIKIPEDIA, POSTS, MAWPS)


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
