"""Other ways to ask the same model: `toolformer eval --method`. Most are a prompt in a TOML file beside this one.

Such a method takes the question alone, and puts it into its own prompt. What comes of it is graded as ever.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from toolformer.errors import ConfigError, unknown_name
from toolformer.eval.examples import Example
from toolformer.eval.methods.ensemble import ensemble
from toolformer.eval.methods.few_shot import few_shot
from toolformer.eval.methods.prompts import read_prompt
from toolformer.eval.methods.reflected import reflected
from toolformer.eval.methods.steps import stepped
from toolformer.eval.methods.voted import reworded
from toolformer.eval.settings import ENSEMBLE, METHODS
from toolformer.eval.tool_lm import Answer, ToolLM

_KINDS = {"number": "numbers", "qa": "short answers"}
_WAYS: Mapping[str, Callable[..., list[Answer]]] = {
    "few-shot": few_shot,
    "cot": stepped,
    "self-ask": stepped,
    "react": stepped,
    "ama": reworded,
}


def answers(method: str, lm: ToolLM, examples: Sequence[Example], settings: Mapping[str, Any]) -> list[Answer]:
    """What the model answers to each example by a method. `settings` are the task's, of sampling."""
    if method == "reflect":
        return reflected(lm, examples, settings)
    if method == ENSEMBLE:
        return ensemble(lm, examples, settings)
    if method not in _WAYS:
        raise ConfigError(unknown_name("method", method, METHODS))
    prompts = read_prompt(files(__name__).joinpath(f"{method}.toml").read_text("utf-8"))
    if odd := next((one for one in examples if one.rule not in prompts), None):
        raise ConfigError(
            f"the method {method} asks for {' or '.join(_KINDS[rule] for rule in prompts)}, and {odd.id} asks for "
            "something else: name tasks of the groups math or qa"
        )
    return _WAYS[method](lm, examples, prompts, settings)
