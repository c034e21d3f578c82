"""Pairs of a better and a worse way to go on, as ids: what `prefer` trains on.

    call         a kept call stands there: its opening is better than the text's next token
    no call      the model wants to call where nothing is gained: the next token, or words, are better than a call
    which call   another call at a kept call's place gained less, or had no result: the kept one is better
    own call     the model itself writes a call with another result there: the kept one is better

Texts whose calls rules wrote do not say where the model itself wants to call. So the model reads plain texts once.
Where an opening is among its k likeliest tokens, and annotating neither kept a call nor left the place undecided, the
text's next token is better. Without pairs of the first kind, a model would learn to call nowhere.
"""

import random
import re
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from transformers import PreTrainedModel

from toolformer.calls import Call, Part
from toolformer.data_gen.annotated_folder import KeptText
from toolformer.data_gen.preference import Preference
from toolformer.finetune.config import PreferConfig
from toolformer.finetune.own_calls import Mistake
from toolformer.finetune.prepare import Prepared
from toolformer.finetune.training_rows import Example, RowMaker, token_at
from toolformer.hf.network import batches, context_of, filler_of
from toolformer.lm import Ids, ranks

Kind = Literal["call", "no call", "which call", "own call"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PLACES = 4
"""Places of one plain text: those where the opening came closest."""
_TOGETHER = 1024
"""Tokens that are read in one pass."""


@dataclass(frozen=True)
class Pair:
    """Two ways in which a text could go on."""

    kind: Kind
    text: str
    """The text that it is of. No text is both learnt from and held out."""
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    def __len__(self) -> int:
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)


@dataclass(frozen=True)
class Drawn:
    """The pairs of a run."""

    learnt: Sequence[Pair]
    held: Sequence[Pair]


class PairMaker:
    """Makes the pairs of one model. Nothing in a text can become a control token."""

    def __init__(self, prepared: Prepared, config: PreferConfig) -> None:
        self._codec, self._network = prepared.codec, prepared.network
        self._control = prepared.syntax.control_tokens
        self._marker = re.compile("(" + "|".join(map(re.escape, self._control)) + ")")
        self._syntax = prepared.syntax
        self._opening, self._arrow, self._close = prepared.codec.encode_parts(
            [Part(one, True) for one in self._control]
        )
        self._most = min(config.max_length, context_of(prepared.network))
        self._k = config.k
        self._rows = RowMaker(prepared.codec, prepared.syntax, self._most)

    def compared(self, text: str, preference: Preference) -> Iterator[Pair]:
        """The pair that annotating found, unless it is too long."""
        begin, *rest = self._marker.split(preference.prompt)
        prompt = (*self._start, *self._codec.encode(begin).ids, *self._ids(rest))
        chosen, rejected = (self._ids(self._marker.split(said)) for said in (preference.chosen, preference.rejected))
        kind: Kind = "which call" if chosen[:1] == (self._opening,) else "no call"
        if len(prompt) + max(len(chosen), len(rejected)) <= self._most:
            yield Pair(kind, text, prompt, chosen, rejected)

    def kept(self, example: Example) -> Iterator[Pair]:
        """A pair for each kept call that fits: to open it, or to go on with what the text says behind it."""
        ids = self._rows.with_calls(example).ids
        for at in [place for place, id_ in enumerate(ids) if id_ == self._opening]:
            behind = ids.index(self._close, at) + 1
            if at > 0 and behind < len(ids):
                yield Pair("call", example.text, (*ids[:at],), (self._opening,), (ids[behind],))

    def own(self, text: KeptText, mistake: Mistake) -> Iterator[Pair]:
        """The pair of a kept call and the model's own in its place, each up to its result, which the tool says."""
        ids = self._rows.with_calls(text).ids
        opened = [place for place, id_ in enumerate(ids) if id_ == self._opening]
        if mistake.call >= len(opened):
            return  # it was cut off
        at = opened[mistake.call]
        parts = self._syntax.parts(Call(mistake.tool, mistake.input, ""))
        rejected = self._codec.encode_parts(parts)
        chosen, rejected = (said[: said.index(self._arrow) + 1] for said in ((*ids[at:],), rejected))
        if len(ids[:at]) + max(len(chosen), len(rejected)) <= self._most:
            yield Pair("own call", text.text, (*ids[:at],), chosen, rejected)

    def needless(self, examples: Sequence[Example], undecided: Mapping[str, Collection[int]]) -> Iterator[Pair]:
        """A pair for each place in texts without calls where the model wants to open one."""
        rows = [self._rows.without_calls(example).ids for example in examples]
        for index, logits in _passes(self._network, rows):
            text, ids = examples[index].text, rows[index]
            near = ranks(logits, self._opening)
            spared = self._places(text, undecided.get(text, ()))
            places = [at for at in range(1, len(ids)) if near[at - 1] < self._k and at not in spared]
            for at in sorted(places, key=lambda at: near[at - 1])[:PLACES]:
                yield Pair("no call", text, (*ids[:at],), (ids[at],), (self._opening,))

    @property
    def _start(self) -> Ids:
        return () if self._codec.start is None else (self._codec.start,)

    def _ids(self, pieces: Iterable[str]) -> tuple[int, ...]:
        return self._codec.encode_parts([Part(piece, control=piece in self._control) for piece in pieces if piece])

    def _places(self, text: str, starts: Collection[int]) -> set[int]:
        """Where the tokens at these characters are among a row's ids."""
        encoded = self._codec.encode(text)
        return {len(self._start) + token_at(encoded.starts, start, text) for start in starts}


def draw(found: Sequence[Pair], config: PreferConfig) -> Drawn:
    """At most so many pairs of each kind, and of calls no more than of places without one; some texts are held out, and
    of their pairs the same share is taken."""
    rng = random.Random(f"{config.seed} pairs")
    texts = sorted({pair.text for pair in found})
    rng.shuffle(texts)
    out = {*texts[: round(len(texts) * config.held_out)]}
    sides: dict[bool, list[Pair]] = {False: [], True: []}
    for held, side in sides.items():
        most = max(1, round(config.pairs * config.held_out)) if held else config.pairs
        by_kind: dict[Kind, list[Pair]] = defaultdict(list)
        for pair in found:
            if (pair.text in out) is held:
                by_kind[pair.kind].append(pair)
        for kind in KINDS:
            rng.shuffle(by_kind[kind])
        by_kind["call"] = by_kind["call"][: len(by_kind["no call"])]
        side += [pair for kind in KINDS for pair in by_kind[kind][:most]]
    return Drawn(sides[False], sides[True])


def log_probabilities(network: PreTrainedModel, pairs: Sequence[Pair]) -> list[tuple[float, float]]:
    """How likely the model goes on with the chosen ids, and with the rejected ones."""
    asked: dict[tuple[int, ...], list[tuple[int, int, tuple[int, ...]]]] = defaultdict(list)
    for index, pair in enumerate(pairs):
        for side, said in enumerate((pair.chosen, pair.rejected)):
            # The last token is asked for and not read. Where both are one token, they share a row.
            asked[(*pair.prompt, *said)[:-1]].append((index, side, said))
    answers = [[0.0, 0.0] for _ in pairs]
    rows = [*asked]
    for row, logits in _passes(network, [array("i", ids) for ids in rows]):
        for index, side, said in asked[rows[row]]:
            behind = logits[len(pairs[index].prompt) - 1 :].log_softmax(dim=-1)
            answers[index][side] = sum(float(behind[at, id_]) for at, id_ in enumerate(said))
    return [(chosen, rejected) for chosen, rejected in answers]


@torch.no_grad()
def _passes(network: PreTrainedModel, rows: Sequence["array[int]"]) -> Iterator[tuple[int, Tensor]]:
    """For each row, like lengths together, the logits of what follows each of its tokens."""
    filler = filler_of(network)
    for group in batches([len(row) for row in rows], _TOGETHER):
        width = max(len(rows[index]) for index in group)
        grid = [[*rows[index], *[filler] * (width - len(rows[index]))] for index in group]
        logits = network(input_ids=torch.tensor(grid, device=network.device), use_cache=False).logits
        for index, row in zip(group, logits, strict=True):
            yield index, row[: len(rows[index])].float()
