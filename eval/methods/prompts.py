"""The prompt of a method, as its TOML file says it: for each kind of answer what is shown, and how steps are read."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolformer.calls import Call, CallSyntax

SLOT = "{question}"
_CALL = re.compile(r"\{(\w+)\(([^{}]*)\) = ([^{}]*)\}")
"""A call that is shown, with its result: {Calculator(7 * 12) = 84}. `CallSyntax` spells it."""


@dataclass(frozen=True)
class Prompt:
    """How a question of one kind is asked."""

    shown: str
    """Demonstrations, and where the question goes."""
    stop: tuple[str, ...]
    """What ends a step: it is not part of the text."""
    answer: re.Pattern[str]
    """The last match is the answer: its group, or all of it. Without a match, all of the text is."""
    tokens: int = 96
    """Maximum number of tokens of a step."""
    action: re.Pattern[str] | None = None
    """What a tool is asked, at the end of a step: the groups `input` and, if the model names it, `tool`."""
    tools: tuple[str, ...] = ()
    """Those that are asked in turn where the model names none; the first answer is taken."""
    observation: str = ""
    """How a result is put behind the step: {result}."""
    steps: int = 1
    """Maximum number of steps."""
    reworded: tuple[str, ...] = ()
    """Other prompts for the same question. A {rewritten} in one is the question in words of the model's own."""

    def begin(self, question: str) -> str:
        """The prompt for a question."""
        return self.shown.replace(SLOT, question)

    def final(self, text: str) -> str:
        """The answer in what was written."""
        found = [*self.answer.finditer(text)]
        return (found[-1][found[-1].lastindex or 0] if found else text).strip()


def read_prompt(toml: str) -> dict[str, Prompt]:
    """A file's prompts by the rule of the examples that they are for. Its `both` is said of each."""
    tables = tomllib.loads(toml)
    both = tables.pop("both", {})
    return {rule: _prompt(both | table) for rule, table in tables.items()}


def _prompt(table: Mapping[str, Any]) -> Prompt:
    values: dict[str, Any] = {**table, "shown": _CALL.sub(_spelled, table["shown"])}
    values |= {name: re.compile(table[name]) for name in ("answer", "action") if name in table}
    values |= {name: tuple(table[name]) for name in ("stop", "tools", "reworded") if name in table}
    return Prompt(**values)


def _spelled(call: re.Match[str]) -> str:
    return CallSyntax.TEXT.format(Call(*call.groups()))


def question_of(prompt: str, question: str) -> str:
    """The question alone: as the example has it, or its prompt without what asks for the answer."""
    return question or prompt.removesuffix(" The answer is")
