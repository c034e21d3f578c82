"""Adapters, found in a folder or on the hub by their settings.

One of the hub is fetched into its cache, as it is at one commit, and is a folder from then on. Anybody can have written
its settings.
"""

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, is_offline_mode, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError
from safetensors import SafetensorError

from toolformer.errors import ConfigError, first_line
from toolformer.reach import is_path

SETTINGS = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_TOKENIZER = "tokenizer_config.json"
_OF_TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
"""What may lie beside it; not all of them have to."""
_KINDS = ("LORA", "PROMPT_TUNING")
_LARGEST = 1 << 22
"""Bytes of settings: thousands of times what they usually are."""
WRONG = (OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError, SafetensorError, re.error)
"""What peft, which checks little, makes of settings that are not what they should be, or are for another model."""


@dataclass(frozen=True)
class Adapter:
    """An adapter whose settings have been read."""

    name: str
    """Its path, or its name on the hub."""
    folder: Path
    kind: str
    """LORA or PROMPT_TUNING."""
    named: str | None
    """What its settings call the base model."""
    base_revision: str | None
    fetched: bool
    """From the hub, and so not to be believed."""
    tokens: tuple[int, ...] = ()
    """Tokens of the vocabulary that it has trained."""
    rank: int | None = None
    """Of a LoRA's matrices."""

    @property
    def tokenizer(self) -> str | None:
        """The folder of its own tokenizer, where it brings one: it may know more tokens than the base model's."""
        return str(self.folder) if (self.folder / _TOKENIZER).is_file() else None

    def fetch(self, *, offline: bool) -> None:
        """See to it that the weights and the tokenizer lie in the folder."""
        offline = offline or is_offline_mode()
        has = partial(self._has, offline=offline)
        if not has(WEIGHTS):
            raise ConfigError(f"the adapter {self.name} has no {WEIGHTS}: weights of another format are not read")
        if self.fetched and has(_TOKENIZER) and not offline:
            for file in _OF_TOKENIZER:
                has(file)

    def _has(self, file: str, *, offline: bool) -> bool:
        """Whether there is such a file, which then lies in the folder."""
        commit = self.folder.name
        if (self.folder / file).is_file():
            return True
        if not self.fetched or try_to_load_from_cache(self.name, file, revision=commit) is _CACHED_NO_EXIST:
            return False
        try:
            hf_hub_download(self.name, file, revision=commit, local_files_only=offline)
        except RemoteEntryNotFoundError:
            return False
        except OSError as error:
            raise ConfigError(
                f"{file} of the adapter {self.name} cannot be fetched ({first_line(error)}): "
                "load it once while the hub can be reached"
            ) from error
        return True


def find_adapter(place: str, revision: str | None = None, *, offline: bool = False) -> Adapter | None:
    """The adapter of that path or name; None for a whole model, or nothing. Of the hub's, the settings are fetched."""
    if not is_path(place):
        file = _of_hub(place, revision, offline)
        return None if file is None else _read(place, file, fetched=True)
    file = Path(place) / SETTINGS
    return _read(place, file, fetched=False) if file.is_file() else None


def _of_hub(name: str, revision: str | None, offline: bool) -> Path | None:
    """The settings of an adapter. For a model, it costs a question, and none where the cache knows that it is one."""
    cached = partial(try_to_load_from_cache, name, revision=revision)
    try:
        if cached(SETTINGS) is _CACHED_NO_EXIST and isinstance(cached("config.json"), str):
            return None
        seen = hf_hub_download(name, SETTINGS, revision=revision, local_files_only=offline, dry_run=True)
    except (OSError, ValueError) as error:
        asked = isinstance(error, LocalEntryNotFoundError) and not (offline or is_offline_mode())
        if asked and cached("config.json") is None:
            reason = first_line(error.__cause__ or error)
            raise ConfigError(
                f"{name} cannot be had, for the hub gives no answer ({reason}): try again later"
            ) from error
        return None  # Not there, not to be had, or no name at all: who then loads a model of that name says which.
    if (seen.file_size or 0) > _LARGEST:
        raise _damaged(name, f"{seen.file_size} bytes")
    try:
        return Path(hf_hub_download(name, SETTINGS, revision=revision, local_files_only=offline))
    except OSError as error:
        raise ConfigError(
            f"{SETTINGS} of the adapter {name} cannot be fetched ({first_line(error)}): try again"
        ) from error


def _read(name: str, file: Path, *, fetched: bool) -> Adapter:
    try:
        if (size := file.stat().st_size) > _LARGEST:
            raise _damaged(name, f"{size} bytes")
        said: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(name, first_line(error)) from error
    if not isinstance(said, dict):
        raise _damaged(name, "no object")
    named, revision, kind = (said.get(key) for key in ("base_model_name_or_path", "revision", "peft_type"))
    if kind not in _KINDS:
        raise ConfigError(f"{name} is a {str(kind)[:100]} adapter: {' or '.join(_KINDS)} would be right")
    if not isinstance(named, str | None) or not isinstance(revision, str | None) or ".." in (revision or ""):
        raise _damaged(name, "of the base model, name or revision")
    rank = said.get("r") if type(said.get("r")) is int else None
    return Adapter(
        name, file.parent, kind, named, revision, fetched, _tokens(said.get("trainable_token_indices")), rank
    )


def _tokens(trained: Any) -> tuple[int, ...]:
    """The tokens that were trained: of the one table, or, where there are two, of each alike."""
    if isinstance(trained, dict):
        trained = next(iter(trained.values()), None)
    fits = isinstance(trained, list) and all(type(one) is int for one in trained)
    return tuple(trained) if fits else ()


def _damaged(name: str, reason: str) -> ConfigError:
    return ConfigError(f"the adapter {name} has settings that cannot be right ({SETTINGS}: {reason}): name another one")
