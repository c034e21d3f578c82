"""The JSON schema of a tool's arguments, read from a server and written for a client."""

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolformer.arguments import Argument

_KINDS: dict[object, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
_NAMES: dict[type, dict[str, str]] = {
    **{kind: {"type": str(name)} for name, kind in _KINDS.items()},
    datetime.date: {"type": "string", "format": "date"},
}
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}", re.ASCII)
_MOST = 16
"""Arguments of one tool at most."""


def arguments_of(schema: Mapping[str, Any]) -> tuple[Argument, ...]:
    """What the text of a call has to give, or a ValueError that says why no text can.

    One argument is the whole text; of several, each is given by its name. What may be left out and could not be read
    from text, such as a list, is left out.
    """
    properties, needed = schema.get("properties") or {}, schema.get("required") or []
    if not isinstance(properties, dict) or not isinstance(needed, list):
        raise ValueError("its schema is none of an object")
    found = []
    for name, one in properties.items():
        kind = _kind(one) if _NAME.fullmatch(name) else None
        if kind is not None:
            found.append((name, kind))
        elif name in needed:
            raise ValueError(f"{name[:60]!r} cannot be read from text: it must be a text, a number, or true or false")
    for name in needed:
        if not isinstance(name, str) or name not in properties:
            raise ValueError(f"its schema needs {str(name)[:60]!r}, and does not say what that is")
    if len(found) > _MOST:
        raise ValueError(f"it takes {len(found)} arguments, more than {_MOST}")
    return tuple(Argument(name, kind, name in needed, by_position=len(found) == 1) for name, kind in found)


def _kind(schema: object) -> type | None:
    """The type of a value, if it can be read from text."""
    if not isinstance(schema, dict):
        return None
    said = schema.get("type")
    if isinstance(among := schema.get("anyOf"), list):
        said = [one.get("type") if isinstance(one, dict) else None for one in among]
    options = [one for one in (said if isinstance(said, list) else [said]) if one != "null"]
    return _KINDS.get(options[0]) if len(options) == 1 and isinstance(options[0], str) else None


def schema_of(arguments: Sequence[Argument]) -> dict[str, Any]:
    """The schema that says the same to a client."""
    return {
        "type": "object",
        "properties": {one.name: _NAMES[one.kind] for one in arguments},
        "required": [one.name for one in arguments if one.needed],
        "additionalProperties": False,
    }
