"""Which texts are learnt from, in which form, and which are held out to measure on."""

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from toolformer.calls import Call
from toolformer.errors import DataError
from toolformer.finetune.config import TrainConfig
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
    annotated = [example for example in examples if example.calls]
    if not annotated:
        raise DataError("the corpus holds no text with a call: there is nothing to learn. `toolformer report` says why")
    without = dict.fromkeys(text for text in without_calls(annotated, plain) if text.strip())
    others: list[Example] = [PlainText(text) for text in without]
    rng.shuffle(annotated)
    rng.shuffle(others)
    if held is None:
        annotated = _limited(annotated, config.limit_per_tool)
        held = _hold_out(annotated, others, config)
    out = {example.text for example in (*held.calls, *held.plain)}
    learnt = _limited([example for example in annotated if example.text not in out], config.limit_per_tool)
    if not learnt:
        raise DataError(f"{len(annotated)} texts are too few: none is left to learn from once some are held out")
    rest = [example for example in others if example.text not in out]
    digest = _digest([*learnt, *rest, *held.calls, *held.plain], undecided)
    return Texts(learnt, rest, held.calls, held.plain, digest, undecided)


def _hold_out(annotated: Sequence[Example], others: Sequence[Example], config: TrainConfig) -> Held:
    """The first of each; a text that is there twice goes with all of its forms."""
    texts = {example.text for example in annotated[: _held(len(annotated), config)]}
    return Held([one for one in annotated if one.text in texts], others[: _held(len(others), config)])


def _held(count: int, config: TrainConfig) -> int:
    """How many of so many texts are held out."""
    return min(-(-int(count * config.held_out * 1000) // 1000), config.held_out_most)


def _limited(examples: Sequence[Example], most: int | None) -> list[Example]:
    """Those that some tool still needs."""
    if most is None:
        return list(examples)
    counts: Counter[str] = Counter()
    chosen = []
    for example in examples:
        tools = {placed.call.tool for placed in example.calls}
        if any(counts[tool] < most for tool in tools):
            counts.update(tools)
            chosen.append(example)
    return chosen


def make_rows(texts: Texts, maker: RowMaker, config: TrainConfig) -> Mixture:
    """The rows of a run. A text's forms are rows of their own, so that they meet in a batch only by chance."""
    rng = random.Random(f"{config.seed} copies")
    turns = partial(_drawn, random.Random(f"{config.seed} turns"), config.turns)
    plain = [maker.without_calls(example, f"plain {n}", turns=turns()) for n, example in enumerate(texts.plain)]
    held_plain = [*texts.held_plain] or [*texts.held]
    held = [maker.without_calls(_bare(example)) for example in held_plain]
    if config.control:
        bare = [maker.without_calls(_bare(e), str(n), turns=turns()) for n, e in enumerate(texts.learnt)]
        return Mixture([*bare, *plain], (), held)
    rows = [maker.with_calls(example, str(n), turns=turns()) for n, example in enumerate(texts.learnt)]
    for number, example in enumerate(texts.learnt):
        whole, rest = divmod(config.without_calls, 1)
        copies = int(whole) + _drawn(rng, rest)
        rows += [maker.without_calls(example, f"{number} {copy}", turns=turns()) for copy in range(copies)]
    return Mixture([*rows, *plain], [maker.with_calls(example) for example in texts.held], held)


def _drawn(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def _bare(example: Example) -> PlainText:
    return PlainText(example.text)


def without_calls(kept: Iterable[Example], documents: Iterable[str]) -> Iterator[str]:
    """The documents of which neither the whole nor a passage is among those that kept a call.

    They are known by what they say: a corpus may be read with other ids than it was annotated with. A passage is one
    that is called `id#1`, `id#2` and so on.
    """
    whole: set[str] = set()
    passages: set[str] = set()
    for one in kept:
        (passages if "#" in getattr(one, "id", "") else whole).add(one.text)
    reach = min((_BEGINNING, *map(len, passages)))
    begun: dict[str, list[str]] = defaultdict(list)
    for text in passages:
        begun[text[:reach]].append(text)
    for document in documents:
        if document not in whole and not (begun and _holds(document, begun, reach)):
            yield document


_BEGINNING = 24
"""Characters by which a passage is looked for in a document, before all of it is compared."""


def _holds(document: str, begun: Mapping[str, Sequence[str]], reach: int) -> bool:
    """Whether a document holds one of the passages that begin with so many characters."""
    for at in range(len(document) - reach + 1):
        if any(document.startswith(text, at) for text in begun.get(document[at : at + reach], ())):
            return True
    return False


def _digest(examples: Sequence[Example], undecided: Mapping[str, Collection[int]]) -> str:
    """A hash of texts, calls and undecided places, whatever their order."""

    def said(call: Call, start: int) -> list[object]:
        return [start, call.tool, call.input, call.result]

    def described(one: Example) -> list[object]:
        places = sorted(undecided.get(one.text, ()))
        return [one.text, [said(p.call, p.start) for p in one.calls], *([places] if places else [])]

    lines = sorted(json.dumps(described(one)) for one in examples)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
