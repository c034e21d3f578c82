"""Every exception this package raises on purpose.

    ToolformerError          what the command line prints as one line, exit status 2
    ├── ConfigError          what was asked for cannot be done: a wrong name, a bad setting, a missing part
    ├── DataError            a file or a folder is not what it should be: damaged, of another run, of another model
    ├── CallFormatError      a call that cannot be written so that it can be read back
    ├── ServerError          a server that samples calls does not answer, or with nonsense; what was done is kept
    └── ToolError            a tool could not answer; the text says why
        ├── ToolNothing      it looked, and found nothing
        ├── ToolUnavailable  a server that it asks cannot be had now: the same call may succeed later
        ├── ToolTimeout      it did not answer within its time limit
        └── ToolBroken       it raised what no tool should, or its process died

A message names the offender, says what would be right, and, where there is one, the next step.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar

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
    """A tool could not answer. By itself: it refuses what it was asked, such as a division by zero."""

    kind: ClassVar[str] = "refused"
    """What such failures are counted under."""


class ToolNothing(ToolError):
    """A tool looked for something and found nothing, which is no fault of anybody."""

    kind = "nothing found"


class ToolUnavailable(ToolError):
    """A tool asks a server that cannot be had now; the same call may succeed later."""

    kind = "unavailable"


class ToolTimeout(ToolError):
    """A tool did not answer within its time limit."""

    kind = "timeout"


class ToolBroken(ToolError):
    """A tool does not work: it raised what no tool should, or its process died."""

    kind = "broken"


TOOL_ERRORS: tuple[type[ToolError], ...] = (ToolError, ToolNothing, ToolUnavailable, ToolTimeout, ToolBroken)
"""Every kind of failure of a tool, the most general first."""

FAULTS = frozenset(one.kind for one in (ToolUnavailable, ToolTimeout, ToolBroken))
"""The kinds that somebody should look at. The others are what a model's calls often come to."""


def plain_tool_error(error: ToolError, text: str) -> ToolError:
    """An error with this text, of that kind of ours which an error of anyone's class belongs to."""
    return next(kind for kind in reversed(TOOL_ERRORS) if isinstance(error, kind))(text)


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


def first_line(error: BaseException) -> str:
    """What a library says, without the advice below it."""
    return str(error).strip().split("\n", 1)[0]
