"""Do thresholds hold on texts that they were not found on? Found on every second text, and measured on the others.

    python -m recipes.calibrated MODEL ANNOTATED CORPUS

ANNOTATED is a folder of `toolformer annotate`, and CORPUS what was annotated. Nothing is written.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolformer.data_gen import read_corpus
from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.hf import load
from toolformer.when.calibrating import measure
from toolformer.when.fit import fit
from toolformer.when.needed import judged
from toolformer.when.places import Place, read_places


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.calibrated", description="Do thresholds hold elsewhere?")
    parser.add_argument("model", help="a finetuned model")
    parser.add_argument("annotated", type=Path, help="a folder of `toolformer annotate`")
    parser.add_argument("corpus", help="what was annotated")
    chosen = parser.parse_args()
    folder = AnnotatedFolder(chosen.annotated)
    tools = sorted(folder.funnel())
    places = read_places(load(chosen.model), tools, list(judged(folder, read_corpus(chosen.corpus))))
    print("\n".join(halves(places, tools)))


def halves(places: Sequence[Place], tools: Sequence[str]) -> Iterator[str]:
    """The table of each half, by the thresholds of the other."""
    parts = [[one for one in places if one.text % 2 == half] for half in (0, 1)]
    for half, (found_on, measured_on) in enumerate((parts, parts[::-1]), 1):
        yield f"half {half} of the texts, by what was found on the other"
        yield from measure(measured_on, fit(found_on), tools).table()


if __name__ == "__main__":
    main()
