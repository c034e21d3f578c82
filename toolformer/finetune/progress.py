"""What training shows while it goes: the step, losses and perplexities, tokens per second, the time left.

On a terminal a block that stays in place; elsewhere a plain line now and then, for logs. It only looks on.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text
from transformers import TrainerCallback, TrainerState

from toolformer.finetune.batches import Plan

LINE_SECONDS = 10.0
"""Between two plain lines, if nothing was measured."""
_NAMES = {"eval_perplexity_plain": "without calls", "eval_perplexity_calls": "with calls"}


@dataclass
class Progress:
    """What a run has done so far, for whoever shows it."""

    steps: int
    step: int = 0
    resumed: int = 0
    """Steps that an earlier run had done."""
    tokens: int = 0
    """Tokens that this run learnt from."""
    loss: float | None = None
    perplexities: dict[str, float] = field(default_factory=dict)
    """The last ones measured: without calls, with calls."""
    first: dict[str, float] = field(default_factory=dict)
    """Those of the model before it was trained."""
    measured: bool = False
    """Whether the perplexities are news."""
    finished: bool = False


class Watcher(TrainerCallback):
    """Tells of a trainer's progress."""

    def __init__(self, plan: Plan, tokens: list[int], tell: Callable[[Progress], None] | None) -> None:
        """`tokens` says how many there are in each step."""
        self.progress = Progress(plan.steps)
        self._tokens, self._tell = tokens, tell

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Note where a resumed run begins, and what was measured before."""
        self.progress.resumed = self.progress.step = state.global_step
        for logs in state.log_history:
            self._note(logs, int(logs["step"]))
        self.progress.measured = False

    def on_log(self, args: Any, state: TrainerState, control: Any, **more: Any) -> None:  # noqa: ARG002
        """Tell of a step, or of what was measured behind it."""
        logs: dict[str, float] = more["logs"]
        self._note(logs, state.global_step)
        self.progress.step = state.global_step
        self.progress.tokens = sum(self._tokens[self.progress.resumed : state.global_step])
        self.progress.finished = "train_runtime" in logs
        if self._tell and state.is_world_process_zero:
            self._tell(self.progress)

    def _note(self, logs: dict[str, float], step: int) -> None:
        self.progress.loss = logs.get("loss", self.progress.loss)
        found = {name: logs[key] for key, name in _NAMES.items() if key in logs}
        self.progress.measured = bool(found)
        self.progress.perplexities |= found
        if step == 0:
            self.progress.first |= found


class Display:
    """Shows a run's progress. Use it in a `with` statement and give its `show` to the run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr)
        self._live = Live(console=self._console, transient=False) if self._console.is_terminal else None
        self._begun = time.monotonic()
        self._said = -LINE_SECONDS

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show it now, or as a line if there is news or the last one is some time ago."""
        now = time.monotonic()
        if progress.step == progress.resumed:
            self._begun = now
        line = self._line(progress, now - self._begun)
        if self._live:
            bar = ProgressBar(total=progress.steps, completed=progress.step, width=60)
            self._live.update(Group(Text(line), bar), refresh=True)
        elif progress.measured or progress.finished or now - self._said >= LINE_SECONDS:
            self._said = now
            self._console.print(line, soft_wrap=True, highlight=False)

    def _line(self, progress: Progress, seconds: float) -> str:
        words = [f"step {progress.step:,} of {progress.steps:,}"]
        if progress.loss is not None:
            words.append(f"loss {progress.loss:.4f}")
        for name, value in progress.perplexities.items():
            first = progress.first.get(name)
            change = f" ({value / first - 1:+.1%})" if first and progress.step else ""
            words.append(f"perplexity {name} {value:.4g}{change}")
        done = progress.step - progress.resumed
        if done and seconds:
            words.append(f"{progress.tokens / seconds:,.0f} tokens/s")
        if done and not progress.finished:
            words.append(f"{_span((progress.steps - progress.step) * seconds / done)} left")
        return ", ".join(words)


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
