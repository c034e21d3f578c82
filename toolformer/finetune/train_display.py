"""What training shows while it goes: the step, losses and perplexities, tokens per second, the time left.

It only looks on: nothing of a run depends on it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.progress_bar import ProgressBar
from rich.text import Text
from transformers import TrainerCallback, TrainerState

from toolformer.screen import Screen, span

_NAMES = {
    "eval_perplexity_plain": "without calls",
    "eval_perplexity_calls": "with calls",
    "eval_perplexity_outputs": "of outputs",
}


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

    def __init__(self, steps: int, tokens: list[int], tell: Callable[[Progress], None] | None) -> None:
        """`tokens` says how many there are in each step."""
        self.progress = Progress(steps)
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


class Display(Screen):
    """Shows a run's progress. Use it in a `with` statement and give its `show` to the run."""

    def show(self, progress: Progress) -> None:
        """Show it as a line and a bar, or as the line alone."""
        if progress.step == progress.resumed:
            self.begun = time.monotonic()
        line = self._line(progress, time.monotonic() - self.begun)
        bar = ProgressBar(total=progress.steps, completed=progress.step, width=60)
        self.put(line, Text(line), bar, news=progress.measured or progress.finished)

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
            words.append(f"{span((progress.steps - progress.step) * seconds / done)} left")
        return ", ".join(words)
