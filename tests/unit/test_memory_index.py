"""Passages in memory: found like those of an index on disk."""

from pathlib import Path

import pytest

from toolformer import ConfigError
from toolformer.tools.index_build import build_index
from toolformer.tools.memory_index import MemoryIndex
from toolformer.tools.passages import Passage, Source
from toolformer.tools.search_index import SearchIndex

PASSAGES = [
    Passage("Ada", "Ada Lovelace wrote about an engine."),
    Passage("Bo", "Bo is a dog, and no engine."),
    Passage("", "Nothing of that kind."),
]


def test_it_finds_what_an_index_on_disk_finds(tmp_path: Path) -> None:
    file = tmp_path / "passages.jsonl"
    file.write_text("".join(f'{{"title": "{p.title}", "text": "{p.text}"}}\n' for p in PASSAGES))
    build_index(file, tmp_path / "index")
    stored, memory = SearchIndex.open(tmp_path / "index"), MemoryIndex("few", PASSAGES)
    for query in ("engine", "the dog's engine", "kind lovelace", "", "the", "zebra", "x" * 10_000):
        for limit in (0, 1, 2, 10):
            assert memory.search(query, limit) == stored.search(query, limit)


def test_its_identity_is_its_passages() -> None:
    assert isinstance(MemoryIndex("few", PASSAGES), Source)
    assert MemoryIndex("few", PASSAGES).identity.startswith("few-")
    assert MemoryIndex("few", PASSAGES).identity == MemoryIndex("few", list(PASSAGES)).identity
    assert MemoryIndex("few", PASSAGES).identity != MemoryIndex("few", PASSAGES[:2]).identity


@pytest.mark.parametrize("passages", [[], [Passage("", "the!")]])
def test_passages_without_a_word_are_refused(passages: list[Passage]) -> None:
    with pytest.raises(ConfigError, match="the passages of few hold no word"):
        MemoryIndex("few", passages)
