"""Where could a call open? One pass over texts behind the head of a prompt that they share. How likely is a call there?

The head is forwarded once and its columns are given to every row. What a pass leaves behind, a text's own columns, is
kept for the samples (`hf/tree.py`), so that they need no prefill, and for given continuations, whose likelihood is
asked. All of a text are then one tree in the text's own row, forwarded at once: a node sees the text up to its place
and its own ancestors. Continuations that begin alike share their beginning, and the last token of each is asked for,
not forwarded.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from toolformer.hf.cache import KeyValues, Stored
from toolformer.hf.network import Network, batches, halving
from toolformer.hf.scoring import chosen
from toolformer.lm import Continuation, Ids, Prompted, ranks

NEVER = (0.0, sys.maxsize)
"""The probability and the rank of an opening where nobody asked."""
_HEADS = 8
"""Heads that are kept: those of the tools of a run, mostly."""


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
    ranks: list[int]

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
    """The heads used last, each computed at its first use."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.get = lru_cache(_HEADS)(self._compute)

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
    answers = iter(_answers(network.append(cache, head.length, rows, wanted), opening) if width else ())
    first = _answers(head.logits[None], opening)[0] if head.logits is not None else NEVER
    passed = []
    for row, one in enumerate(texts):
        own = cache.read(slice(row, row + 1), slice(head.length, head.length + len(rows[row])))
        # Copied, so that the head's columns are forgotten with the cache.
        stored = [(keys.clone(), values.clone()) for keys, values in own]
        found = [NEVER] * len(one.text)
        for place, column in zip(places[row], asked[row], strict=True):
            found[place] = next(answers) if column >= 0 else first
        probabilities, near = [p for p, _ in found], [rank for _, rank in found]
        passed.append(Passed(head, len(one.tail), len(one.text), stored, probabilities, near))
    return passed


def _answers(logits: Tensor, token: int) -> list[tuple[float, int]]:
    """The token's probability and rank in each row."""
    said = chosen(logits, [token] * len(logits))
    return [(math.exp(one), rank) for one, rank in zip(said, ranks(logits, token), strict=True)]


@dataclass
class _Beginnings:
    """The continuations of one text as a tree: a node for each different beginning, parents before their children."""

    places: list[int] = field(default_factory=list)
    """Where each node's token stands, counted from the prompt's first token."""
    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """-1 for a node that the text itself stands before."""
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    """Of which continuation, behind which node, and which token; those of all continuations, but for their first."""
    _known: dict[tuple[int, Ids], int] = field(default_factory=dict)

    def add(self, index: int, place: int, ids: tuple[int, ...]) -> None:
        """Make sure that everything that the last token stands behind is in the tree."""
        node = -1
        for end in range(1, len(ids)):
            key = (place, ids[:end])
            if key not in self._known:
                self._known[key] = len(self.tokens)
                self.places.append(place + end - 1)
                self.tokens.append(ids[end - 1])
                self.parents.append(node)
            node = self._known[key]
            self.asked.append((index, node, ids[end]))


def log_probabilities(network: Network, passed: Sequence[Passed], continuations: Sequence[Continuation]) -> list[float]:
    """See `lm.Openings`. What does not fit into the context counts as impossible."""
    answers = [-math.inf] * len(continuations)
    trees: dict[int, _Beginnings] = defaultdict(_Beginnings)
    for index, one in enumerate(continuations):
        place, first = passed[one.row].begin + one.position, passed[one.row].probabilities[one.position]
        if first > 0 and place + len(one.ids) <= network.context:
            answers[index] = math.log(first)
            trees[one.row].add(index, place, one.ids)
    by_head: dict[int, list[int]] = defaultdict(list)
    for row, tree in trees.items():
        if tree.tokens:
            by_head[id(passed[row].head)].append(row)

    def work(rows: list[int]) -> None:
        some = [trees[row] for row in rows]
        logits = _behind_nodes(network, [passed[row] for row in rows], some)
        asked, before = [], 0
        for tree in some:
            asked += [(index, before + node, token) for index, node, token in tree.asked]
            before += len(tree.tokens)
        indices, nodes, tokens = zip(*asked, strict=True)
        for index, said in zip(indices, chosen(logits, tokens, nodes), strict=True):
            answers[index] += said

    for rows in by_head.values():
        sizes = [len(trees[row].tokens) for row in rows]
        for batch in batches(sizes, network.budget, sizes, network.head_rows):
            halving([rows[i] for i in batch], work)
    return answers


def _behind_nodes(network: Network, texts: Sequence[Passed], trees: Sequence[_Beginnings]) -> Tensor:
    """The logits of what follows each node, tree by tree."""
    sizes = [len(tree.tokens) for tree in trees]
    depth, width = max(sizes), max(one.begin + one.text for one in texts)
    cache = columns(network, texts, width, depth)
    cache.aim(range(len(texts)), [width] * len(texts), depth)
    ids, positions = network.grid([tree.tokens for tree in trees]), network.grid([tree.places for tree in trees])
    before = torch.arange(width, device=network.device).expand(len(texts), -1)
    visible = torch.stack([_visible(tree, width, depth) for tree in trees]).to(network.device)
    wanted = network.places([row * depth + node for row, size in enumerate(sizes) for node in range(size)])
    keys = torch.cat([before, positions], dim=1)
    return network.forward(cache, ids, positions, visible, keys, wanted, real=sum(sizes))


def _visible(tree: _Beginnings, width: int, depth: int) -> Tensor:
    """Who sees which columns: the text up to the tree's place, the node's ancestors, and itself."""
    # Every column sees itself, also one that only fills its row: a column that saw nothing would be NaN.
    visible = torch.zeros(depth, width + depth, dtype=torch.bool)
    visible[:, width:] = torch.eye(depth, dtype=torch.bool)
    for node, (place, parent) in enumerate(zip(tree.places, tree.parents, strict=True)):
        if parent < 0:
            visible[node, :place] = True
        else:
            visible[node] |= visible[parent]
    return visible
