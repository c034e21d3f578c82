"""Every exception this package raises on purpose.

    ToolformerError          what the command line prints as one line, exit status 2
    ├── ConfigError          what was asked for cannot be done: a wrong name, a bad setting, a missing part
    ├── DataError            a file or a folder is not what it should be: damaged, of another run, of another model
    ├── CallFormatError      a call that cannot be written so that it can be read back
    ├── ServerError          a server that samples calls does not answer, or with nonsense; what was done is kept
    └── ToolError            a tool could not answer; the text says why
        └── ToolTimeout      it did not answer in time

A message names the offender, says what would be right, and, where there is one, the next step.
"""

import difflib
from collections.abc import Iterable

DISTRIBUTION = "toolformer-kit"
"""What pip calls this package: on PyPI, toolformer is another project."""


class ToolformerError(Exception):
    """The root of the tree: catch this to catch everything this package raises on purpose."""


class ConfigError(ToolformerError):
    """What was asked for cannot be done."""


class DataError(ToolformerError):
    """A file or a folder is not what it should be."""


class CallFormatError(ToolformerError):
    """A call that cannot be written so that it can be read back."""


class ServerError(ToolformerError):
    """A server that samples calls cannot be used, or no longer."""


class ToolError(ToolformerError):
    """A tool could not answer."""


class ToolTimeout(ToolError):
    """A tool did not answer in time."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name nobody has: the near matches first, then everything there is."""
    options = sorted(known)
    folded = name[:100].casefold()
    by_folded = {option.casefold(): option for option in options}
    begun = [option for option in by_folded if folded and option.startswith(folded)]
    near = [by_folded[match] for match in (begun or difflib.get_close_matches(folded, by_folded))[:3]]
    hint = f": did you mean {' or '.join(near)}?" if near else "."
    shown = name if len(name) <= 60 else name[:60] + "…"
    return f"no {kind} is called {shown!r}{hint} There is: {', '.join(options) or 'none'}."
