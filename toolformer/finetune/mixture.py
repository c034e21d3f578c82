"""Which texts are learnt from, in which form, and which are held out to measure on.

Texts and rows lie on disk; in memory, about a hundred bytes of each are held, besides those that are held out.
"""

import hashlib
import itertools
import json
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from toolformer.calls import Call
from toolformer.errors import DataError
from toolformer.finetune.config import TrainConfig
from toolformer.finetune.on_disk import StoredRows, StoredTexts
from toolformer.finetune.training_rows import Example, RowMaker, TrainingRow


@dataclass(frozen=True)
class PlainText:
    """A text that kept no call: an `Example` without any."""

    text: str
    calls: tuple[()] = ()


@dataclass(frozen=True)
class Texts:
    """The texts of a run."""

    learnt: Sequence[Example]
    plain: Sequence[Example]
    """Texts that kept no call, to be learnt from as well."""
    held: Sequence[Example]
    held_plain: Sequence[Example]
    digest: str
    """A hash of all of them."""
    undecided: Mapping[str, Collection[int]]
    """The characters of texts at which the loss does not ask whether a call is opened."""


@dataclass(frozen=True)
class Held:
    """Texts that are measured on and not learnt from, with their calls and without any, where somebody chose them."""

    calls: Sequence[Example]
    plain: Sequence[Example]


@dataclass(frozen=True)
class Mixture:
    """Their rows."""

    rows: Sequence[TrainingRow]
    held_calls: Sequence[TrainingRow]
    """With calls; none in a control run."""
    held_plain: Sequence[TrainingRow]
    """Without."""


def choose(
    examples: Iterable[Example],
    plain: Iterable[str],
    config: TrainConfig,
    held: Held | None = None,
    undecided: Mapping[str, Collection[int]] = MappingProxyType({}),
) -> Texts:
    """Take the texts of a run, at most so many for each tool, and hold some out. No text is on both sides.

    Of the plain ones, those that kept a call are left out. With `held`, those are held out and no others.
    """
    rng = random.Random(f"{config.seed} texts")
    annotated = StoredTexts(example for example in examples if example.calls)
    if not annotated:
        raise DataError("the corpus holds no text with a call: there is nothing to learn. `toolformer report` says why")
    without = _once(text for text in without_calls(annotated, plain) if text.strip())
    others = StoredTexts(PlainText(text) for text in without)
    annotated, others = annotated.shuffled(rng), others.shuffled(rng)
    if held is None:
        annotated = _limited(annotated, config.limit_per_tool)
        held = _hold_out(annotated, others, config)
    out = {example.text for example in (*held.calls, *held.plain)}
    learnt = _limited(annotated.where(lambda one: one.text not in out), config.limit_per_tool)
    if not learnt:
        raise DataError(f"{len(annotated)} texts are too few: none is left to learn from once some are held out")
    rest = others.where(lambda one: one.text not in out)
    digest = _digest(itertools.chain(learnt, rest, held.calls, held.plain), undecided)
    return Texts(learnt, rest, held.calls, held.plain, digest, undecided)


def _once(texts: Iterable[str]) -> Iterator[str]:
    """Each text the first time that it is there."""
    seen: set[int] = set()
    for text in texts:
        if (mark := hash(text)) not in seen:
            seen.add(mark)
            yield text


def _hold_out(annotated: StoredTexts, others: StoredTexts, config: TrainConfig) -> Held:
    """The first of each; a text that is there twice goes with all of its forms."""
    texts = {example.text for example in annotated[: _held(len(annotated), config)]}
    return Held([*annotated.where(lambda one: one.text in texts)], [*others[: _held(len(others), config)]])


def _held(count: int, config: TrainConfig) -> int:
    """How many of so many texts are held out."""
    return min(-(-int(count * config.held_out * 1000) // 1000), config.held_out_most)


def _limited(examples: StoredTexts, most: int | None) -> StoredTexts:
    """Those that some tool still needs."""
    if most is None:
        return examples
    counts: Counter[str] = Counter()

    def needed(example: Example) -> bool:
        tools = {placed.call.tool for placed in example.calls}
        wanted = any(counts[tool] < most for tool in tools)
        if wanted:
            counts.update(tools)
        return wanted

    return examples.where(needed)


def make_rows(texts: Texts, maker: RowMaker, config: TrainConfig, folder: Path | None = None) -> Mixture:
    """The rows of a run; those to be learnt lie in a file in the folder, or else where temporary files go."""
    rows = StoredRows(_learnt(texts, maker, config), folder)
    held_plain = [*texts.held_plain] or [*texts.held]
    held = [maker.without_calls(_bare(example)) for example in held_plain]
    return Mixture(rows, () if config.control else [maker.with_calls(example) for example in texts.held], held)


def _learnt(texts: Texts, maker: RowMaker, config: TrainConfig) -> Iterator[TrainingRow]:
    """A text's forms are rows of their own, so that they meet in a batch only by chance."""
    rng = random.Random(f"{config.seed} copies")
    turns = partial(_drawn, random.Random(f"{config.seed} turns"), config.turns)
    if config.control:
        for number, example in enumerate(texts.learnt):
            yield maker.without_calls(_bare(example), str(number), turns=turns())
    else:
        for number, example in enumerate(texts.learnt):
            yield maker.with_calls(example, str(number), turns=turns())
        whole, rest = divmod(config.without_calls, 1)
        for number, example in enumerate(texts.learnt):
            for copy in range(int(whole) + _drawn(rng, rest)):
                yield maker.without_calls(example, f"{number} {copy}", turns=turns())
    for number, example in enumerate(texts.plain):
        yield maker.without_calls(example, f"plain {number}", turns=turns())


def _drawn(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def _bare(example: Example) -> PlainText:
    return PlainText(example.text)


def without_calls(kept: Iterable[Example], documents: Iterable[str]) -> Iterator[str]:
    """The documents of which neither the whole nor a passage is among those that kept a call.

    They are known by what they say: a corpus may be read with other ids than it was annotated with. A passage is one
    that is called `id#1`, `id#2` and so on.
    """
    whole: set[int] = set()
    passages: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for one in kept:
        mark = hash(one.text)  # the texts themselves may be more than memory holds
        if "#" in getattr(one, "id", ""):
            passages[one.text[:_BEGINNING]].add((len(one.text), mark))
        else:
            whole.add(mark)
    reach = min((_BEGINNING, *map(len, passages)))
    begun: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for beginning, marks in passages.items():
        begun[beginning[:reach]] += marks
    for document in documents:
        if hash(document) not in whole and not (begun and _holds(document, begun, reach)):
            yield document


_BEGINNING = 24
"""Characters by which a passage is looked for in a document, before all of it is compared."""


def _holds(document: str, begun: Mapping[str, Sequence[tuple[int, int]]], reach: int) -> bool:
    """Whether a document holds one of the passages that begin with so many characters, known by length and hash."""
    for at in range(len(document) - reach + 1):
        for length, mark in begun.get(document[at : at + reach], ()):
            if hash(document[at : at + length]) == mark:
                return True
    return False


def _digest(examples: Iterable[Example], undecided: Mapping[str, Collection[int]]) -> str:
    """A hash of texts, calls and undecided places, whatever their order."""

    def said(call: Call, start: int) -> list[object]:
        return [start, call.tool, call.input, call.result]

    def described(one: Example) -> list[object]:
        places = sorted(undecided.get(one.text, ()))
        return [one.text, [said(p.call, p.start) for p in one.calls], *([places] if places else [])]

    hashes = (hashlib.sha256(json.dumps(described(one)).encode()).digest() for one in examples)
    # A sum, since it is the same in any order and holds no more than one of them.
    return f"{sum(int.from_bytes(one) for one in hashes) % 2**256:064x}"
