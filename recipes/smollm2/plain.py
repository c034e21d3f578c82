"""The texts that smollm2-tools reads without calls: short pieces of prose, and what people say to a chat where no tool
helps (chatter.toml). In both it is to stay quiet.

    python -m recipes.smollm2.plain DATA OUT

writes OUT/plain.jsonl. What `prose.py` measures on is left out, and so is the corpus: a call may well belong in a text
of it that kept none.
"""

import argparse
import random
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from recipes.smollm2 import prose
from recipes.smollm2.corpus import drawn
from recipes.smollm2.sources import POSTS, WIKIPEDIA, Source, digest, rows, write

SEED = "anchor 1"
WIKITEXT = Source("wikitext2/valid.txt", "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8", 160, 350)
PIECES = (replace(WIKIPEDIA, texts=160, longest=320), WIKITEXT, replace(POSTS, texts=130, longest=350))
"""Of each source so many pieces, each of at most so many characters."""
_SHORTEST = 300
"""Characters that a line of WikiText has, if it is a paragraph."""
_SAME = 200
"""Texts that begin with the same characters are the same text."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The texts that smollm2-tools reads without calls.")
    parser.add_argument("data", type=Path, help="the folder of the public files")
    parser.add_argument("out", type=Path, help="the folder to write")
    chosen = parser.parse_args()
    if digest(chosen.data / WIKITEXT.file) != WIKITEXT.sha256:
        sys.exit(f"{chosen.data} holds another {WIKITEXT.file} than this recipe was made with, or none")
    texts = [*pieces(chosen.data), *chatter()]
    write(chosen.out / "plain.jsonl", [{"id": str(number), "text": text} for number, text in enumerate(texts)])
    print(f"{len(texts)} texts")


def pieces(data: Path) -> Iterator[str]:
    """The beginnings of texts that are neither learnt from otherwise nor measured on."""
    rng = random.Random(SEED)
    draws = [prose.texts(data, draw) for draw in (prose.TOLD, prose.TO_CHOOSE)]
    measured = {text[:_SAME] for kinds in draws for some in kinds.values() for text in some}
    learnt = {row["text"] for row in drawn(data)[0]}
    for source in PIECES:
        free = [text for text in texts(data, source) if text[:_SAME] not in measured and text not in learnt]
        yield from (begun(text, source.longest or len(text)) for text in rng.sample(free, source.texts))


def chatter() -> Iterator[str]:
    """Texts of two lines, what somebody says and an answer; and sentences by themselves."""
    read = tomllib.loads(Path(__file__).with_name("chatter.toml").read_text("utf-8"))
    yield from (f"{asked}\n{answer}" for asked, answer in read["chatter"].items())
    yield from read["said"]["of"]


def texts(data: Path, source: Source) -> list[str]:
    """All texts of a source."""
    path = data / source.file
    if path.suffix != ".txt":
        return [row["text"] for row in rows(path)]
    return [line.strip() for line in path.read_text("utf-8").splitlines() if len(line) > _SHORTEST]


def begun(text: str, longest: int) -> str:
    """A text's beginning, up to the end of a sentence, a line or at least a word."""
    text = text[:longest]
    for end in (". ", "\n", " "):
        if (at := text.rfind(end)) > longest // 2:
            return text[: at + 1].strip()
    return text


if __name__ == "__main__":
    main()
