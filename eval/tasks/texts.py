"""Perplexity of WikiText and of any text, and users' own text-to-text tasks."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from toolformer.errors import ConfigError
from toolformer.eval.examples import NO_ANSWER, Example, LeftOut, Splits, golds, splits
from toolformer.eval.sources import JsonRow, field, hub, lines, published, strings
from toolformer.text_file import whole

_TITLE = re.compile(r"^ = [^=\n].* = $", re.MULTILINE)


def wikitext(data: str | None = None, **_: object) -> Splits:
    """WikiText-2, its test set, article by article: `wikitext2/test.txt`, or the hub's EleutherAI copy."""
    if data is not None:
        text = whole(published(data, "wikitext2/test.txt", "wikitext2/wiki.test.raw"))
        tokens = len(text.split()) + text.count("\n")  # its publishers count the end of a line as one
        return splits(_pages(_articles(text)), "WikiText", 245_569, "tokens", read=tokens)
    rows = hub("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", "test")
    return splits(_pages(field(row, "page", where) for where, row in rows), "WikiText", 62, "articles")


def _articles(text: str) -> Iterator[str]:
    """One file holds all articles; a title between single equals signs begins one."""
    starts = [match.start() for match in _TITLE.finditer(text)] or [0]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text[start:end]


def _pages(pages: Iterable[str]) -> Iterator[Example]:
    from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer

    for number, page in enumerate(pages):
        text = wikitext_detokenizer({"page": page})
        yield Example(id=f"wikitext-{number}", prompt=text, words=len(re.split(r"\s+", page)))


def plain_text(text: str | None = None, **_: object) -> Splits:
    """Any text: a .jsonl file with a field `text`, or a file that is one text."""
    if text is None:
        raise ConfigError("the task text needs a file: name one as text")
    path = Path(text)
    rows = path.suffix == ".jsonl"
    found = [golds(field(row, "text", where)) for where, row in lines(path)] if rows else [golds(whole(path))]
    made = (
        Example(f"{path.stem}-{n}", one[0], words=len(one[0].split())) if one else LeftOut("it is empty")
        for n, one in enumerate(found)
    )
    return splits(made, path.name, unit="texts")


def text_to_text(pairs: str | None = None, **_: object) -> Splits:
    """Your own task: a .jsonl file with `prompt` and `references`, a list of texts; scored by ROUGE and BLEU."""
    if pairs is None:
        raise ConfigError("the task pairs needs a file: name one as pairs")
    path = Path(pairs)
    made = (_pair(number, row, where) for number, (where, row) in enumerate(lines(path)))
    return splits(made, path.name, unit="pairs")


def _pair(number: int, row: JsonRow, where: str) -> Example | LeftOut:
    given = field(row, "references", where)
    references = golds(*([given] if isinstance(given, str) else strings(row, "references", where)))
    if not references:
        return NO_ANSWER
    return Example(str(row.get("id", number)), str(field(row, "prompt", where)), references, "overlap")
