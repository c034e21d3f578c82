"""lm-eval's own command with our model and tasks in it.

    python -m toolformer.commands.harness run --model toolformer --tasks toolformer_svamp,gsm8k \
        --model_args pretrained=builtin,k=3,tools=calculator+qa --metadata '{"data": "DIR"}'

Every flag is lm-eval's. `--include_path` is ours unless you give one; `data` is the folder of the publishers' files.
Calls are counted by `toolformer eval`, not here.
"""

import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from lm_eval._cli import HarnessCLI
from lm_eval.api.registry import register_model

from toolformer import load
from toolformer.catalog import MEASURED, ToolSettings, make_tools
from toolformer.decode.options import Options
from toolformer.errors import ConfigError, ToolformerError, unknown_name
from toolformer.eval.evaluating import FOLDER
from toolformer.eval.tool_lm import ToolLM
from toolformer.loading import Loading

_KNOWN = ("pretrained", "tools", "k", "calls", "batch_size", *(field.name for field in fields(Loading)))


@register_model("toolformer")
class RegisteredLM(ToolLM):
    """`--model toolformer`."""

    def __init__(
        self,
        pretrained: str = "builtin",
        adapter: str | None = None,
        tools: str = "+".join(MEASURED),
        k: int = 10,
        calls: int = 1,
        batch_size: int | str = 32,
        **loading: Any,
    ) -> None:
        """Tools by name with a plus between them, or none; lm-eval splits at commas. `loading` is what `load` takes."""
        loading.pop("max_batch_size", None)
        for name in loading.keys() - set(_KNOWN):
            raise ConfigError(unknown_name("argument of --model_args", name, _KNOWN))
        if str(loading.get("device") or "").startswith("cuda"):
            loading["device"] = "auto"  # it is lm-eval's default, there or not
        made = [] if tools == "none" else make_tools(ToolSettings(), tools.split("+"))
        rows = 32 if str(batch_size).startswith("auto") else max(1, int(batch_size))
        model = load(pretrained, adapter=adapter, **{name: value for name, value in loading.items() if value})
        super().__init__(model, made, Options(k=int(k), calls=int(calls), batch=rows))


def main(arguments: Sequence[str] | None = None) -> None:
    """Hand over to lm-eval."""
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    if "--include_path" not in given and "--tasks" in given:
        given += ["--include_path", str(FOLDER)]
    sys.argv = ["lm_eval", *given]  # lm-eval reads no other
    command = HarnessCLI()
    command.execute(command.parse_args())


if __name__ == "__main__":
    try:
        main()
    except ToolformerError as error:
        print(f"toolformer: {error}", file=sys.stderr)
        sys.exit(2)
