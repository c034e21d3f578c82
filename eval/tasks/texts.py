"""Perplexity of WikiText and of any text, and users' own text-to-text tasks."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from toolformer.errors import ConfigError
from toolformer.eval import sources
from toolformer.eval.examples import Example, splits
from toolformer.eval.sources import field, hub, lines, published

_TITLE = re.compile(r"^ = [^=\n].* = $", re.MULTILINE)


def wikitext(data: str | None = None, **_: object) -> dict[str, Any]:
    """WikiText-2, its test set, article by article: `wikitext2/test.txt`, or the hub's EleutherAI copy."""
    if data is not None:
        pages: Iterable[str] = _articles(published(data, "wikitext2/test.txt", "wikitext2/wiki.test.raw"))
    else:
        rows = hub("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", "test")
        pages = (row["page"] for row in rows)
    return splits(_pages(pages), "WikiText")


def _articles(path: Path) -> Iterator[str]:
    """One file holds all articles; a title between single equals signs begins one."""
    text = sources.text(path)
    starts = [match.start() for match in _TITLE.finditer(text)] or [0]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text[start:end]


def _pages(pages: Iterable[str]) -> Iterator[Example]:
    from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer

    for number, page in enumerate(pages):
        text = wikitext_detokenizer({"page": page})
        yield Example(id=f"wikitext-{number}", prompt=text, words=len(re.split(r"\s+", page)))


def plain_text(text: str | None = None, **_: object) -> dict[str, Any]:
    """Any text: a .jsonl file with a field `text`, or a file that is one text."""
    if text is None:
        raise ConfigError("the task text needs a file: --text FILE")
    path = Path(text)
    rows = path.suffix == ".jsonl"
    found = [str(field(row, "text", path)) for row in lines(path)] if rows else [sources.text(path)]
    made = (Example(f"{path.stem}-{n}", one, words=len(one.split())) for n, one in enumerate(found) if one.strip())
    return splits(made, path.name)


def text_to_text(pairs: str | None = None, **_: object) -> dict[str, Any]:
    """Your own task: a .jsonl file with `prompt` and `references`, a list of texts; scored by ROUGE and BLEU."""
    if pairs is None:
        raise ConfigError("the task pairs needs a file: --pairs FILE")
    path = Path(pairs)
    made = (
        Example(str(row.get("id", number)), str(field(row, "prompt", path)), _references(row, path), "overlap")
        for number, row in enumerate(lines(path))
    )
    return splits(made, path.name)


def _references(row: dict[str, Any], path: Path) -> tuple[str, ...]:
    given = field(row, "references", path)
    return (given,) if isinstance(given, str) else tuple(map(str, given))
