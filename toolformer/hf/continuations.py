"""How likely does the model find it to write this, there? Given continuations at places of texts already passed over.

All of a text are one tree in the text's own row, forwarded at once: a node sees the text up to its place and its own
ancestors. Continuations that begin alike share their beginning, and the last token of each is asked for, not forwarded.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from toolformer.hf.network import Network, batches, halving
from toolformer.hf.openings import Passed, columns
from toolformer.lm import Continuation, Ids


@dataclass
class _Tree:
    """The continuations of one text: a node for each different beginning, parents before their children."""

    places: list[int] = field(default_factory=list)
    """Where each node's token stands, counted from the prompt's first token."""
    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """-1 for a node that the text itself stands before."""
    asked: list[tuple[int, int]] = field(default_factory=list)
    """The node behind which a token was asked for, and the token."""
    paths: list[list[int]] = field(default_factory=list)
    """For each continuation, which of `asked` are its tokens, but for the first."""
    _known: dict[tuple[int, Ids], int] = field(default_factory=dict)
    _questions: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, place: int, ids: tuple[int, ...]) -> None:
        """Make sure that everything that the last token stands behind is in the tree."""
        node, path = -1, []
        for end in range(1, len(ids)):
            key = (place, ids[:end])
            if key not in self._known:
                self._known[key] = len(self.tokens)
                self.places.append(place + end - 1)
                self.tokens.append(ids[end - 1])
                self.parents.append(node)
            node = self._known[key]
            question = self._questions.setdefault((node, ids[end]), len(self._questions))
            if question == len(self.asked):
                self.asked.append((node, ids[end]))
            path.append(question)
        self.paths.append(path)


def log_probabilities(network: Network, passed: Sequence[Passed], continuations: Sequence[Continuation]) -> list[float]:
    """See `lm.Openings`. What does not fit into the context counts as impossible."""
    by_row: dict[int, list[int]] = defaultdict(list)
    for index, one in enumerate(continuations):
        by_row[one.row].append(index)
    by_head: dict[int, list[int]] = defaultdict(list)
    trees: dict[int, _Tree] = {}
    for row, members in by_row.items():
        trees[row] = _tree(network, passed[row], [continuations[index] for index in members])
        by_head[id(passed[row].head)].append(row)
    answers = [-math.inf] * len(continuations)

    def work(rows: list[int]) -> None:
        for row, said in zip(rows, _ask(network, [passed[r] for r in rows], [trees[r] for r in rows]), strict=True):
            for index, path in zip(by_row[row], trees[row].paths, strict=True):
                one = continuations[index]
                first = passed[row].probabilities[one.position]
                if first > 0 and _fits(network, passed[row], one):
                    answers[index] = math.log(first) + sum(said[question] for question in path)

    for rows in by_head.values():
        sizes = [len(trees[row].tokens) for row in rows]
        for batch in batches(sizes, network.budget, sizes, network.head_rows):
            halving([rows[i] for i in batch], work)
    return answers


def _tree(network: Network, passed: Passed, continuations: Sequence[Continuation]) -> _Tree:
    tree = _Tree()
    for one in continuations:
        tree.add(passed.begin + one.position, one.ids if _fits(network, passed, one) else ())
    return tree


def _fits(network: Network, passed: Passed, one: Continuation) -> bool:
    return passed.begin + one.position + len(one.ids) <= network.context


def _ask(network: Network, texts: Sequence[Passed], trees: Sequence[_Tree]) -> list[list[float]]:
    """The log-probabilities of all that the trees ask for."""
    depth = max(len(tree.tokens) for tree in trees)
    if not depth:
        return [[] for _ in trees]
    width = max(one.begin + one.text for one in texts)
    cache = columns(network, texts, width, depth)
    cache.aim(range(len(texts)), [width] * len(texts), depth)
    ids = network.grid([tree.tokens for tree in trees])
    before = torch.arange(width, device=network.device).expand(len(texts), -1)
    positions = network.grid([tree.places for tree in trees])
    visible = torch.stack([_visible(tree, width, depth) for tree in trees]).to(network.device)
    nodes = [sorted({node for node, _ in tree.asked}) for tree in trees]
    wanted = [row * depth + node for row, some in enumerate(nodes) for node in some]
    real = sum(len(tree.tokens) for tree in trees)
    keys = torch.cat([before, positions], dim=1)
    logits = network.forward(cache, ids, positions, visible, keys, network.places(wanted), real)
    return _answers(logits, trees, nodes)


def _visible(tree: _Tree, width: int, depth: int) -> Tensor:
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


def _answers(logits: Tensor, trees: Sequence[_Tree], nodes: Sequence[Sequence[int]]) -> list[list[float]]:
    start, rows, tokens = 0, [], []
    for tree, some in zip(trees, nodes, strict=True):
        at = {node: start + index for index, node in enumerate(some)}
        start += len(some)
        rows += [at[node] for node, _ in tree.asked]
        tokens += [token for _, token in tree.asked]
    index = torch.tensor([rows, tokens], device=logits.device)
    said = iter((logits[index[0], index[1]] - logits.logsumexp(dim=-1)[index[0]]).tolist())
    return [[next(said) for _ in tree.asked] for tree in trees]
