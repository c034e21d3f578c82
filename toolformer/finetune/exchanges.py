"""Inputs and the outputs that are right: what an expert is trained on, read from a file and made into rows.

What stands around an input is the expert's prompt, in which `{input}` is its place. The same prompt is used when the
expert is asked, and encoded in the same way: the output goes on behind it with a space.
"""

import hashlib
import json
import random
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolformer.calls import Part
from toolformer.errors import ConfigError, DataError
from toolformer.expert import filled
from toolformer.finetune.training_rows import TrainingRow
from toolformer.hf.encode import Codec
from toolformer.text_file import json_lines


@dataclass(frozen=True)
class Exchange:
    """An input, and the output that is right."""

    input: str
    output: str


@dataclass(frozen=True)
class Exchanges:
    """Those of a run: to be learnt, and held out. No input is on both sides."""

    learnt: Sequence[Exchange]
    held: Sequence[Exchange]

    @property
    def digest(self) -> str:
        """A hash of all of them."""
        said = [[[one.input, one.output] for one in some] for some in (self.learnt, self.held)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def read_exchanges(path: Path) -> list[Exchange]:
    """Those of a file of JSON lines, each with an `input` and an `output` that are text and not empty."""
    found = []
    for number, row in json_lines(path):
        for name in ("input", "output"):
            if not isinstance(row.get(name), str) or not row[name].strip():
                raise DataError(
                    f'{path}:{number}: no {name}: write {{"input": "...", "output": "..."}}, both text and not empty'
                )
        found.append(Exchange(row["input"], row["output"].strip()))
    if not found:
        raise DataError(f'{path} holds no pair: write {{"input": "...", "output": "..."}}, one a line')
    return found


def hold_out(exchanges: Iterable[Exchange], share: float, seed: int) -> Exchanges:
    """Hold out a share of the inputs, with all outputs that each of them has."""
    whole = list(dict.fromkeys(exchanges))
    inputs = list(dict.fromkeys(one.input for one in whole))
    rng = random.Random(f"{seed} exchanges")
    rng.shuffle(inputs)
    out = {*inputs[: round(len(inputs) * share)]}
    rng.shuffle(whole)
    learnt, held = ([one for one in whole if (one.input in out) is side] for side in (False, True))
    if not learnt:
        raise DataError(f"{len(whole)} pairs are too few: none is left to learn from once some are held out")
    return Exchanges(learnt, held)


class ExchangeRows:
    """Makes rows of exchanges for one model: the prompt is read, the output learnt."""

    def __init__(self, codec: Codec, prompt: str, most: int) -> None:
        """`most` is how many tokens a row may have; a longer one is left out."""
        self.cut = 0
        """How many were left out."""
        self._codec, self._prompt, self._most = codec, prompt, most
        if codec.tokenizer.eos_token_id is None:
            raise ConfigError("the tokenizer has no token that ends a text: an expert could not end its answer")

    def rows(self, exchanges: Iterable[Exchange]) -> list[TrainingRow]:
        """Their rows, without those that are too long."""
        made = [self._row(one) for one in exchanges]
        fit = [row for row in made if len(row) <= self._most]
        self.cut += len(made) - len(fit)
        return fit

    def _row(self, exchange: Exchange) -> TrainingRow:
        read = self._codec.started(self._codec.encode(filled(self._prompt, exchange.input)).ids)
        said = self._codec.encode_parts([Part(" " + exchange.output)])
        ids = array("i", [*read, *said, self._codec.tokenizer.eos_token_id])
        return TrainingRow(ids, frozenset(range(1, len(read))))
