"""Tools of LangChain and of smolagents as tools here, by one call each. Neither library is imported.

    Toolformer.from_pretrained("model", [from_langchain(search), from_smolagents(weather)])

Only text goes in and comes out: what one text can say of a tool's arguments is decided as for the tools of MCP servers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from toolformer.arguments import Argument, read_arguments
from toolformer.calls import NAME
from toolformer.errors import ConfigError, ToolError
from toolformer.mcp.schema import arguments_of
from toolformer.tool import Traits


class LangChainTool(Protocol):
    """What is used of LangChain's `BaseTool`."""

    name: str
    description: str

    def get_input_jsonschema(self) -> dict[str, Any]:
        """The schema of its arguments."""

    def invoke(self, input: Any, /) -> Any:  # noqa: A002 - LangChain's name
        """Its answer."""


class SmolagentsTool(Protocol):
    """What is used of smolagents' `Tool`."""

    name: str
    description: str
    inputs: dict[str, dict[str, Any]]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Its answer."""


@dataclass(frozen=True)
class OtherTool:
    """A tool of another library. Calling it runs it here and now, without any limit."""

    name: str
    description: str
    traits: Traits
    arguments: tuple[Argument, ...]
    """What a call has to say: the whole text is one argument, and several are written as name=value."""
    ask: Callable[[dict[str, object]], object]

    def __call__(self, text: str, /) -> str:
        """Read the arguments from the text and ask the tool."""
        answer = self.ask(read_arguments(self.arguments, text))
        if not isinstance(answer, str | int | float):
            raise ToolError(f"its answer is no text but of the type {type(answer).__name__}")
        return str(answer)


def from_langchain(tool: LangChainTool, *, traits: Traits = Traits()) -> OtherTool:
    """A tool of LangChain, such as a function under its `@tool`."""
    _check(tool, "LangChain", ("name", "description", "get_input_jsonschema", "invoke"))
    return _made(tool.name, tool.description, traits, tool.get_input_jsonschema(), tool.invoke)


def from_smolagents(tool: SmolagentsTool, *, traits: Traits = Traits()) -> OtherTool:
    """A tool of smolagents, such as a function under its `@tool`."""
    _check(tool, "smolagents", ("name", "description", "inputs", "__call__"))
    needed = [name for name, one in tool.inputs.items() if not one.get("nullable")]
    schema = {"properties": tool.inputs, "required": needed}
    return _made(tool.name, tool.description, traits, schema, _ByName(tool))


@dataclass(frozen=True)
class _ByName:
    """A tool that is asked with named arguments."""

    tool: SmolagentsTool

    def __call__(self, arguments: dict[str, object]) -> object:
        return self.tool(**arguments)


def _check(tool: object, library: str, parts: tuple[str, ...]) -> None:
    if missing := [part for part in parts if not hasattr(tool, part)]:
        raise ConfigError(f"{tool!r:.60} is no tool of {library}: it has no {missing[0]}")


def _made(
    name: str, description: str, traits: Traits, schema: Mapping[str, Any], ask: Callable[[dict[str, object]], object]
) -> OtherTool:
    ours = re.sub(r"[-./ ]", "_", name)
    if not NAME.fullmatch(ours):
        raise ConfigError(f"{name[:60]!r} is no tool name here: it must be a letter, then letters, digits or _")
    try:
        arguments = arguments_of(schema)
    except ValueError as error:
        raise ConfigError(f"tool {ours} cannot be called from text: {error}") from error
    line = description.strip().partition("\n")[0]
    return OtherTool(ours, line or ours, traits, arguments, ask)
