"""What preparing many short texts for training takes: `python -m tests.bench_training [--texts 1000000]`.

Texts of twenty words with one call each go through `choose`, `make_rows` and `plan`, as in `train`, with the built-in
model's tokenizer. After each step: CPU seconds since the beginning, and the most memory that the process has taken.
"""

import argparse
import random
import resource
import tempfile
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

from toolformer.calls import Call, CallSyntax
from toolformer.finetune import TrainConfig
from toolformer.finetune.batches import Groups, plan
from toolformer.finetune.mixture import choose, make_rows
from toolformer.finetune.on_disk import StoredCall, StoredText
from toolformer.finetune.training_rows import RowMaker
from toolformer.hf.encode import Codec
from toolformer.hf.load import words_of
from toolformer.loading import Loading


def texts(count: int) -> Iterator[StoredText]:
    """Sums of cups, each with its call."""
    rng = random.Random(0)
    for number in range(count):
        one, two = rng.randrange(900), rng.randrange(900)
        begin = f"Text {number}: Ann had {one} cups and bought {two} more at the market, so now she has"
        call = StoredCall(Call("Calculator", f"{one} + {two}", str(one + two)), len(begin))
        yield StoredText(str(number), f"{begin} {one + two} of them at home.", (call,))


def main() -> None:
    """Prepare them, and say what it took."""
    parser = argparse.ArgumentParser(description="Memory and time of preparing training data.")
    parser.add_argument("--texts", type=int, default=100_000)
    count: int = parser.parse_args().texts
    tokenizer = words_of("builtin", Loading()).codec.tokenizer
    tokenizer.add_tokens([*CallSyntax.TOKENS.control_tokens], special_tokens=True)
    maker = RowMaker(Codec(tokenizer, "bench"), CallSyntax.TOKENS, 1024)
    config = TrainConfig(epochs=1)
    begun = time.process_time()

    def told(what: str) -> None:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{what:<28}{time.process_time() - begun:8.1f} s CPU {most:8.0f} MB", flush=True)

    told("before")
    chosen = choose(texts(count), (), config)
    told(f"{len(chosen.learnt):,} texts to learn")
    with tempfile.TemporaryDirectory() as folder:
        rows = make_rows(chosen, maker, config, Path(folder)).rows
    told(f"{len(rows):,} rows")
    lengths = array("q", map(len, rows))
    planned = plan(lengths, config.batch_size, config.device_batch, 1, len(rows) // config.batch_size, config.seed)
    groups = Groups(rows, planned, 0, 1)
    told(f"{planned.steps:,} steps planned")
    for number in range(1000):
        groups[number % len(groups)]
    told("1,000 batches read")


if __name__ == "__main__":
    main()
