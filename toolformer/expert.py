"""An expert: a tool whose answers the base model writes, under an adapter that was trained for them.

    Toolformer.from_pretrained("smollm2-tools", experts={"QA": "reader"})

The weights of the base model are in memory once, however many experts there are. An expert answers in the process that
has the model, between two passes of whatever else the model does, and calls that come together are answered together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from toolformer.errors import ConfigError, DataError, ToolError, ToolNothing
from toolformer.lm import DecodingModel, LanguageModel
from toolformer.loading import Loading
from toolformer.own_json import read_own
from toolformer.tool import Tool, Traits

if TYPE_CHECKING:
    from toolformer.decode.desk import Desk, Written

PLACE = "{input}"
PROMPT = "Input: {input}\nOutput:"
"""What stands around an input, if nothing else is said."""
MAX_ANSWER = 64
"""Tokens in an answer at most."""


@runtime_checkable
class HasAdapters(Protocol):
    """Of a model, what an expert needs: a model behind a server does not have it."""

    def under(self, adapter: str) -> LanguageModel:
        """See `lm.LanguageModel`."""


@runtime_checkable
class AsksModel(Protocol):
    """A tool, or a part of one, that answers with the model that calls it."""

    def with_model(self, model: HasAdapters) -> Self:
        """The same, ready to answer with this model."""


def with_model(tools: Iterable[Tool], model: DecodingModel) -> list[Tool]:
    """The tools; those that answer with the model that calls them have it from now on, if it is here."""
    if not isinstance(model, HasAdapters):
        return [*tools]
    return [tool.with_model(model) if isinstance(tool, AsksModel) else tool for tool in tools]


@dataclass(frozen=True)
class Expert:
    """The tool. It can answer once it has a model, which `Toolformer`, `annotate` and `evaluate` give it."""

    name: str
    adapter: str
    """A LoRA of the model's base, by name or path, such as a folder of `toolformer expert train`."""
    prompt: str = ""
    """What stands around an input, whose place is `{input}`; by default, what the folder says the expert was trained
    with, or else `PROMPT`."""
    description: str = "Answers as it was trained to."
    desk: "Desk | None" = None
    """Where answers are written; None as long as it has no model."""

    def __post_init__(self) -> None:
        if self.prompt:
            check_prompt(self.prompt)

    def with_model(self, model: HasAdapters) -> Self:
        """The same expert of this model. The adapter is loaded now, and refused if it is one of another base."""
        from toolformer.decode.desk import Desk
        from toolformer.decode.options import Options

        options = Options(k=0, max_new_tokens=MAX_ANSWER)
        return replace(self, desk=Desk(model.under(self.adapter), options))

    @property
    def traits(self) -> Traits:
        """In this process, where the model is; length and number of its answers are bounded."""
        mark = self.desk.model.fingerprint if self.desk else self.adapter
        return Traits(version=f"1 {mark} {MAX_ANSWER} {self._around}", in_process=True, remember=True)

    def __call__(self, text: str, /) -> str:
        """The expert's answer."""
        if not text.strip():
            raise ToolError("the input is empty")
        (written,) = self.written([text])
        return checked(written)

    def written(self, inputs: Iterable[str]) -> "list[Written]":
        """What the expert writes for each input, all at once, as it is: `checked` says whether it is an answer."""
        if self.desk is None:
            raise ToolError(f"{self.name} is an expert, and answers with a model that calls it: it has none here")
        return self.desk.ask([filled(self._around, text) for text in inputs])

    @cached_property
    def _around(self) -> str:
        return self.prompt or _trained_with(self.adapter)


def beside(tools: Iterable[Tool], experts: Mapping[str, str]) -> list[Tool]:
    """The tools, and an expert for each of these names and adapters, which takes the place of a tool of its name."""
    return [
        *(tool for tool in tools if tool.name not in experts),
        *(Expert(name, str(adapter)) for name, adapter in experts.items()),
    ]


def checked(written: "Written") -> str:
    """The answer that an expert has written, if it is one."""
    if written.end == "length":
        raise ToolError(f"the expert wrote {MAX_ANSWER} tokens and did not come to an end: {written.text[:60]!r}")
    if written.end != "end":
        raise ToolError({"context": "the context has no room for an answer"}.get(written.end, "it wrote no text"))
    if not written.text.strip():
        raise ToolNothing("the expert has no answer")
    return written.text.strip()


def check_prompt(prompt: str) -> None:
    """Refuse a prompt in which an input has no place, or several."""
    if prompt.count(PLACE) != 1:
        raise ConfigError(f"the prompt {prompt[:100]!r} needs {PLACE} once, where an input stands")


def filled(prompt: str, text: str) -> str:
    """The prompt with the input in its place."""
    return prompt.replace(PLACE, text.strip())


def _trained_with(adapter: str) -> str:
    """The prompt that an expert's folder says it was trained with."""
    from toolformer.hf.source import folder_of

    folder = folder_of(adapter, Loading(offline=True))
    if folder is None or not (file := folder / "training.json").is_file():
        return PROMPT
    try:
        prompt = read_own(file, finite=False).get("prompt", PROMPT)
        if not isinstance(prompt, str):
            raise ValueError("the prompt is no text")
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}): train the expert again, or give it a prompt") from error
    check_prompt(prompt)
    return prompt
