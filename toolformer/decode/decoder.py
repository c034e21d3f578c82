"""The runtime decoder: a model writes texts, calls tools while it does, and their results are fed to it.

All rows go through the model together, each in its own state (`states.py`). Tools run in threads beside it; finished
rows leave and waiting prompts take their places. A call that fails is cut out of its row's cache, which costs nothing:
no token goes through the model twice.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from toolformer.calls import CallSyntax
from toolformer.decode.events import Event
from toolformer.decode.options import Options
from toolformer.decode.row import Asked, all_asked
from toolformer.decode.running import Running
from toolformer.decode.trigger import Thresholds
from toolformer.errors import ConfigError
from toolformer.lm import DecodingModel, Ids, syntax_of
from toolformer.tool import DocumentFacts
from toolformer.toolbox import Toolbox

STRIDE = 16
"""Tokens between two looks at the text when nobody watches it grow."""


class Decoder:
    """A model with its tools. Not for several threads at once: a model is not."""

    def __init__(
        self,
        model: DecodingModel,
        toolbox: Toolbox,
        syntax: CallSyntax | None = None,
        calibrated: Thresholds | None = None,
    ) -> None:
        """`calibrated` are the thresholds that were found for the model, if any were."""
        self.model = model
        self.toolbox = toolbox
        self.syntax = syntax or syntax_of(model)
        self.calibrated = calibrated

    def run(
        self,
        prompts: Sequence[Ids],
        options: Options,
        *,
        stride: int = 1,
        facts: Sequence[DocumentFacts] | None = None,
    ) -> Iterator[Event]:
        """Go on from each prompt, and tell what happens; text comes at least every `stride` tokens.

        `facts` says what is known of each prompt, for tools that depend on it.

        To stop early, close the generator or leave it: a tool that is out is not waited for.
        """
        for number, prompt in enumerate(prompts):
            if len(prompt) > self.model.context:
                raise ConfigError(
                    f"prompt {number} has {len(prompt):,} tokens, and the context of {self.model.name} "
                    f"{self.model.context:,}: shorten it"
                )
        self.check(options)
        return self._events(deque(all_asked(prompts, options, every=stride, facts=facts)), options.batch)

    def check(self, options: Options) -> None:
        """Refuse, before the first token, options that this model cannot be decoded under."""
        options.thresholds(self.calibrated)
        options.check_known(self.model.known)

    def _events(self, waiting: deque[Asked], batch: int) -> Iterator[Event]:
        running = self.begin()
        try:
            while waiting or running.texts:
                free = min(batch - running.texts, len(waiting))
                running.add([waiting.popleft() for _ in range(free)])
                # A listener may be slow: all tools that can run now are started before anything is told.
                yield from running.choose()
                running.feed()
        finally:
            running.close()

    def begin(self) -> Running:
        """Texts that come and go one by one, each with its own options, for as long as there are any."""
        return Running(self.model, self.toolbox, self.syntax, self.calibrated)
