"""What `--help` and `--help-all` print of a command: all of it is said by its fields. Their parsing is tyro's.

`--help` is for one screen: of a group of flags that says which are set often (`Often`), it only names the others.
"""

import inspect
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, get_args, get_type_hints

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from toolformer.commands.flags import RULES, Often, says_nothing
from toolformer.errors import ConfigError, unknown_name

ALL = "--help-all"
_WIDEST, _NARROWEST = 100, 40
"""Columns: in longer lines eyes get lost, shorter ones hold too little."""
_LEFT = 24
"""Columns for a flag with its value; behind a longer one, the explanation begins on the next line."""
_BOLD, _CYAN = 1, 36
_TOGETHER = "\xa0"
"""A space at which no line ends."""


@dataclass(frozen=True)
class _Flag:
    """What can be said in one place."""

    usage: str
    """As it is typed, with what stands for its value: --model STR."""
    text: str
    positional: bool
    needed: bool
    often: bool


@dataclass(frozen=True)
class _Screen:
    """How wide a page may be, and whether in colours."""

    columns: int
    colours: bool

    def painted(self, text: str, colour: int) -> str:
        """The text, coloured where that is wanted."""
        return f"\033[{colour}m{text}\033[0m" if self.colours else text

    def hanging(self, head: str, text: str) -> Iterator[str]:
        """The text over as many lines as it takes, all behind the head, which only the first one has."""
        room = self.columns - len(head)
        for line in textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False):
            yield f"{head}{line.replace(_TOGETHER, ' ')}"
            head = " " * len(head)

    def row(self, left: str, text: str, width: int) -> Iterator[str]:
        """A line of a table, the left column that wide."""
        head = f"  {left:<{width}}  "
        if len(left) > width:
            yield self.painted(head.rstrip(), _CYAN)
            head = " " * (width + 4)
        first, *more = [*self.hanging(head, text)] or [head]
        yield first.replace(left, self.painted(left, _CYAN), 1) if left in head else first
        yield from more


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether a command is to be explained and not run."""
    flags = words[: words.index("--")] if "--" in words else words
    return not {"-h", "--help", ALL}.isdisjoint(flags)


def page(kind: type, words: Sequence[str], prog: str, default: Any, *, colours: bool) -> str:
    """What is printed for these words: the page of the command, or of the one under it that they name."""
    screen = _Screen(max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns)), colours)
    if under := _under(kind):
        name = next((word for word in words if not word.startswith("-")), None)
        if name is None:
            return "\n".join(_overview(kind, under, prog, screen))
        if name not in under:
            raise ConfigError(unknown_name(f"command of {prog}", name, under))
        kind, prog = under[name], f"{prog} {name}"
    with RULES:
        groups = list(_groups(kind, default))
    return "\n".join(_page(kind, groups, prog, screen, brief=ALL not in words))


def _under(kind: type) -> dict[str, type]:
    """The commands under one that is nothing but their sum, by their names."""
    choices = get_args(get_type_hints(kind, include_extras=True).get("command"))
    return {mark.name: one.__origin__ for one in choices for mark in one.__metadata__}


def _overview(kind: type, under: dict[str, type], prog: str, screen: _Screen) -> Iterator[str]:
    yield f"usage: {prog} COMMAND ..."
    yield from _about(kind, screen)
    yield ""
    for name, one in under.items():
        yield from screen.row(name, inspect.getdoc(one) or "", max(map(len, under)))
    yield f"\n{prog} COMMAND --help explains the flags of a command."


def _groups(kind: Any, default: Any, often: Often | None = None) -> Iterator[tuple[str, list[_Flag]]]:
    """The flags of a command, then those of each group in it, and what the group decides."""
    spec = ConstructorRegistry.get_struct_spec(StructTypeInfo.make(kind, default, in_union_context=False))
    assert isinstance(spec, StructConstructorSpec)
    flags, inner = [], []
    for field in spec.fields:
        marks: tuple[Any, ...] = getattr(field.type, "__metadata__", ())
        if tyro.conf.Suppress in marks:
            continue
        plain = field.type.__origin__ if marks else field.type
        if is_dataclass(plain):
            inner.append((plain, field.default, next((one for one in marks if isinstance(one, Often)), None)))
        else:
            flags.append(_flag(field, tyro.conf.Positional in marks, often is None or field.name in often.names))
    yield " ".join((inspect.getdoc(kind) or "").partition(".")[0].split()), flags
    for group in inner:
        yield from _groups(*group)


def _flag(field: StructFieldSpec, positional: bool, often: bool) -> _Flag:
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(field.type, set()))
    assert isinstance(spec, PrimitiveConstructorSpec)
    needed = field.default in (tyro.MISSING, tyro.MISSING_NONPROP)
    text = (field.helptext() if callable(field.helptext) else field.helptext) or ""
    if not needed and not says_nothing(field.default):
        text += f" (default:{_TOGETHER}{_TOGETHER.join(spec.str_from_instance(field.default))})"
    name = field.name.replace("_", "-")
    if positional:
        return _Flag(name.upper() if needed else f"[{name.upper()}]", text, positional, needed, often)
    value = "" if field.default is False else f" {spec.metavar}"
    return _Flag(f"--{name}{value}", text, positional, needed, often)


def _page(
    kind: type, groups: list[tuple[str, list[_Flag]]], prog: str, screen: _Screen, *, brief: bool
) -> Iterator[str]:
    flags = [flag for _, group in groups for flag in group]
    needed = [flag.usage for flag in flags if flag.positional or flag.needed]
    more = ["[FLAGS]"] if len(flags) > len(needed) else []
    yield from screen.hanging("usage: ", " ".join((prog, *(word.replace(" ", _TOGETHER) for word in needed), *more)))
    yield from _about(kind, screen)
    explained = [flag for flag in flags if flag.often or not brief]
    width = max((len(flag.usage) for flag in explained if len(flag.usage) <= _LEFT), default=_LEFT)
    for title, group in groups:
        yield "" if group is groups[0][1] else f"\n{screen.painted(title, _BOLD)}"
        for flag in group:
            if flag in explained:
                yield from screen.row(flag.usage, flag.text, width)
        rest = " ".join(flag.usage.split()[0] for flag in group if flag not in explained)
        yield from screen.hanging("  also ", rest)
    if len(explained) < len(flags):
        yield f"\n{prog} {ALL} explains every flag."


def _about(kind: type, screen: _Screen) -> Iterator[str]:
    for paragraph in (inspect.getdoc(kind) or "").split("\n\n"):
        yield from ("", *screen.hanging("", paragraph))
