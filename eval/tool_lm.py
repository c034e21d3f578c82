"""A model with its tools as a model of lm-eval: three methods over the port and the decoder.

A plain model, or k = 0, is a plain model of lm-eval; a test holds its scores to those of lm-eval's own.
"""

import datetime
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from toolformer.calls import Call, CallSyntax
from toolformer.decode.decoder import Decoder
from toolformer.decode.events import Answered, Called, Ended, Event, Opened, Undone
from toolformer.decode.options import Options
from toolformer.decode.trigger import Thresholds
from toolformer.errors import ConfigError
from toolformer.eval.likelihood import Scored, encode_pair, roll, score
from toolformer.eval.openings import Nearest, forced, watched
from toolformer.generation import Gathered
from toolformer.lm import LanguageModel, syntax_of
from toolformer.tool import DocumentFacts, Tool
from toolformer.toolbox import ResultMemory, Toolbox

_MOST_NEW = 256
"""Tokens to write where a task does not say: lm-eval's own default."""


@dataclass(frozen=True)
class Made:
    """A call that was opened: with a result, or undone for a reason."""

    start: int
    call: Call | None
    reason: str
    probability: float
    rank: int


@dataclass(frozen=True)
class Answer:
    """What a model wrote behind one prompt."""

    text: str
    raw: str
    """With the calls in it."""
    calls: tuple[Made, ...]
    undone: tuple[Made, ...]
    probability: float
    """Of a call's opening, where it was opened first, or where it was likeliest."""
    rank: int
    """How many tokens were likelier there; -1 if there was no place to look at."""
    place: int
    """How many tokens of the text stand before the likeliest place; -1 if a call was opened, or nobody looked."""
    cut: int
    """Tokens that the prompt lost at its front because the context is not long enough."""


@dataclass(frozen=True)
class Member:
    """A learned prompt of the model, which answers in its own way: `methods/ensemble.py`."""

    name: str
    fingerprint: str
    load: Callable[[], LanguageModel]
    """The model behind this prompt."""


class ToolLM(LM):  # type: ignore[misc]
    """What lm-eval asks, answered by a model that may call tools. Close it, or use it in a `with` statement."""

    def __init__(
        self,
        model: LanguageModel,
        tools: Sequence[Tool] = (),
        options: Options | None = None,
        on_answer: Callable[[], None] = lambda: None,
        memory: ResultMemory | None = None,
        calibrated: Thresholds | None = None,
        members: Sequence[Member] = (),
    ) -> None:
        """`on_answer` is called whenever a request is answered. Of the options, tasks choose those of their own."""
        super().__init__()
        self.members = members
        self.model, self._tools, self._options, self.on_answer = model, tools, options or Options(), on_answer
        self._memory, self._calibrated = memory, calibrated
        self._syntax = syntax_of(model)
        self.waited = 0.0
        """Seconds between calls and their answers, all calls added up. Other texts may have gone on meanwhile."""
        self._boxes: dict[tuple[str, ...], Toolbox] = {}
        self._open = ExitStack()

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """See lm-eval's LM."""
        del disable_tqdm
        return [answer.text for answer in self.answers(requests)]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[Scored]:
        """See lm-eval's LM."""
        del disable_tqdm
        return score(self.model, [encode_pair(self.model, *request.args) for request in requests])

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """See lm-eval's LM."""
        del disable_tqdm
        return [roll(self.model, request.args[0]).log_probability for request in requests]

    def answers(
        self,
        requests: Sequence[Instance],
        *,
        told: bool = True,
        base: Options | None = None,
        syntax: CallSyntax | None = None,
    ) -> list[Answer]:
        """All that came of the requests. Those with the same settings and tools go through the model together. Each is
        told, unless it is only a part of an answer. A method may have options of its own, and another spelling."""
        groups: dict[Any, list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            doc: Mapping[str, Any] = request.doc or {}
            # Our own examples name a rule. An empty line before their answer is passed over; where other tasks' texts
            # end is lm-eval's matter.
            options = options_of(base or self._options, request.args[1]).changed(late_stop=bool(doc.get("rule")))
            groups[options, tuple(doc.get("without") or ())].append(place)
        found: dict[int, Answer] = {}
        for (options, without), places in groups.items():
            asked = [requests[place] for place in places]
            decoder = self.decoder({"without": without}, syntax)
            found |= zip(places, self._answers(asked, options, decoder, told), strict=True)
        return [found[place] for place in range(len(requests))]

    def decoder(self, doc: Mapping[str, Any], syntax: CallSyntax | None = None) -> Decoder:
        """The model with the tools of an example."""
        toolbox = self._toolbox(tuple(doc.get("without") or ()))
        return Decoder(self.model, toolbox, syntax or self._syntax, self._calibrated)

    def _answers(self, requests: Sequence[Instance], options: Options, plain: Decoder, told: bool) -> list[Answer]:
        ids = [self.model.encode(request.args[0]).ids for request in requests]
        facts = [facts_of(request.doc or {}) for request in requests]
        most = self._most(options, plain.toolbox)
        model, nearest = watched(self.model, plain.syntax)
        places: list[Any] = [(request.doc or {}).get("call_at") for request in requests]
        if None not in places:
            model = forced(model, plain.syntax, places)
        decoder = Decoder(model, plain.toolbox, plain.syntax, plain.calibrated)
        rows = [_Row(decoder, max(0, len(one) - most)) for one in ids]
        for event in decoder.run([one[-most:] for one in ids], options, stride=16, facts=facts):
            rows[event.row].add(event)
            if isinstance(event, Ended):
                self.waited += rows[event.row].waited
                if told:
                    self.on_answer()
        return [row.answer(near) for row, near in zip(rows, nearest, strict=True)]

    def behind(self, member: Member) -> "ToolLM":
        """The same tools with the model behind a learned prompt; it is loaded for this."""
        return ToolLM(member.load(), self._tools, self._options, memory=self._memory)

    def call(self, tool: str, asked: str, doc: Mapping[str, Any]) -> str:
        """What a tool answers, for a method that reads calls itself; a ToolError where it cannot."""
        begun = time.monotonic()
        try:
            return self._toolbox(tuple(doc.get("without") or ())).bind(facts_of(doc)).run(tool, asked)
        finally:
            self.waited += time.monotonic() - begun

    def _most(self, options: Options, toolbox: Toolbox) -> int:
        """Tokens of a prompt that leave room for the answer, and for its calls where there are tools; half at least."""
        if self.model.reads_apart:
            return self.model.context
        calls = options.calls * (options.input_tokens + options.result_tokens) if len(toolbox) else 0
        return max(self.model.context - options.max_new_tokens - calls, self.model.context // 2)

    def _toolbox(self, without: tuple[str, ...]) -> Toolbox:
        if without not in self._boxes:
            kept = [tool for tool in self._tools if tool.name not in without]
            self._boxes[without] = self._open.enter_context(Toolbox(kept, memory=self._memory, workers=4))
        return self._boxes[without]

    def close(self) -> None:
        """Stop the tools' processes."""
        self._open.close()
        self._boxes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Row:
    """One text's events, put together."""

    def __init__(self, decoder: Decoder, cut: int) -> None:
        self._gathered, self._cut = Gathered(decoder.syntax), cut
        self.waited = 0.0
        self._asked: float | None = None
        self._opened: list[Opened] = []
        self._calls: list[Made] = []
        self._undone: list[Made] = []

    def add(self, event: Event) -> None:
        if isinstance(event, Called):
            self._asked = time.monotonic()
        elif isinstance(event, Answered | Undone) and self._asked is not None:
            self.waited += time.monotonic() - self._asked
            self._asked = None
        self._gathered.add(event)
        if isinstance(event, Opened):
            self._opened.append(event)
        elif isinstance(event, Answered):
            self._calls.append(Made(event.start, event.call, "", event.probability, event.rank))
        elif isinstance(event, Undone):
            opened = self._opened[-1]
            self._undone.append(Made(event.start, event.call, event.reason, opened.probability, opened.rank))

    def answer(self, nearest: Nearest) -> Answer:
        place, made = self._opened[0] if self._opened else nearest, self._gathered.generation()
        return Answer(
            made.text,
            made.raw,
            tuple(self._calls),
            tuple(self._undone),
            place.probability,
            place.rank,
            -1 if self._opened else nearest.place,
            self._cut,
        )


def facts_of(doc: Mapping[str, Any]) -> DocumentFacts:
    """What a tool may know of an example: the day that it is on."""
    date = doc.get("date")
    return DocumentFacts(date=datetime.date.fromisoformat(date) if date else None)


def options_of(base: Options, given: Mapping[str, Any]) -> Options:
    """The options of a request: what its task says of length, ends and sampling; the rest is the run's."""
    asked = dict(given)
    stop = asked.pop("until", ())
    changes: dict[str, Any] = {
        "stop": (stop,) if isinstance(stop, str) else tuple(one for one in stop if one),
        "max_new_tokens": asked.pop("max_gen_toks", None) or asked.pop("max_new_tokens", None) or _MOST_NEW,
    }
    sampled = asked.pop("do_sample", None)
    if sampled:
        changes |= {"do_sample": True} | {
            name: asked.pop(name) for name in list(asked) if name in Options.__annotations__
        }
    else:  # many tasks say temperature: 0.0 and mean no sampling
        for idle in ("temperature", "top_p", "top_k"):
            asked.pop(idle, None)
    if asked:
        raise ConfigError(f"the task asks for {sorted(asked)}, which is not known here")
    return base.changed(**changes)
