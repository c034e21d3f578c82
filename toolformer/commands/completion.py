"""`toolformer completion`: commands and flags that a shell completes. tyro writes the scripts."""

import contextlib
import io
from dataclasses import dataclass
from typing import Literal

import tyro

from toolformer.commands.help import ALL

_FILES = {
    "bash": ("complete -F", "complete -o default -F"),
    "zsh": ("  _describe ", '  [[ -z "$completions" ]] && _files || _describe '),
    "fish": ("--no-files ", ""),
}
"""What lets a shell offer files where tyro knows nothing to offer, as for a corpus."""


@dataclass(frozen=True)
class Completion:
    """Print a shell script that completes commands and flags.

    For bash, put this into ~/.bashrc: eval "$(toolformer completion bash)"

    For zsh, write it into a folder of $fpath: toolformer completion zsh > FOLDER/_toolformer

    For fish, put this into config.fish: toolformer completion fish | source
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """bash, zsh or fish."""

    def run(self) -> None:
        """Print the script. It is made from the commands as they are now: make it again after an upgrade."""
        from toolformer.cli import parse_any

        with contextlib.redirect_stdout(io.StringIO()) as script, contextlib.suppress(SystemExit):
            parse_any(["--tyro-print-completion", self.shell])
        with_files = script.getvalue().replace(*_FILES[self.shell])
        print(with_files.replace("'--help']", f"'--help', '{ALL}']"), end="")
