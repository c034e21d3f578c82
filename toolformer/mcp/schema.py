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
_HOPS = 8
"""References from one to the next at most."""


def arguments_of(schema: Mapping[str, Any]) -> tuple[Argument, ...]:
    """What the text of a call has to give, or a ValueError that says why no text can.

    One argument is the whole text; of several, each is given by its name. What may be left out and could not be read
    from text, such as a list, is left out.
    """
    whole = _followed(schema, schema)
    if not isinstance(whole, dict):
        raise ValueError("its schema refers to what is not there")
    properties, needed = whole.get("properties") or {}, whole.get("required") or []
    if not isinstance(properties, dict) or not isinstance(needed, list):
        raise ValueError("its schema is none of an object")
    found = []
    for name, one in properties.items():
        kind = _kind(one, schema) if _NAME.fullmatch(name) else None
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


def _kind(said: object, document: Mapping[str, Any]) -> type | None:
    """The type of a value, if it can be read from text."""
    schema = _followed(said, document)
    if not isinstance(schema, dict):
        return None
    types = schema.get("type")
    if isinstance(among := schema.get("anyOf"), list):
        ways = [_followed(one, document) for one in among]
        types = [one.get("type") if isinstance(one, dict) else None for one in ways]
    options = [one for one in (types if isinstance(types, list) else [types]) if one != "null"]
    return _KINDS.get(options[0]) if len(options) == 1 and isinstance(options[0], str) else None


def _followed(schema: object, document: Mapping[str, Any]) -> object:
    """What a schema says, or what it refers to within its document; None if that leads nowhere, or round in circles."""
    for _ in range(_HOPS):
        if not isinstance(schema, dict) or "$ref" not in schema:
            return schema
        pointer, schema = schema["$ref"], document
        if not isinstance(pointer, str) or not pointer.startswith("#/"):
            return None
        for part in pointer.removeprefix("#/").split("/"):
            schema = schema.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(schema, dict) else None
    return None


def schema_of(arguments: Sequence[Argument]) -> dict[str, Any]:
    """The schema that says the same to a client."""
    return {
        "type": "object",
        "properties": {one.name: _NAMES[one.kind] for one in arguments},
        "required": [one.name for one in arguments if one.needed],
        "additionalProperties": False,
    }
