"""The model writes a step, its tool answers, and it writes on: chains of thought, self-ask, ReAct.

Between two steps the text is read again, since its end has changed: a text of n steps costs n times its prompt. All
texts of a task take a step together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lm_eval.api.instance import Instance

from toolformer.calls import Call
from toolformer.errors import ToolError
from toolformer.eval.examples import Example
from toolformer.eval.methods.prompts import Prompt, question_of
from toolformer.eval.tool_lm import Answer, Made, ToolLM

_NOTHING = "nothing found"
"""What the model is told where no tool answers."""


@dataclass
class _Text:
    """One example's text, as far as it was written."""

    example: Example
    prompt: Prompt
    said: str = ""
    """Steps, with what was observed."""
    told: str = ""
    """The steps alone."""
    calls: list[Made] = field(default_factory=list)
    undone: list[Made] = field(default_factory=list)
    done: bool = False


def stepped(
    lm: ToolLM, examples: Sequence[Example], prompts: Mapping[str, Prompt], settings: Mapping[str, Any]
) -> list[Answer]:
    """What each example's text comes to."""
    texts = [_Text(one, prompts[one.rule]) for one in examples]
    for step in range(max(prompt.steps for prompt in prompts.values())):
        going = [one for one in texts if not one.done]
        for one, written in zip(going, _step(lm, going, settings), strict=True):
            _take(lm, one, written, last=step + 1 >= one.prompt.steps)
    for _ in texts:
        lm.on_answer()
    return [_answer(one) for one in texts]


def write(lm: ToolLM, begun: Sequence[str], prompt: Prompt, settings: Mapping[str, Any]) -> list[str]:
    """What the model writes behind each of these texts, as far as one step goes."""
    asked = [request(text, prompt, settings) for text in begun]
    return [answer.text for answer in lm.answers(asked, told=False)]


def request(
    text: str, prompt: Prompt, settings: Mapping[str, Any], doc: Mapping[str, Any] = MappingProxyType({})
) -> Instance:
    """To go on from a text. Of the task's settings, those of sampling hold."""
    sampling = {name: value for name, value in settings.items() if name not in ("until", "max_gen_toks")}
    given = sampling | {"until": [*prompt.stop], "max_gen_toks": prompt.tokens}
    return Instance("generate_until", {**doc, "rule": "ours"}, (text, given), 0)


def _step(lm: ToolLM, texts: Sequence[_Text], settings: Mapping[str, Any]) -> list[str]:
    """Another step of each text. Texts of one kind go through the model together."""
    written: dict[int, str] = {}
    for prompt in {id(one.prompt): one.prompt for one in texts}.values():
        places = [place for place, one in enumerate(texts) if one.prompt is prompt]
        begun = [
            prompt.begin(question_of(texts[place].example.prompt, texts[place].example.question)) + texts[place].said
            for place in places
        ]
        written |= zip(places, write(lm, begun, prompt, settings), strict=True)
    return [written[place] for place in range(len(texts))]


def _take(lm: ToolLM, text: _Text, written: str, *, last: bool) -> None:
    """Put a step behind the text, and what a tool answers to it."""
    text.said += written
    text.told += written
    action = None if text.prompt.action is None else text.prompt.action.search(written)
    if action is None or last:
        text.done = True
        return
    named = action.groupdict().get("tool")
    result = _asked(lm, text, [named] if named else text.prompt.tools, action["input"].strip())
    text.said += text.prompt.observation.replace("{result}", result)


def _asked(lm: ToolLM, text: _Text, tools: Sequence[str], asked: str) -> str:
    """What the first tool that has an answer answers."""
    for tool in tools:
        try:
            result = lm.call(tool, asked, {"date": text.example.date, "without": text.example.without})
        except ToolError as error:
            text.undone.append(_made(Call(tool, asked), str(error)))
        else:
            text.calls.append(_made(Call(tool, asked, result), ""))
            return result
    return _NOTHING


def _made(call: Call, reason: str) -> Made:
    """The model asked by itself, so no other token was likelier than the opening."""
    return Made(0, call, reason, 1.0, 0)


def _answer(text: _Text) -> Answer:
    final = text.prompt.final(text.told)
    probability, rank = (1.0, 0) if text.calls or text.undone else (0.0, -1)
    return Answer(final, text.said, tuple(text.calls), tuple(text.undone), probability, rank, -1, 0)
