"""A finished run's folder on a hub."""

import os
from pathlib import Path

from toolformer.errors import ConfigError


def push_to_hub(folder: Path, repository: str, *, private: bool = False) -> str:
    """Put the model, its tokenizer, card and log into a repository, made if need be; its address.

    Only one of several processes does so.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

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
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"{repository} cannot be pushed to: {reason}. {folder} is as it was: push again later"
        ) from error
    return str(made)
