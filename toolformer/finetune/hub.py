"""A finished run's folder on a hub."""

import logging
import os
from pathlib import Path

from toolformer.errors import ConfigError, first_line

log = logging.getLogger("toolformer")


def push_to_hub(folder: Path, repository: str, *, private: bool = False) -> str:
    """Put the model, its tokenizer, card and log into a repository, made if need be; its address.

    Only one of several processes does so. An adapter whose base model is a folder of this machine is put there all the
    same, with a warning: where that folder is missing, it cannot be loaded.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    from toolformer.hf.adapter import find_adapter
    from toolformer.hf.source import OWN, base_of
    from toolformer.reach import is_path

    if int(os.environ.get("RANK", "0")):
        return ""
    if not (folder / "README.md").exists():
        raise ConfigError(f"{folder} holds no finished run: `toolformer train` makes one")
    api = HfApi()
    try:
        made = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id,
            folder_path=folder,
            ignore_patterns=["checkpoints/*", ".*"],
            commit_message="Finetuned with toolformer",
        )
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise ConfigError(
            f"{repository} cannot be pushed to: {first_line(error)}. {folder} is as it was: push again later"
        ) from error
    adapter = find_adapter(str(folder), offline=True)
    if adapter is not None and (base := base_of(adapter)) not in OWN and is_path(base):
        log.warning(
            "%s names its base model as %s, which nobody else has: push that too, and put its name into "
            "base_model_name_or_path of adapter_config.json",
            repository,
            base,
        )
    return str(made)
