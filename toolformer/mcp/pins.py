"""What a server offered when it was first used. A server whose tools read otherwise later may want something else."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from toolformer.errors import ConfigError, DataError
from toolformer.own_json import read_own
from toolformer.user_cache import cache_folder
from toolformer.whole_file import make_folder, whole_file


def check_pinned(server: str, offered: Mapping[str, str]) -> None:
    """Keep the hashes of a server's tools, by their names, at its first use; later, a ConfigError if they differ.

    `server` is its command or URL, which may hold a password: only its hash is kept.
    """
    path = cache_folder() / "mcp" / f"{hashlib.sha256(server.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"
    if not path.exists():
        make_folder(path.parent)
        with whole_file(path) as file:
            file.write(json.dumps(offered, indent=1).encode())
        return
    if changes := _changes(_read(path), offered):
        raise ConfigError(
            f"its tools are not those of its first use: {'; '.join(changes[:5])}. Look at what they say now; "
            f"to accept them, delete {path}"
        )


def _changes(known: Mapping[str, object], offered: Mapping[str, str]) -> list[str]:
    changes = [f"{name} is new" for name in offered if name not in known]
    changes += [f"{name} is gone" for name in known if name not in offered]
    return changes + [f"{name} has changed" for name in offered if name in known and known[name] != offered[name]]


def _read(path: Path) -> dict[str, object]:
    try:
        return read_own(path)
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}): delete it to accept the server's tools as they are") from error
