"""The files of a checkpoint, and whether its settings can be those of its weights: before any memory is taken."""

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
)
from transformers.utils.hub import cached_file, get_checkpoint_shard_files

from toolformer.errors import ConfigError
from toolformer.hf.quiet import first_line
from toolformer.hf.source import Source

NOT_RIGHT = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError)
"""What comes of settings that no model can have, such as no heads at all."""


def file_of(source: Source, name: str) -> Path | None:
    """A file of the checkpoint by its name, fetched if need be; None if it has no such file."""
    # The cache first: who has loaded the model, or its settings, has asked the hub already.
    for local in (True,) if source.offline else (True, False):
        found = cached_file(
            source.place,
            name,
            revision=source.revision,
            local_files_only=local,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if found is not None:
            return Path(found)
    return None


def weights_of(source: Source) -> list[Path]:
    """The files of weights that transformers loads."""
    for whole, index in ((SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME), (WEIGHTS_NAME, WEIGHTS_INDEX_NAME)):
        if file := file_of(source, whole):
            return [file]
        if file := file_of(source, index):
            return _shards(source, file)
    raise ConfigError(f"{source.place} has no weights of a format that is read: {SAFE_WEIGHTS_NAME} would be right")


def _shards(source: Source, index: Path) -> list[Path]:
    where = {"revision": source.revision, "local_files_only": source.offline}
    try:
        shards, _ = get_checkpoint_shard_files(source.place, str(index), **where)  # type: ignore[no-untyped-call]
        return [Path(shard) for shard in shards]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"the weights of {source.place} cannot be read ({first_line(error)}): fetch or copy them again"
        ) from error


def check_size(config: PreTrainedConfig, kind: Any, source: Source) -> None:
    """Refuse settings of a model that the weights cannot fill: what is missing would be made up, and takes memory.

    `kind` is the class of transformers that will load it. A weight has one bit at least.
    """
    held = sum(path.stat().st_size for path in weights_of(source))
    layers = getattr(config.get_text_config(decoder=True), "num_hidden_layers", None) or 0
    try:
        # A layer takes a file some hundred bytes, if only to name its tensors; a million take for ever to be made.
        fits = layers * 100 <= held and _parameters(config, kind) <= 8 * held
    except NOT_RIGHT as error:
        raise ConfigError(
            f"the config.json of {source.place} describes no model that can be made ({first_line(error)}): fetch or "
            "copy it again"
        ) from error
    if not fits:
        raise ConfigError(
            f"the config.json of {source.place} describes a model that its {held:,} bytes of weights cannot be: fetch "
            "or copy both again"
        )


def _parameters(config: PreTrainedConfig, kind: Any) -> int:
    with torch.device("meta"):
        shell = kind.from_config(config, trust_remote_code=False)
    return sum(parameter.numel() for parameter in shell.parameters())
