"""JSON that a run wrote and reads again: anyone may have changed it since, so nothing in it is taken on trust.

What is not as it was written is a ValueError with the reason in words; whoever reads says which file, and what to do.
"""

import dataclasses
import json
import math
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

MOST = 64 << 20
"""Bytes of one file at most."""
_DIGITS = 300
"""A number with more of them is no count, and too large for a float."""

T = TypeVar("T")


def read_own(path: Path, *, finite: bool = True) -> dict[str, Any]:
    """The object in a file. What is no file at all, such as a pipe, is not opened: it might never end."""
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise ValueError("it is no plain file")
    if info.st_size > MOST:
        raise ValueError(f"it has {info.st_size:,} bytes, more than are ever written")
    return parse_own(path.read_bytes(), finite=finite)


def parse_own(text: str | bytes, *, finite: bool = True) -> dict[str, Any]:
    """The object that a text is, all of whose numbers are ones that can be counted with, if it is to be `finite`."""
    more: dict[str, Any] = {"parse_int": _whole}
    if finite:
        more |= {"parse_constant": _no_number, "parse_float": _finite}
    try:
        said = json.loads(text, **more)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(said, dict):
        raise ValueError(f"it is no object but a {type(said).__name__}")
    return said


def made_of(kind: type[T], said: object, **known: Any) -> T:
    """The dataclass with these fields, each of the type that the class says; `known` are those that are not said."""
    if not isinstance(said, Mapping):
        raise ValueError(f"a {kind.__name__} is an object, not {_shown(said)}")
    fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    types = get_type_hints(kind)
    if odd := sorted(map(str, said.keys() - fields.keys() | said.keys() & known.keys())):
        raise ValueError(f"nothing is called {_shown(odd[0])} there")
    for name, field in fields.items():
        default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in said and name not in known and not default:
            raise ValueError(f"{name!r} is missing")
    return kind(**{name: _as(types[name], value, name) for name, value in said.items()}, **known)


def _as(kind: Any, value: object, name: str) -> Any:
    """The value of a field, with dataclasses and tuples in the place of objects and lists."""
    inner = get_args(kind)
    element: Any = inner[-1] if isinstance(value, dict) and len(inner) == 2 else inner[0] if inner else None
    if dataclasses.is_dataclass(kind):
        return made_of(cast("type[object]", kind), value)
    if dataclasses.is_dataclass(element) and isinstance(value, dict):
        return {key: made_of(cast("type[object]", element), one) for key, one in value.items()}
    if dataclasses.is_dataclass(element) and isinstance(value, list):
        return tuple(made_of(cast("type[object]", element), one) for one in value)
    if not fits(kind, value):
        raise ValueError(f"{name!r} cannot be {_shown(value)}")
    return tuple(value) if isinstance(value, list) else value


def fits(kind: Any, value: object) -> bool:
    """Whether a value from JSON is of a type. A count is one that a machine can hold."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(one, value) for one in inner)
    if origin is Literal:
        return value in inner
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(fits(inner[0], key) and fits(inner[1], value[key]) for key in value)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, list) and all(fits(inner[0], one) for one in value)
    if kind is int:
        return type(value) is int and abs(value) < 1 << 63
    if kind is float:
        return type(value) in (int, float)
    return isinstance(value, NoneType if kind is None else kind)


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"it holds a number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"it holds {_shown(digits)}, a number that is too large")
    return number


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number")


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:60] + "…"
