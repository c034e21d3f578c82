"""How many calls each round of `toolformer annotate --chain N` kept, how many are right, and how many build on others.

    python -m recipes.chains OUT CORPUS [--known calls]

OUT is the annotated folder, CORPUS the file that it was made of, with the calls that are right in a column. A call
builds on an earlier one if a number or a name of its input stood first in the earlier result.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from toolformer.data_gen.annotated_folder import AnnotatedFolder, KeptText
from toolformer.data_gen.known import KnownText, judge
from toolformer.data_gen.reread import Corpus


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.chains", description="What each round of a chain kept.")
    parser.add_argument("out", type=Path, help="a folder of toolformer annotate")
    parser.add_argument("corpus", type=Path, help="the corpus with known calls that it was made of")
    parser.add_argument("--known", help='the column with the known calls (default: "calls")')
    chosen = parser.parse_args()
    kept = list(AnnotatedFolder(chosen.out).kept())
    for line in counted(kept, list(Corpus(chosen.corpus, known_column=chosen.known).known())):
        print(line)


def counted(kept: Sequence[KeptText], known: Sequence[KnownText]) -> Iterator[str]:
    """A line for each round."""
    for chain in range(1, 1 + max((call.chain for text in kept for call in text.calls), default=0)):
        texts = [replace(text, calls=tuple(call for call in text.calls if call.chain == chain)) for text in kept]
        calls = [call for text in texts for call in text.calls]
        share = judge(texts, known)
        yield (
            f"round {chain}: {len(calls)} calls in {sum(bool(text.calls) for text in texts)} texts, "
            f"{share.right} of {share.known} right, {sum(bool(call.uses) for call in calls)} build on earlier ones"
        )


if __name__ == "__main__":
    main()
