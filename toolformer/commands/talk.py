"""`toolformer generate` and `toolformer chat`: a model that uses its tools, in a terminal."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import tyro

from toolformer.catalog import ALONE, ToolSettings, make_tools
from toolformer.commands.flags import LoadingFlags, Often
from toolformer.commands.streams import check_stdin, check_text, printable
from toolformer.commands.tools import Settings
from toolformer.decode.options import Options
from toolformer.errors import ToolformerError
from toolformer.loading import Loading

if TYPE_CHECKING:
    from toolformer.generation import Generation
    from toolformer.model import Toolformer
    from toolformer.reflection import Reflection

    Made = Generation | Reflection

_AT_ONCE = 512
"""Lines of standard input that are read before the first is answered."""


@dataclass(frozen=True)
class Who:
    """Which model, and with which tools."""

    model: str = "builtin-tools"
    """By name or path: `builtin-tools`, `smollm2-tools`, a folder of `toolformer train`, or any other."""
    tools: str = ",".join(ALONE)
    """Names of the tools, with commas, as `toolformer tools` lists them; empty for none."""

    def toolformer(self, loading: Loading, settings: ToolSettings) -> "Toolformer":
        """The model with its tools."""
        from toolformer.model import Toolformer

        tools = make_tools(settings, [name for name in self.tools.split(",") if name.strip()])
        return Toolformer.from_pretrained(self.model, tools, memory=settings.memory(), **vars(loading))


Decoding = Annotated[
    Options, Often("k", "calls", "max_new_tokens", "stop", "do_sample", "temperature", "top_p", "seed")
]


@dataclass(frozen=True)
class Generate:
    """Continue a text, or each line of standard input.

    How a model writes and calls: docs/decode.md.
    """

    text: tyro.conf.Positional[str] = "-"
    """The text to continue; with "-" or nothing, each line of standard input."""
    json: bool = False
    """Write a line of JSON for each text: text, calls, raw, end."""
    raw: bool = False
    """Show the calls in the text."""
    reflect: bool = False
    """Write a draft without calls, review it with all of it in view, and revise it."""
    who: Who = field(default_factory=Who)
    loading: LoadingFlags = field(default_factory=Loading)
    options: Decoding = field(default_factory=Options)
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Print what the model writes, a line for each line. One that cannot be answered is said on standard error."""
        if self.text == "-":
            check_stdin()
        with self.who.toolformer(self.loading, self.settings) as toolformer:
            if self.text != "-":
                self._print(self._written(toolformer, [self.text])[0], lines=False)
                return
            failed = 0
            lines = enumerate((line.rstrip("\n") for line in sys.stdin), 1)
            while some := list(islice(lines, _AT_ONCE)):
                for number, made in self._answers(toolformer, some):
                    if isinstance(made, ToolformerError):
                        failed += 1
                        print(json.dumps({"error": str(made)}) if self.json else "", flush=True)
                        print(f"toolformer: line {number}: {made}", file=sys.stderr)
                    else:
                        self._print(made, lines=True)
            if failed:
                raise ToolformerError(f"{failed} of the lines had no answer")

    def _answers(
        self, toolformer: "Toolformer", lines: Sequence[tuple[int, str]]
    ) -> Iterator[tuple[int, "Made | ToolformerError"]]:
        """The answers in the order of the lines; a line that is too long, or no text, costs none of the others."""
        wrong: dict[int, ToolformerError] = {}
        asked = []
        for number, line in lines:
            try:
                size, context = len(toolformer.model.encode(check_text(line)).ids), toolformer.model.context
                if size > context:
                    raise ToolformerError(f"{size:,} tokens do not fit into {context:,}")
                asked.append(line)
            except ToolformerError as error:
                wrong[number] = error
        made = iter(self._written(toolformer, asked))
        for number, _ in lines:
            yield number, wrong.get(number) or next(made)

    def _written(self, toolformer: "Toolformer", texts: list[str]) -> "Sequence[Made]":
        if self.reflect:
            return toolformer.reflect(texts, options=self.options)
        return toolformer.generate(texts, self.options)

    def _print(self, made: "Made", *, lines: bool) -> None:
        if self.json:
            told = {"text": made.text, "calls": [asdict(call) for call in made.calls], "raw": made.raw, "end": made.end}
            print(json.dumps(told), flush=True)
            return
        shown = printable(made.raw if self.raw else made.text).strip()
        print(shown.replace("\n", " ") if lines else shown, flush=True)


@dataclass(frozen=True)
class Chat:
    """Chat with a model and see it use its tools.

    /help lists the commands. How a model writes and calls: docs/decode.md.
    """

    system: str | None = None
    """System prompt, for models whose chat template has one."""
    reflect: bool = False
    """Draft each answer without calls, review it with all of it in view, and revise it; each step is shown."""
    who: Who = field(default_factory=Who)
    loading: LoadingFlags = field(default_factory=Loading)
    options: Decoding = field(default_factory=Options)
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Talk until /quit or the end of input."""
        check_stdin()
        from toolformer.commands.conversation import Conversation

        with self.who.toolformer(self.loading, self.settings) as toolformer:
            chat = toolformer.chat(self.system, self.options)
            Conversation(toolformer, chat, reflect=self.reflect).run()
