"""Tools of LangChain and of smolagents, from fakes with their interfaces."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from toolformer import ConfigError, Toolbox, ToolError, Traits, from_langchain, from_smolagents

HERE = Traits(in_process=True)
CITY: dict[str, Any] = {"properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclass
class LikeLangChain:
    """As a `BaseTool` answers."""

    schema: dict[str, Any] = field(default_factory=lambda: CITY)
    answer: object = None
    name: str = "get-weather"
    description: str = "The weather in a city.\n\nArgs: city."

    def get_input_jsonschema(self) -> dict[str, Any]:
        return self.schema

    def invoke(self, input: Any, /) -> Any:  # noqa: A002
        return f"asked {input}" if self.answer is None else self.answer


@dataclass
class LikeSmolagents:
    """As a `Tool` answers."""

    inputs: dict[str, dict[str, Any]]
    name: str = "weather"
    description: str = "The weather."

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return f"asked {arguments} {named}"


def test_a_tool_of_langchain() -> None:
    made = from_langchain(LikeLangChain(), traits=HERE)
    assert (made.name, made.description) == ("get_weather", "The weather in a city.")
    with Toolbox([made]) as box:
        assert box.run("get_weather", "Paris, Texas") == "asked {'city': 'Paris, Texas'}"


def test_it_runs_in_a_worker_like_any_other() -> None:
    with Toolbox(
        [from_langchain(LikeLangChain()), from_smolagents(LikeSmolagents({"city": {"type": "string"}}))]
    ) as box:
        assert box.run("get_weather", "Paris") == "asked {'city': 'Paris'}"
        assert box.run("weather", "Paris") == "asked () {'city': 'Paris'}"


def test_several_arguments_are_given_by_name() -> None:
    inputs: dict[str, dict[str, Any]] = {
        "city": {"type": "string", "description": "…"},
        "days": {"type": "integer", "nullable": True},
    }
    made = from_smolagents(LikeSmolagents(inputs), traits=HERE)
    assert made("city=Paris, days=3") == "asked () {'city': 'Paris', 'days': 3}"
    assert made("city=Paris") == "asked () {'city': 'Paris'}"
    with pytest.raises(ToolError, match="city is missing"):
        made("days=3")


@pytest.mark.parametrize(("answer", "said"), [("fine", "fine"), (21, "21"), (2.5, "2.5"), (True, "True")])
def test_an_answer_is_text(answer: object, said: str) -> None:
    assert from_langchain(LikeLangChain(answer=answer))("x") == said


@pytest.mark.parametrize("answer", [{"a": 1}, ["x"], b"bytes"])
def test_any_other_answer_is_a_failed_call(answer: object) -> None:
    with pytest.raises(ToolError, match="no text but of the type"):
        from_langchain(LikeLangChain(answer=answer))("x")


def test_what_cannot_be_called_from_text_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="tool weather cannot be called from text: 'places' cannot be read from text"):
        from_smolagents(LikeSmolagents({"places": {"type": "array"}}))
    with pytest.raises(ConfigError, match="'7up' is no tool name here"):
        from_langchain(LikeLangChain(name="7up"))
    with pytest.raises(ConfigError, match="is no tool of LangChain: it has no get_input_jsonschema"):
        from_langchain(LikeSmolagents({}))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is no tool of smolagents: it has no inputs"):
        from_smolagents(LikeLangChain())  # type: ignore[arg-type]
