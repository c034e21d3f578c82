"""What a tool is: a named callable from text to text, and how to make one from a Python function.

    @tool
    def weather(city: str, days: int = 1) -> str:
        "The weather in a city for some days."

A model calls it as `weather(Paris, 3)`. This module neither looks tools up nor bounds what they do: `Toolbox` does.
"""

import datetime
import inspect
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, overload, runtime_checkable

from toolformer.calls import NAME
from toolformer.errors import ConfigError, ToolError


@runtime_checkable
class Tool(Protocol):
    """A name that a model writes, one line that says what it does, and a call from text to text.

    A tool that cannot answer raises ToolError with the reason. A tool may also have `traits` (see Traits) and
    `bind` (see Bindable).
    """

    @property
    def name(self) -> str:
        """What a model writes to call it."""
        ...

    @property
    def description(self) -> str:
        """One line that says what it does."""
        ...

    def __call__(self, text: str, /) -> str:
        """The answer to an input."""
        ...


@dataclass(frozen=True)
class Traits:
    """How a toolbox has to run a tool. One without `traits` gets these defaults, which suit code nobody has checked."""

    version: str = "1"
    """Changes when the answers change: remembered results belong to one version."""
    seconds: float = 5.0
    """Time limit for one call."""
    chars: int = 1_000
    """A longer result is cut."""
    memory_mb: int | None = None
    """Limit on the address space of the worker process; None for no limit."""
    in_process: bool = False
    """The tool bounds its own time and memory, so that no worker process has to be killed to stop it."""
    remember: bool = False
    """The same input always has the same answer, so that a toolbox with a memory may keep it."""


@dataclass(frozen=True)
class DocumentFacts:
    """What is known of the text a call stands in, for tools that depend on it."""

    date: datetime.date | None = None
    url: str | None = None


@runtime_checkable
class Bindable(Protocol):
    """A tool whose answer depends on the document: the calendar of a dated text says that date."""

    def bind(self, facts: DocumentFacts) -> Tool:
        """The same tool for a text of which this is known."""
        ...


def traits_of(tool: Tool) -> Traits:
    """The tool's own traits, or the defaults."""
    try:
        traits = getattr(tool, "traits", None)
    except Exception as error:  # a tool is anyone's code
        raise ConfigError(f"tool {tool.name} cannot say its traits ({type(error).__name__}: {error})") from error
    return traits if isinstance(traits, Traits) else Traits()


@dataclass(frozen=True)
class FunctionTool:
    """A tool made from a function by `@tool`. Calling it runs the function here and now, without any limit."""

    function: Callable[..., str]
    signature: inspect.Signature
    name: str
    description: str
    traits: Traits

    def __call__(self, text: str, /) -> str:
        """Read the arguments from the text and call the function with them."""
        arguments = _read_arguments(self.signature, text)
        return self.function(*arguments.args, **arguments.kwargs)


@overload
def tool(function: Callable[..., str], /) -> FunctionTool: ...


@overload
def tool(
    *, name: str | None = None, description: str | None = None, traits: Traits | None = None
) -> Callable[[Callable[..., str]], FunctionTool]: ...


def tool(
    function: Callable[..., str] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    traits: Traits | None = None,
) -> FunctionTool | Callable[[Callable[..., str]], FunctionTool]:
    """Make a tool from a function. Its name and the first line of its docstring serve unless others are given.

    A function with a single `str` parameter gets the whole input. Otherwise the input is split at commas (not inside
    double quotes), each piece by position or as `name=value`, and read as the parameter's type: str, int, float, bool
    or datetime.date.
    """

    def make(function: Callable[..., str]) -> FunctionTool:
        chosen = name or function.__name__
        if not NAME.fullmatch(chosen):
            raise ConfigError(
                f"{chosen!r} is no tool name: give one with @tool(name=...), a letter then letters, digits, _"
            )
        signature = _checked_signature(chosen, function)
        line = description or next(iter((inspect.getdoc(function) or "").splitlines()), "")
        if not line:
            raise ConfigError(f"tool {chosen} needs a description: a docstring, or @tool(description=...)")
        return FunctionTool(function, signature, chosen, line, traits or Traits())

    return make if function is None else make(function)


def _checked_signature(name: str, function: Callable[..., str]) -> inspect.Signature:
    """The function's signature, if all of it can be read from text."""
    if inspect.iscoroutinefunction(function):
        raise ConfigError(f"tool {name} is a coroutine function: wrap it in a plain one, with asyncio.run")
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise ConfigError(f"tool {name}: {error}; wrap it in a function of your own") from error
    known = [one.replace(annotation=_evaluated(one.annotation, function)) for one in signature.parameters.values()]
    # What it returns is seen when it does.
    signature = signature.replace(parameters=known, return_annotation=str)
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConfigError(f"tool {name} takes {parameter}: name each parameter instead")
        if _type_of(parameter) not in _READERS:
            types = ", ".join(kind.__name__ for kind in _READERS)
            raise ConfigError(f"tool {name}: {parameter} is of a type that cannot be read from text; there is {types}")
    return signature


def _evaluated(annotation: Any, function: Callable[..., str]) -> Any:
    """What an annotation means that is written as text; the text, if only a type checker knows."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(inspect.unwrap(function), "__globals__", {}))  # noqa: S307 - the user's own code
    except (NameError, AttributeError, TypeError, SyntaxError):
        return annotation


def _type_of(parameter: inspect.Parameter) -> type:
    return str if parameter.annotation is parameter.empty else parameter.annotation


def _read_arguments(signature: inspect.Signature, text: str) -> inspect.BoundArguments:
    """The input as the function's arguments, or a ToolError that says which of them is wrong."""
    parameters = list(signature.parameters.values())
    if [_type_of(parameter) for parameter in parameters] == [str]:
        return inspect.BoundArguments(signature, OrderedDict({parameters[0].name: text}))
    usage = f"; it takes {signature.replace(return_annotation=signature.empty)}"
    values: dict[str, object] = {}
    for place, piece in enumerate(_pieces(text)):
        named = _NAMED.fullmatch(piece)
        if named and named["name"] in signature.parameters:
            parameter, value = signature.parameters[named["name"]], named["value"]
        elif place < len(parameters):
            parameter, value = parameters[place], piece
        else:
            raise ToolError(f"{len(parameters)} arguments at most, found another: {piece[:60]!r}{usage}")
        if parameter.name in values:
            raise ToolError(f"{parameter.name} is given twice{usage}")
        values[parameter.name] = _read(parameter, value)
    for parameter in parameters:
        if parameter.name not in values and parameter.default is parameter.empty:
            raise ToolError(f"{parameter.name} is missing{usage}")
    in_order = {parameter.name: values.get(parameter.name, parameter.default) for parameter in parameters}
    return inspect.BoundArguments(signature, OrderedDict(in_order))


_PIECE = re.compile(r'((?:"[^"]*"|[^,])*)(?:,|$)')
_NAMED = re.compile(r"(?P<name>[^\W\d]\w*)\s*=\s*(?P<value>.*)", re.DOTALL)


def _pieces(text: str) -> list[str]:
    """The input cut at commas outside double quotes; an empty input has no pieces."""
    if not text.strip():
        return []
    # The pattern also matches the empty string at the very end, which is no piece.
    return [piece.strip() for piece in _PIECE.findall(text)[:-1]] or [text.strip()]


def _read(parameter: inspect.Parameter, piece: str) -> object:
    kind = _type_of(parameter)
    reader, expected = _READERS[kind]
    if len(piece) >= 2 and piece[0] == piece[-1] == '"':
        piece = piece[1:-1]
    try:
        return reader(piece)
    except (ValueError, KeyError):
        raise ToolError(f"{parameter.name} must be {expected}, not {piece[:60]!r}") from None


def _truth(text: str) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.casefold()]


_READERS: dict[type, tuple[Callable[[str], object], str]] = {
    str: (str, "text"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (_truth, "true or false"),
    datetime.date: (datetime.date.fromisoformat, "a date as YYYY-MM-DD"),
}
