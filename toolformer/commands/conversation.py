"""What `toolformer chat` shows and understands."""

import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.text import Text as Styled

from toolformer.calls import Call, CallSyntax
from toolformer.chat import Chat
from toolformer.commands.streams import check_text, printable
from toolformer.decode.events import Answered, Called, Ended, Event, Text, Undone
from toolformer.errors import ConfigError, DataError, ToolformerError, unknown_name
from toolformer.model import Toolformer
from toolformer.reflection import NOT_REVIEWED, Draft, Reflection, Step
from toolformer.screen import PipeConsole

_CALL, _NOTE, _WRONG = "cyan", "dim", "red"
_ENDS = {"context": "the context is full", "nan": "the model's scores are not numbers", "length": "…"}


class Conversation:
    """Reads lines, and prints answers as they come."""

    def __init__(self, toolformer: Toolformer, chat: Chat, *, reflect: bool = False) -> None:
        """With `reflect`, an answer is drafted, reviewed and revised, and each step is shown."""
        self._toolformer, self._chat, self._reflect = toolformer, chat, reflect
        self._calling = False
        # No markup, no colours for numbers, no wrapping: what a model says is shown as it is.
        self._console = PipeConsole(markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._commands: dict[str, tuple[Callable[[str], None], str]] = {
            "/tools": (self._tools, "list the tools, and what each one does"),
            "/k": (self._k, "/k N opens calls that are among the N likeliest tokens; 0 disables calls"),
            "/undo": (self._undo, "remove the last question and its answer"),
            "/save": (self._save, "/save FILE writes the conversation, one line of JSON for each turn"),
            "/help": (self._help, "show this list"),
            "/quit": (self._quit, "leave, as at the end of input"),
        }

    def run(self) -> None:
        """Talk until there is no more input."""
        if sys.stdin.isatty():
            # Arrow keys and a history; not everywhere there is one.
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401
            self._note(
                f"{self._toolformer.model.name}, with {', '.join(self._toolformer.toolbox.names) or 'no tools'}. "
            )
            self._note("/help lists the commands.\n")
        while True:
            try:
                line = input("> " if sys.stdin.isatty() else "").strip()
                self._turn(line)
            except EOFError:
                return
            except KeyboardInterrupt:
                self._note("\nType /quit to leave.\n")

    def _turn(self, line: str) -> None:
        """What is wrong with a line ends nothing; what is wrong with the input or the output does."""
        try:
            self._understood(check_text(line))
        except ToolformerError as error:
            self._show(f"{error}\n", _WRONG)

    def _understood(self, line: str) -> None:
        if line.startswith("/"):
            self._command(line)
        elif line:
            self._answer(line)

    def _answer(self, line: str) -> None:
        """Show the answer as it comes; Ctrl-C stops it and nothing else."""
        try:
            if self._reflect:
                for step in self._chat.reflect(line):
                    self._step(step)
            else:
                for event in self._chat.stream(line):
                    self._event(event)
        except KeyboardInterrupt:
            self._note(" (stopped)\n")

    def _event(self, event: Event) -> None:
        if isinstance(event, Text):
            self._show(event.text)
        elif isinstance(event, Called):
            self._show(_begun(event.call), _CALL)
            self._calling = True
        elif isinstance(event, Answered):
            self._show(f"{CallSyntax.TOKENS.arrow} {event.call.result}", _CALL)
            built = f", uses call {', '.join(str(one + 1) for one in event.uses)}" if event.uses else ""
            self._note(f", rank {event.rank + 1}, p {event.probability:.2f}{built}]")
            self._calling = False
        elif isinstance(event, Undone):
            begun = "" if self._calling else _begun(event.call) if event.call else " [call"
            self._note(f"{begun} undone: {event.reason}]")
            self._calling = False
        elif isinstance(event, Ended):
            why = _ENDS.get(event.reason)
            self._note(f" ({why})\n" if why else "\n")

    def _step(self, step: Step) -> None:
        if isinstance(step, Draft):
            self._note("revision:" if step.number else "draft:")
            self._show(f" {step.text.strip()}\n")
        elif not isinstance(step, Reflection):
            self._show(f"  {step}\n", _CALL)
        elif step.why in NOT_REVIEWED:
            self._note(f"  {NOT_REVIEWED[step.why]}\n")

    def _command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        if name not in self._commands:
            raise ConfigError(unknown_name("command", name, self._commands))
        self._commands[name][0](argument.strip())

    def _tools(self, argument: str) -> None:  # noqa: ARG002 - one signature for all
        for tool in self._toolformer.toolbox:
            self._show(f"{tool.name}", _CALL)
            self._show(f"  {tool.description}\n")

    def _k(self, argument: str) -> None:
        if argument:
            if not argument.isdecimal():
                raise ConfigError(f"k is a whole number, such as /k 3, not {argument!r}")
            self._chat.options = self._chat.options.changed(k=int(argument))
        options = self._chat.options
        by = options.thresholds(self._toolformer.decoder.calibrated)
        self._note(f"k = {options.ranks}{', and the thresholds of the model' if by else ''}\n")

    def _undo(self, argument: str) -> None:  # noqa: ARG002 - as above
        self._note("removed\n" if self._chat.undo() else "the conversation is empty\n")

    def _save(self, argument: str) -> None:
        if not argument:
            raise ConfigError("name a file: /save FILE")
        lines = [
            json.dumps({"role": turn.role, "content": turn.text, "calls": [asdict(call) for call in turn.calls]})
            for turn in self._chat.turns
        ]
        try:
            with Path(argument).expanduser().open("x", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        except OSError as error:
            raise DataError(f"{argument}: {error.strerror or error}; nothing was saved") from error
        self._note(f"{len(lines)} turns in {argument}\n")

    def _help(self, argument: str) -> None:  # noqa: ARG002 - as above
        for name, (_, what) in self._commands.items():
            self._show(f"{name:<7}", _CALL)
            self._show(f" {what}\n")
        self._note("Ctrl-C stops an answer. Everything else goes to the model.\n")

    def _quit(self, argument: str) -> None:  # noqa: ARG002 - as above
        raise EOFError

    def _show(self, text: str, style: str = "") -> None:
        self._console.print(Styled(printable(text), style=style), end="")

    def _note(self, text: str) -> None:
        self._show(text, _NOTE)


def _begun(call: Call) -> str:
    return f" [{call.tool}({call.input})"
