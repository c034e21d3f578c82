"""Answers for several threads, written together: who asks first decodes for all, and who comes later joins in.

There is no thread of its own. Callers are threads that wait anyway, such as those in which tools run, and whoever of
them finds nobody at work does the work until their own answers are there.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from toolformer.decode.decoder import STRIDE, Decoder
from toolformer.decode.events import Ended, EndReason, Text
from toolformer.decode.options import Options
from toolformer.decode.row import Asked
from toolformer.decode.running import Running
from toolformer.errors import ToolBroken, ToolError
from toolformer.lm import LanguageModel
from toolformer.toolbox import Toolbox

_GATHER = 0.01
"""Seconds in which the calls of one step come in, before the first of them is answered: less than a pass takes."""


@dataclass(frozen=True)
class Written:
    """What was written behind a prompt, and why it ended."""

    text: str
    end: EndReason


@dataclass(eq=False)
class _Waiting:
    """A prompt whose answer somebody waits for."""

    prompt: tuple[int, ...]
    texts: list[str] = field(default_factory=list)
    end: EndReason | None = None
    broken: str = ""
    """Why there will be no answer."""

    @property
    def over(self) -> bool:
        return self.end is not None or bool(self.broken)


class Desk:
    """A model that answers prompts. For any number of threads."""

    def __init__(self, model: LanguageModel, options: Options) -> None:
        self.model = model
        self._options = options
        self._decoder = Decoder(model, Toolbox())
        self._changed = threading.Condition()
        self._new: list[_Waiting] = []
        self._busy = False
        """Whether a thread decodes. Only that one touches what is below."""
        self._running: Running | None = None
        self._in: dict[int, _Waiting] = {}
        self._next = 0

    def ask(self, prompts: Sequence[str]) -> list[Written]:
        """What the model writes behind each prompt. A prompt that is too long is a ToolError, and nothing is asked."""
        mine = [_Waiting(self._encoded(prompt)) for prompt in prompts]
        with self._changed:
            self._new += mine
        while self._take_over(mine):
            try:
                self._work(mine)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        if broken := next((one.broken for one in mine if one.broken), ""):
            raise ToolBroken(broken)
        return [Written("".join(one.texts), one.end) for one in mine if one.end]

    def _encoded(self, prompt: str) -> tuple[int, ...]:
        ids = self.model.encode(prompt).ids
        if len(ids) >= self.model.context:
            raise ToolError(f"{len(ids):,} tokens with the prompt leave no room in a context of {self.model.context:,}")
        return ids

    def _take_over(self, mine: Sequence[_Waiting]) -> bool:
        """Wait until all of mine are answered, or nobody works on them: then it is this thread's turn."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy or all(one.over for one in mine))
            if all(one.over for one in mine):
                return False
            self._busy = True
            return True

    def _work(self, mine: Sequence[_Waiting]) -> None:
        """Decode until mine are answered. Others that are not go on in the next thread's hands."""
        try:
            if not self._in:
                time.sleep(_GATHER)
            while not all(one.over for one in mine):
                self._step()
        except BaseException as error:
            # Whatever it was (no memory, Ctrl-C), those that were being answered cannot go on.
            for one in self._in.values():
                one.broken = f"its answer was broken off ({type(error).__name__}: {error})"
            self._in.clear()
            raise
        finally:
            if not self._in and self._running is not None:
                self._running.close()
                self._running = None

    def _step(self) -> None:
        """One more token of every answer."""
        with self._changed:
            free = max(0, self._options.batch - len(self._in))
            new, self._new = self._new[:free], self._new[free:]
        numbered = dict(enumerate(new, self._next))
        self._next += len(new)
        self._in |= numbered
        self._running = self._running or self._decoder.begin()
        self._running.add([Asked(n, one.prompt, self._options, every=STRIDE) for n, one in numbered.items()])
        for event in self._running.choose():
            if isinstance(event, Text):
                self._in[event.row].texts.append(event.text)
            elif isinstance(event, Ended):
                self._in.pop(event.row).end = event.reason
        self._running.feed()
        with self._changed:
            self._changed.notify_all()
