"""A folder goes on with the settings that it was made with, and with no others: what is said if they differ."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from toolformer.errors import DataError


def refuse_changes(path: Path, found: Iterable[tuple[str, object, object]]) -> None:
    """Raise a DataError if there is a change: a setting's name, what it was, and what it is now."""
    changed = list(found)
    if changed:
        name, before, now = changed[0]
        more = f" ({', '.join(other for other, _, _ in changed[1:])} too)" if changed[1:] else ""
        raise DataError(
            f"{path} was made with other settings: {name} was {_short(before)} and is {_short(now)}{more}. Run with "
            "the old settings to go on, or choose another folder"
        )


def changes(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """The settings that differ, also within settings that are objects themselves."""
    for name, value in now.items():
        was = before.get(name)
        if isinstance(value, dict) and isinstance(was, dict):
            yield from changes(was, value)
        elif was != value:
            yield name, was, value


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
