"""Where could a call open? One pass over texts behind the head of a prompt that they share.

The head is forwarded once and its columns are given to every row. What a pass leaves behind, a text's own columns, is
kept for the samples (`hf/tree.py`), so that they need no prefill.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from toolformer.hf.cache import KeyValues, Stored
from toolformer.hf.network import Network, batches, halving
from toolformer.lm import Prompted


@dataclass(frozen=True)
class Head:
    """The part of a prompt that many texts share: its columns, and the logits of what follows it."""

    length: int
    stored: Stored
    logits: Tensor | None
    """None for an empty head: nothing has been said, so nothing can be asked."""


@dataclass(frozen=True)
class Passed:
    """A prompted text after the proposing pass: the columns of its tail and text, without the head's."""

    head: Head
    tail: int
    text: int
    stored: Stored
    probabilities: list[float]

    @property
    def begin(self) -> int:
        """How many tokens stand before the text."""
        return self.head.length + self.tail


def columns(network: Network, texts: Sequence[Passed], width: int, room: int) -> KeyValues:
    """The columns of texts behind one head, up to `width`, as a cache with room for more. A column is a position."""
    head = texts[0].head
    cache = KeyValues(network.device, len(texts), width + room)
    cache.put(head.stored, slice(0, len(texts)), 0)
    for row, text in enumerate(texts):
        own = [(keys[:, : width - head.length], values[:, : width - head.length]) for keys, values in text.stored]
        cache.put(own, slice(row, row + 1), head.length)
    return cache


class Heads:
    """The heads used last."""

    def __init__(self, network: Network, keep: int = 8) -> None:
        self._network = network
        self._keep = keep
        self._heads: OrderedDict[tuple[int, ...], Head] = OrderedDict()

    def get(self, ids: tuple[int, ...]) -> Head:
        """The head with these ids, computed at its first use."""
        if ids not in self._heads:
            self._heads[ids] = self._compute(ids)
            if len(self._heads) > self._keep:
                self._heads.popitem(last=False)
        self._heads.move_to_end(ids)
        return self._heads[ids]

    def _compute(self, ids: tuple[int, ...]) -> Head:
        if not ids:
            return Head(0, [], None)
        cache = KeyValues(self._network.device)
        logits = self._network.append(cache, 0, [ids], wanted=[len(ids) - 1])
        return Head(len(ids), cache.read(slice(1), slice(len(ids))), logits[0])


def pass_over(
    network: Network,
    heads: Heads,
    prompted: Sequence[Prompted],
    opening: int,
    places: Sequence[Sequence[int]] | None = None,
) -> list[Passed]:
    """Forward tail and text of each, and ask for the opening at every position of the text, or at these places."""
    asked = places or [range(len(one.text)) for one in prompted]
    network.check_fits([len(p.head) + len(p.tail) + len(p.text) for p in prompted])
    by_head: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, one in enumerate(prompted):
        by_head[one.head].append(index)
    passed: dict[int, Passed] = {}
    for ids, indices in by_head.items():
        head = heads.get(ids)

        def work(members: list[int], head: Head = head) -> None:
            texts, at = [prompted[index] for index in members], [asked[index] for index in members]
            passed.update(zip(members, _pass(network, head, texts, opening, at), strict=True))

        lengths = [len(prompted[i].tail) + len(prompted[i].text) for i in indices]
        for batch in batches(lengths, network.budget, [len(asked[i]) for i in indices], network.head_rows):
            halving([indices[i] for i in batch], work)
    return [passed[index] for index in range(len(prompted))]


def _pass(
    network: Network, head: Head, texts: Sequence[Prompted], opening: int, places: Sequence[Sequence[int]]
) -> list[Passed]:
    rows = [one.tail + one.text for one in texts]
    width = max(map(len, rows))
    # What follows token j is asked at token j; only the first token of a text without a tail is asked of the head.
    asked = [[len(one.tail) + i - 1 for i in at] for one, at in zip(texts, places, strict=True)]
    wanted = [row * width + column for row, columns in enumerate(asked) for column in columns if column >= 0]
    cache = KeyValues(network.device, len(rows), head.length + width)
    cache.put(head.stored, slice(0, len(rows)), 0)
    answers = iter(_probability(network.append(cache, head.length, rows, wanted), opening) if width else ())
    first = _probability(head.logits[None], opening)[0] if head.logits is not None else 0.0
    passed = []
    for row, one in enumerate(texts):
        own = cache.read(slice(row, row + 1), slice(head.length, head.length + len(rows[row])))
        # Copied, so that the head's columns are forgotten with the cache.
        stored = [(keys.clone(), values.clone()) for keys, values in own]
        probabilities = [0.0] * len(one.text)
        for place, column in zip(places[row], asked[row], strict=True):
            probabilities[place] = next(answers) if column >= 0 else first
        passed.append(Passed(head, len(one.tail), len(one.text), stored, probabilities))
    return passed


def _probability(logits: Tensor, token: int) -> list[float]:
    answer: list[float] = (logits[:, token] - logits.logsumexp(dim=-1)).exp().tolist()
    return answer
