"""What may follow a call's opening: a registered name and `(`, in any way in which the tokenizer may write them."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias, Union

from toolformer.calls import CallSyntax, Part
from toolformer.lm import DecodingModel

Node: TypeAlias = dict[int, Union["Node", str]]
"""The tokens that may come next; the last of a path leads to the tool's name."""


def forced(node: Node) -> tuple[list[int], Node]:
    """The tokens that nothing else can follow than the next of them, and where they lead: a choice, or the last."""
    path: list[int] = []
    while len(node) == 1:
        ((token, below),) = node.items()
        if isinstance(below, str):
            break
        path.append(token)
        node = below
    return path, node


def name_tree(model: DecodingModel, syntax: CallSyntax, names: Sequence[str], *, one_way: bool = False) -> Node:
    """All names as a tree of tokens. With `one_way` every name has one path only."""
    root: Node = {}
    for name in names:
        for path in list(_paths(model, syntax, name))[: 1 if one_way else None]:
            node = root
            for token in path[:-1]:
                below = node.setdefault(token, {})
                assert isinstance(below, dict)
                node = below
            node[path[-1]] = name
    return root


def name_paths(model: DecodingModel, syntax: CallSyntax, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """For each name, the ids of it and its bracket, written in the plainest way."""
    return {name: next(_paths(model, syntax, name)) for name in names}


def _paths(model: DecodingModel, syntax: CallSyntax, name: str) -> Iterator[tuple[int, ...]]:
    # An empty input may share a token with the bracket: `()`, or even `()]`.
    for behind in ("", ")", *(() if syntax.control else syntax.stops)):
        ids = model.encode_parts([Part(syntax.front(name) + behind)])
        yield next(ids[:end] for end in range(1, len(ids) + 1) if "(" in model.decode(ids[:end]))
