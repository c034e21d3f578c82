"""Are the calls that were kept in the built-in corpus the right ones? The corpus knows.

    python -m recipes.builtin.judge OUT [--split held]     OUT is what `toolformer annotate` wrote for that corpus

A call is right where the corpus says that its text has a call of that tool with the same result; what a search found
must give the answer away. `as listed` is stricter: the input, too, is one that the corpus lists, so that a question in
other words does not count. `in place` says how many of the right calls stand right before the answer.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolformer.builtin import corpus
from toolformer.builtin.corpus import TrueCall
from toolformer.calls import Call
from toolformer.data_gen.annotated_folder import AnnotatedFolder, KeptCall
from toolformer.errors import DataError


@dataclass
class Verdict:
    """The kept calls of one tool."""

    kept: int = 0
    right: int = 0
    listed: int = 0
    in_place: int = 0

    def __str__(self) -> str:
        shares = (self.right / self.kept, self.listed / self.kept, self.in_place / self.kept)
        return "{:6} kept  {:6.1%} right  {:6.1%} as listed  {:6.1%} in place".format(self.kept, *shares)


def judged(folder: Path, entries: list[corpus.Entry]) -> dict[str, Verdict]:
    """A verdict for each tool that kept a call."""
    known = {entry.id: entry for entry in entries}
    verdicts: dict[str, Verdict] = defaultdict(Verdict)
    for text in AnnotatedFolder(folder).kept():
        if text.id not in known or known[text.id].text != text.text:
            raise DataError(
                f"{folder}: {text.id} is no text of the built-in corpus; annotate that, or name its other split"
            )
        for one in text.calls:
            _judge(one, known[text.id].truth, verdicts[one.call.tool])
    return dict(sorted(verdicts.items()))


def _judge(one: KeptCall, truth: tuple[TrueCall, ...], verdict: Verdict) -> None:
    right = next(_right(one.call, truth), None)
    verdict.kept += 1
    if right is not None:
        verdict.right += 1
        verdict.listed += _plain(one.call.input) in map(_plain, (right.input, *right.also))
        verdict.in_place += abs(one.start - right.start) <= 1


def _right(call: Call, truth: tuple[TrueCall, ...]) -> Iterator[TrueCall]:
    for true in truth:
        found = true.tool == "WikiSearch" and true.said.casefold() in (call.result or "").casefold()
        if call.tool == true.tool and (found or call.result == true.result):
            yield true


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.builtin.judge", description="Judges the calls that were kept in the built-in corpus."
    )
    parser.add_argument("folder", type=Path, help="what `toolformer annotate` wrote")
    parser.add_argument(
        "--split", choices=list(corpus.FILES), default="train", help="corpus.jsonl, or corpus_held.jsonl"
    )
    chosen = parser.parse_args()
    for tool, verdict in judged(chosen.folder, corpus.load(chosen.split)).items():
        print(f"{tool:<11}{verdict}")


if __name__ == "__main__":
    main()
