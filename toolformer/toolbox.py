"""The tools at hand: looked up by name, run with limits, their answers remembered.

Whatever a tool does, `Toolbox.run` either returns one clean line of text or raises ToolError.
"""

import queue
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from toolformer.calls import NAME
from toolformer.errors import ConfigError, DataError, ToolError, plain_tool_error, unknown_name
from toolformer.tool import Bindable, DocumentFacts, Tool, Traits, traits_of
from toolformer.worker import MAX_INPUT, Worker, answer


class Toolbox:
    """Some tools with different names. Safe to use from several threads; close it, or use it in a `with` statement."""

    def __init__(self, tools: Iterable[Tool] = (), *, memory: "ResultMemory | None" = None, workers: int = 1) -> None:
        """Up to `workers` processes serve one tool; `memory` keeps the answers of tools that allow it."""
        self._tools: dict[str, Tool] = {}
        self._pools: dict[str, _Pool] = {}
        self._memory = memory
        self._workers = workers
        looks: dict[str, str] = {}
        for tool in tools:
            _check(tool)
            look = _look(tool.name)
            if look in looks:
                problem = "have one name" if looks[look] == tool.name else "look alike"
                raise ConfigError(f"two tools {problem}: {looks[look]} and {tool.name}; rename one of them")
            looks[look] = tool.name
            self._tools[tool.name] = tool
            if not traits_of(tool).in_process:
                self._pools[tool.name] = _Pool(tool, workers)

    def __getitem__(self, name: str) -> Tool:
        """The tool of that name, or a ToolError with the near matches and the whole list."""
        try:
            return self._tools[name]
        except KeyError:
            raise ToolError(unknown_name("tool", name, self._tools)) from None

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    @property
    def names(self) -> list[str]:
        """The tools' names, in the order they were given."""
        return list(self._tools)

    def run(self, name: str, text: str) -> str:
        """The tool's answer: one line, not empty, not longer than its limit. Everything else is a ToolError.

        Its class is one of `errors.TOOL_ERRORS`, whatever class the tool has raised.
        """
        tool = self[name]
        if len(text) > MAX_INPUT:
            raise ToolError(f"{name}: the input has {len(text):,} characters; {MAX_INPUT:,} are allowed")
        traits = traits_of(tool)
        memory = self._memory if traits.remember else None
        if memory and (known := memory.get(name, traits.version, text)) is not None:
            return known
        try:
            raw = self._pools[name].ask(text) if name in self._pools else answer(tool, text)
        except ToolError as error:
            raise plain_tool_error(error, f"{name}: {error}") from error.__cause__
        result = one_line(raw, traits.chars)
        if not result:
            raise ToolError(f"{name}: the answer is empty")
        if memory:
            memory.put(name, traits.version, text, result)
        return result

    def bind(self, facts: DocumentFacts) -> "Toolbox":
        """The same tools for one document. Worker processes are shared with this toolbox and closed with it."""
        return self._sharing({name: _bound(tool, facts) for name, tool in self._tools.items()})

    def only(self, *names: str) -> "Toolbox":
        """Some of the tools. Worker processes are shared with this toolbox and closed with it."""
        return self._sharing({name: self[name] for name in names})

    def with_tools(self, tools: Iterable[Tool]) -> "Toolbox":
        """The same with these, which run in this process, in the place of those of their names."""
        return self._sharing(self._tools | {tool.name: tool for tool in tools})

    def _sharing(self, tools: dict[str, Tool]) -> "Toolbox":
        other = Toolbox(memory=self._memory, workers=self._workers)
        other._tools, other._pools = tools, self._pools
        return other

    def close(self) -> None:
        """Stop all worker processes. A later call starts them again."""
        for pool in self._pools.values():
            pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Pool:
    """At most `size` workers of one tool, handed to whichever thread asks; the one used last is warm and goes first."""

    def __init__(self, tool: Tool, size: int) -> None:
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        self._all = [Worker(tool) for _ in range(size)]
        for worker in self._all:
            self._idle.put(worker)

    def ask(self, text: str) -> str:
        worker = self._idle.get()
        try:
            return worker.ask(text)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        for worker in self._all:
            worker.close()


class ResultMemory:
    """Answers by tool, version and input, in a file or for as long as the object lives. Holds no failures."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False, timeout=60
            )
            self._database.execute("PRAGMA synchronous = OFF")  # losing the last answers costs only asking again
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS results (tool TEXT, version TEXT, input BLOB, result TEXT, "
                "PRIMARY KEY (tool, version, input)) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            raise DataError(f"{path} is no memory of tool results ({error}); delete it or name another file") from error

    def get(self, tool: str, version: str, text: str) -> str | None:
        """The remembered answer, if there is one."""
        query = "SELECT result FROM results WHERE tool = ? AND version = ? AND input = ?"
        with self._lock:
            row = self._database.execute(query, (tool, version, _key(text))).fetchone()
        return str(row[0]) if row else None

    def put(self, tool: str, version: str, text: str, result: str) -> None:
        """Remember an answer."""
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", (tool, version, _key(text), result)
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _key(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _check(tool: Tool) -> None:
    if not isinstance(tool, Tool):
        raise ConfigError(
            f"{tool!r} is no tool: it needs a name, a description and __call__(text); @tool makes one of a function"
        )
    if not isinstance(tool.name, str) or not NAME.fullmatch(tool.name):
        raise ConfigError(f"{tool.name!r} is no tool name: a letter, then up to 63 letters, digits or underscores")
    if len(tool.description.splitlines()) != 1:
        raise ConfigError(f"tool {tool.name} must describe itself in one line, not {tool.description[:60]!r}")


@dataclass(frozen=True)
class _Unbound:
    """In the place of a tool that could not be bound to a document: every call of it fails with the reason."""

    name: str
    description: str
    error: Exception
    traits: Traits = Traits(in_process=True)

    def __call__(self, text: str, /) -> str:  # noqa: ARG002 - as any tool
        raise self.error


def _bound(tool: Tool, facts: DocumentFacts) -> Tool:
    """The tool for a document of which this is known."""
    if not isinstance(tool, Bindable):
        return tool
    try:
        made = tool.bind(facts)
        in_process = traits_of(made).in_process
    except Exception as error:  # noqa: BLE001 - a tool is anyone's code: what it raises is for whoever calls it
        return _Unbound(tool.name, tool.description, error)
    if not in_process:
        raise ConfigError(
            f"tool {tool.name} is bound to documents and must run in this process: Traits(in_process=True)"
        )
    return made


def _look(name: str) -> str:
    """What a name looks like at a glance: names that differ only in case, underscores, 0/O or 1/l/I are one."""
    return name.casefold().replace("_", "").translate(str.maketrans("01i", "oll"))


_BREAKS = re.compile(r"\s+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def one_line(text: str, limit: int) -> str:
    """One line of `limit` characters at most, without control characters, invisible ones and lone surrogates."""
    # Cut first: a result may be a megabyte, and only its beginning counts.
    line = _BREAKS.sub(" ", _UNPRINTABLE.sub("", text[: 2 * limit])).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
