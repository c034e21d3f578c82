"""What a tool is: a named callable from text to text, and how to make one from a Python function.

    @tool
    def weather(city: str, days: int = 1) -> str:
        "The weather in a city for some days."

A model calls it as `weather(Paris, 3)`. This module neither looks tools up nor bounds what they do: `Toolbox` does.
"""

import datetime
import inspect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, overload, runtime_checkable

from toolformer.arguments import KINDS, Argument, read_arguments
from toolformer.calls import NAME
from toolformer.errors import ConfigError


@runtime_checkable
class Tool(Protocol):
    """A name that a model writes, one line that says what it does, and a call from text to text.

    A tool that cannot answer raises ToolError with the reason. A tool may also have `traits` (see Traits) and
    `bind` (see Bindable).
    """

    @property
    def name(self) -> str:
        """What a model writes to call it."""

    @property
    def description(self) -> str:
        """One line that says what it does."""

    def __call__(self, text: str, /) -> str:
        """The answer to an input."""


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
        values = read_arguments(self.arguments, text)
        in_order = OrderedDict((one.name, values.get(one.name, one.default)) for one in self.arguments)
        bound = inspect.BoundArguments(self.signature, in_order)
        return self.function(*bound.args, **bound.kwargs)

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """What a call gives: the parameters of the function."""
        return tuple(_argument(parameter) for parameter in self.signature.parameters.values())


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
        if _argument(parameter).kind not in KINDS:
            types = ", ".join(kind.__name__ for kind in KINDS)
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


def _argument(parameter: inspect.Parameter) -> Argument:
    kind = str if parameter.annotation is parameter.empty else parameter.annotation
    needed = parameter.default is parameter.empty
    return Argument(parameter.name, kind, needed, ... if needed else parameter.default)
