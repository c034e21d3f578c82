"""How the text of a call becomes arguments: `Paris, 3`, or `city=Paris, days=3`; and back again.

The functions of `@tool` and the tools of MCP servers take theirs in this one way. This module calls nothing.
"""

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from toolformer.errors import ToolError


@dataclass(frozen=True)
class Argument:
    """What a call may, or must, give."""

    name: str
    kind: type
    """One of KINDS."""
    needed: bool = True
    default: object = ...
    """What is taken where it is not given, if that is known."""
    by_position: bool = True
    """It can be given without its name."""

    def __str__(self) -> str:
        return f"{self.name}: {self.kind.__name__}" + ("" if self.needed else f" = {_shown(self.default)}")


def read_arguments(arguments: Sequence[Argument], text: str) -> dict[str, object]:
    """The values that the text gives by their names, or a ToolError that says which of them is wrong.

    A single `str` gets the whole text. Otherwise the text is split at commas (not inside double quotes), each piece by
    position or as `name=value`, and read as the argument's kind.
    """
    if _whole(arguments):
        return {arguments[0].name: text}
    usage = f"; it takes ({', '.join(map(str, arguments))})"
    by_name = {one.name: one for one in arguments}
    by_position = [one for one in arguments if one.by_position]
    values: dict[str, object] = {}
    for place, piece in enumerate(_pieces(text)):
        named = _NAMED.fullmatch(piece)
        if named and named["name"] in by_name:
            argument, value = by_name[named["name"]], named["value"]
        elif place < len(by_position):
            argument, value = by_position[place], piece
        elif len(by_position) < len(arguments):
            raise ToolError(f"{piece[:60]!r} is not name=value{usage}")
        else:
            raise ToolError(f"{len(arguments)} arguments at most, found another: {piece[:60]!r}{usage}")
        if argument.name in values:
            raise ToolError(f"{argument.name} is given twice{usage}")
        values[argument.name] = _read(argument, value)
    for argument in arguments:
        if argument.needed and argument.name not in values:
            raise ToolError(f"{argument.name} is missing{usage}")
    return values


def write_arguments(arguments: Sequence[Argument], values: Mapping[str, object]) -> str:
    """The text from which `read_arguments` reads these values, or a ToolError that says why there is none.

    The values may be of any type, as they come from JSON; None is a value that is not given.
    """
    values = {name: value for name, value in values.items() if value is not None}
    if odd := sorted(values.keys() - {one.name for one in arguments}):
        raise ToolError(f"there is no argument {odd[0][:60]!r}; it takes ({', '.join(map(str, arguments))})")
    if _whole(arguments):
        (one,) = arguments
        if one.needed and not values:
            raise ToolError(f"{one.name} is missing")
        text = str(values.get(one.name, ""))
    else:
        text = ", ".join(f"{name}={_written(value)}" for name, value in values.items())
    read = read_arguments(arguments, text)
    for name, value in values.items():
        same = read[name] == value if isinstance(value, int | float) else str(read[name]) == value
        if not same:
            raise ToolError(f"{name} cannot be {_shown(value)}: no text of a call says so")
    return text


def _whole(arguments: Sequence[Argument]) -> bool:
    """Whether the text is, as it stands, the one argument."""
    return [one.kind for one in arguments] == [str] and arguments[0].by_position


def _written(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _shown(value: object) -> str:
    if value is ...:
        return "…"
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:60] + "…"


_PIECE = re.compile(r'((?:"[^"]*"|[^,])*)(?:,|$)')
_NAMED = re.compile(r"(?P<name>[^\W\d][\w.-]*)\s*=\s*(?P<value>.*)", re.DOTALL)


def _pieces(text: str) -> list[str]:
    """The input cut at commas outside double quotes; an empty input has no pieces."""
    if not text.strip():
        return []
    # The pattern also matches the empty string at the very end, which is no piece.
    return [piece.strip() for piece in _PIECE.findall(text)[:-1]] or [text.strip()]


def _read(argument: Argument, piece: str) -> object:
    reader, expected = KINDS[argument.kind]
    if len(piece) >= 2 and piece[0] == piece[-1] == '"':
        piece = piece[1:-1]
    try:
        return reader(piece)
    except (ValueError, KeyError):
        raise ToolError(f"{argument.name} must be {expected}, not {piece[:60]!r}") from None


def _truth(text: str) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.casefold()]


KINDS: dict[type, tuple[Callable[[str], object], str]] = {
    str: (str, "text"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (_truth, "true or false"),
    datetime.date: (datetime.date.fromisoformat, "a date as YYYY-MM-DD"),
}
"""The types of arguments: how each is read, and what it is called."""
