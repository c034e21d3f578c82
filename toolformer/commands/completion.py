"""`toolformer completion`: commands and flags that a shell completes."""

from dataclasses import dataclass
from typing import Literal

import tyro


@dataclass(frozen=True)
class Completion:
    """Print what lets a shell complete commands and flags.

    In ~/.bashrc: eval "$(toolformer completion bash)"

    For zsh, into a folder of $fpath: toolformer completion zsh > FOLDER/_toolformer

    For fish: toolformer completion fish > ~/.config/fish/completions/toolformer.fish
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """bash, zsh or fish."""

    def run(self) -> None:
        """Print the script. It is made from the commands as they are now: make it again after an upgrade."""
        from toolformer.cli import parse_any

        parse_any(["--tyro-print-completion", self.shell])
