"""What `/metrics` says, in Prometheus' text format."""

import time
from collections import Counter
from collections.abc import Mapping

from toolformer.decode.events import Answered, Ended, Event, Undone

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counted since the start."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._calls: Counter[tuple[str, ...]] = Counter()
        self._prompt_tokens = self._written_tokens = 0
        self._waits: Counter[float] = Counter()
        self._waited = 0.0
        self._started = time.time()

    def answered(self, path: str, status: int) -> None:
        """A request has its answer."""
        self._requests[path, str(status)] += 1

    def asked(self, tokens: int) -> None:
        """So many tokens of prompts came."""
        self._prompt_tokens += tokens

    def began(self, seconds: float) -> None:
        """The first text of a streamed answer came after so long."""
        self._waits[next((one for one in _BUCKETS if seconds <= one), float("inf"))] += 1
        self._waited += seconds

    def saw(self, event: Event) -> None:
        """Something happened in a text."""
        if isinstance(event, Ended):
            self._written_tokens += len(event.ids)
        elif isinstance(event, Answered):
            self._calls[event.call.tool, "answered"] += 1
        elif isinstance(event, Undone):
            self._calls[event.call.tool if event.call else "", "undone"] += 1

    def text(self, *, running: int, waiting: int) -> str:
        """All of it; what runs and waits is as of now."""
        lines = [
            *_lines("requests_total", "counter", "Requests by path and status.", ("path", "status"), self._requests),
            *_lines("calls_total", "counter", "Calls of tools.", ("tool", "outcome"), self._calls),
            *_lines("prompt_tokens_total", "counter", "Tokens of prompts.", (), {(): self._prompt_tokens}),
            *_lines("written_tokens_total", "counter", "Tokens written.", (), {(): self._written_tokens}),
            *_lines("texts_running", "gauge", "Texts being written.", (), {(): running}),
            *_lines("texts_waiting", "gauge", "Texts that wait for a place.", (), {(): waiting}),
            *_lines("start_time_seconds", "gauge", "When the server started.", (), {(): self._started}),
            "# HELP toolformer_first_text_seconds Time to the first text of a streamed answer.",
            "# TYPE toolformer_first_text_seconds histogram",
        ]
        total = 0
        for bound in (*_BUCKETS, float("inf")):
            total += self._waits[bound]
            shown = "+Inf" if bound == float("inf") else bound
            lines.append(f'toolformer_first_text_seconds_bucket{{le="{shown}"}} {total}')
        lines += [f"toolformer_first_text_seconds_sum {self._waited}", f"toolformer_first_text_seconds_count {total}"]
        return "\n".join(lines) + "\n"


def _lines(
    name: str, kind: str, what: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> list[str]:
    lines = [f"# HELP toolformer_{name} {what}", f"# TYPE toolformer_{name} {kind}"]
    for key, value in sorted(values.items()):
        # Names of tools, paths that we know, and statuses: none holds a quote.
        shown = ",".join(f'{label}="{one}"' for label, one in zip(labels, key, strict=True))
        lines.append(f"toolformer_{name}{{{shown}}} {value}" if shown else f"toolformer_{name} {value}")
    return lines
