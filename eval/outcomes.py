"""What came of one task at one k, and the file it is kept in: a header that says of what, then a line an example.

The file is written whole or not at all. Read again, its header must be the one that is expected: nothing that another
model, other tools or other data gave is ever taken for this run's.
"""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolformer.errors import DataError
from toolformer.eval.tool_lm import Answer, Made
from toolformer.own_json import MOST, fits, made_of, parse_own
from toolformer.same_settings import refuse_changes
from toolformer.whole_file import whole_file

EXAMPLES, FORCED = "examples", "forced"
"""The folders of files of outcomes: at each k, and with a forced call."""
Header = dict[str, Any]
"""Everything that decides what is in the file."""
_KINDS = {"task": str, "k": int, "examples": int, "seed": int}
"""Of which types some of it is."""


def path_at(out: Path, task: str, k: int, part: int) -> Path:
    """The file of a part of a task's outcomes at one k."""
    return out / EXAMPLES / f"{task}-k{k}-{part:03}.jsonl"


def path_forced(out: Path, task: str, part: int) -> Path:
    """The same with a forced call."""
    return out / FORCED / f"{task}-{part:03}.jsonl"


def path_disabled(forced: Path) -> Path:
    """Of a file with a forced call: that of the same examples with calls disabled."""
    task, _, part = forced.stem.rpartition("-")
    return forced.parents[1] / EXAMPLES / f"{task}-k0-{part}.jsonl"


@dataclass(frozen=True)
class CallMade:
    """A call in a text. `result` is empty for one that was undone, which says why."""

    start: int
    tool: str
    input: str
    result: str
    undone: str
    probability: float
    rank: int
    """Of its opening: how many tokens were likelier."""


@dataclass(frozen=True)
class Outcome:
    """An example, what the model made of it, and the verdict."""

    id: str
    group: str
    chance: float
    prompt: str
    answers: tuple[str, ...]
    text: str
    raw: str
    answer: str
    """What was taken for the answer."""
    score: float
    """1 for right, 0 for wrong; an overlap with references in between."""
    calls: tuple[CallMade, ...] = ()
    probability: float = 0.0
    """Of a call's opening, where one was opened first, or else where it was likeliest."""
    rank: int = -1
    """How many tokens were likelier there; -1 where nobody looked."""
    place: int = -1
    """How many tokens of the text stand before it, where no call was opened; -1 otherwise."""
    cut: int = 0
    """Tokens that the prompt lost at its front."""
    votes: int = 1
    """How many of the sampled texts gave this answer."""
    tokens: int = 0
    words: int = 0
    size: int = 0
    """Of a text whose perplexity was asked for; `score` is then its log-likelihood."""

    @property
    def right(self) -> bool:
        """Whether the verdict was right."""
        return self.score >= 1

    @property
    def called(self) -> bool:
        """Whether a tool answered."""
        return any(not call.undone for call in self.calls)

    @property
    def tools(self) -> list[str]:
        """The tools that answered, each once."""
        return list(dict.fromkeys(call.tool for call in self.calls if not call.undone))


def calls_of(answer: Answer) -> tuple[CallMade, ...]:
    """The calls of a text, in their order, those that were undone among them."""
    return tuple(sorted(map(_call, (*answer.calls, *answer.undone)), key=lambda call: call.start))


def _call(made: Made) -> CallMade:
    tool, asked, result = (
        ("", "", "") if made.call is None else (made.call.tool, made.call.input, made.call.result or "")
    )
    return CallMade(made.start, tool, asked, result, made.reason, made.probability, made.rank)


def write_outcomes(path: Path, header: Header, outcomes: Sequence[Outcome]) -> None:
    """Keep them. Numbers are rounded to what can be told apart, so that the same run writes the same bytes."""
    with whole_file(path) as file:
        for row in ({"unit": header}, *map(_row, outcomes)):
            file.write(json.dumps(row, ensure_ascii=True, allow_nan=False).encode() + b"\n")


def _row(outcome: Outcome) -> dict[str, Any]:
    return {name: _rounded(value) for name, value in dataclasses.asdict(outcome).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def read_outcomes(path: Path, expected: Header | None = None) -> tuple[Header, list[Outcome]]:
    """What was kept, if its header is the expected one."""
    header = read_header(path)
    if expected is not None:
        check_header(path, header, expected, sorted(header.keys() | expected.keys()))
    with path.open("rb") as file:
        rows = list(enumerate(file, 1))[1:]
    return header, [_outcome(path, number, line) for number, line in rows]


def read_header(path: Path) -> Header:
    """What a file is of."""
    try:
        if not path.is_file():
            raise ValueError("it is no plain file")
        with path.open("rb") as file:
            header = parse_own(file.readline(MOST)).get("unit")
        if not isinstance(header, dict):
            raise ValueError("its first line has no 'unit'")
        if odd := [name for name, kind in _KINDS.items() if name in header and not fits(kind, header[name])]:
            raise ValueError(f"{odd[0]!r} cannot be {str(header[odd[0]])[:60]!r}")
        return header
    except (OSError, ValueError) as error:
        raise DataError(f"{path} does not say what it is of ({error}): delete it and run again") from error


def check_header(path: Path, header: Header, expected: Header, names: Iterable[str]) -> None:
    """Refuse a file in which one of these is not as expected."""
    wanted = json.loads(json.dumps(expected))
    changed = (name for name in names if wanted.get(name) != header.get(name))
    refuse_changes(path, ((name, header.get(name), wanted.get(name)) for name in changed))


def _outcome(path: Path, number: int, line: bytes) -> Outcome:
    try:
        return made_of(Outcome, parse_own(line))
    except ValueError as error:
        raise DataError(f"{path}, line {number} is damaged ({error}): delete the file and run again") from error
