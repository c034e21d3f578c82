"""A part of an annotated corpus: what is it worth to learn from fewer calls, or from those that gained more?

    python -m recipes.smollm2.part ANNOTATED OUT --texts 300
    python -m recipes.smollm2.part ANNOTATED OUT --gain 1

`--texts` takes so many of the texts that kept calls; for the same seed, the fewer are among the more. `--gain` takes
the calls that gained so much: another filtering threshold, without annotating again. A call that is left out by it
counts as rejected, as it would have been. OUT can be trained on as ANNOTATED can.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

from recipes.smollm2.sources import Json, rows, write
from toolformer.calls import Call, CallSyntax

NAME = "part.jsonl"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A part of an annotated corpus.")
    parser.add_argument("annotated", type=Path, help="what `toolformer annotate` wrote")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--texts", type=int, help="so many of the texts that kept calls")
    parser.add_argument("--gain", type=float, default=0.0, help="only calls that gained at least so much")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    kept, rejected = part(chosen.annotated, chosen.texts, chosen.gain, chosen.seed)
    for name, records in (("kept", kept), ("rejected", rejected)):
        (chosen.out / name).mkdir(parents=True, exist_ok=True)
        write(chosen.out / name / NAME, records)
    (chosen.out / "config.json").write_bytes((chosen.annotated / "config.json").read_bytes())
    print(f"{sum(len(text['calls']) for text in kept):,} calls in {len(kept):,} texts")


def part(annotated: Path, texts: int | None, gain: float, seed: int) -> tuple[list[Json], list[Json]]:
    """The texts that kept calls, and what was rejected in all texts that could be learnt from."""
    all_texts = [*_records(annotated, "kept")]
    drawn = random.Random(seed).sample(all_texts, len(all_texts))[:texts]
    out = {text["id"] for text in all_texts} - {text["id"] for text in drawn}
    rejected = [record for record in _records(annotated, "rejected") if record["id"] not in out]
    kept = []
    for text in drawn:
        weak = [call for call in text["calls"] if call["gain"] < gain]
        rejected += [_rejected(text, call, gain) for call in weak]
        if calls := [call for call in text["calls"] if call["gain"] >= gain]:
            kept.append({**text, "calls": calls, "annotated": _written(text["text"], calls)})
    return kept, rejected


def _records(annotated: Path, kind: str) -> Iterator[Json]:
    for path in sorted((annotated / kind).glob("*.jsonl")):
        yield from rows(path)


def _rejected(text: Json, call: Json, gain: float) -> Json:
    where = {"id": text["id"], "near": text["text"], "at": call["start"]}
    return {**call, **where, "stage": "filter", "reason": f"gains less than {gain:g}"}


def _written(text: str, calls: list[Json]) -> str:
    """The text with these calls before the places where they stand."""
    for call in sorted(calls, key=lambda call: -int(call["start"])):
        said = CallSyntax.TEXT.format(Call(call["tool"], call["input"], call["result"]))
        text = f"{text[: call['start']]}{said}{text[call['start'] :]}"
    return text


if __name__ == "__main__":
    main()
