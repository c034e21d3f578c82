"""Whatever a model writes and whenever its tools answer, a row's text and events are those that it has alone."""

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import END, Next, ScriptedLM
from toolformer import CallSyntax, Toolbox, ToolError, Traits
from toolformer.decode import running
from toolformer.decode.decoder import Decoder
from toolformer.decode.events import Event, Text, Undone
from toolformer.decode.options import Options

OPEN, ARROW, CLOSE = CallSyntax.TOKENS.control_tokens
PROMPTS = ("x", "y", "xy", "yx")
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"k": 1},
    {"calls": 3},
    {"do_sample": True, "top_k": 5, "repetition_penalty": 1.3},
    {"min_new_tokens": 4, "stop": ("ab", "ca")},
    {"branches": 2},
    {"branches": 2, "calls": 2, "call_temperature": 1.0},
    {"calls_sampled": 4, "choose": "text"},
    {"calls_sampled": 4, "choose": "call", "calls": 2},
    {"calls_sampled": 5, "choose": "votes", "call_temperature": 1.5},
)


def some_model(seed: int) -> Next:
    """A model that likes to call, and to end its calls; what it says depends on everything before."""

    def following(said: str) -> Mapping[str, float]:
        rng = random.Random(f"{seed}:{said}")
        if said.rfind(OPEN) <= said.rfind(CLOSE):
            likes = {"a": 2, "b": 2, "c": 1, OPEN: 2, END: 0.5}
        elif said.endswith(")"):
            likes = {ARROW: 8, CLOSE: 2, "a": 1, END: 0.2}
        elif "(" not in said[said.rfind(OPEN) :]:
            likes = {" ": 1, "A": 1, "d": 2, "s": 2}
        else:
            likes = {"1": 2, "2": 2, ")": 4, OPEN: 0.2, END: 0.1}
        shares = {piece: weight * rng.random() for piece, weight in likes.items()}
        return {piece: 0.999 * share / sum(shares.values()) for piece, share in shares.items()}

    return following


class Tool:
    """It answers with something about the length of what it is asked, and some questions not at all."""

    description = "It answers."
    traits = Traits(in_process=True)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, text: str, /) -> str:
        if len(text) % 4 == 3:
            raise ToolError("no")
        return str(len(text) % 3)


class Late(Future[str]):
    """An answer that comes when it has been looked for so many times."""

    def __init__(self, answer: Callable[[], str], looks: int) -> None:
        super().__init__()
        self._answer, self._looks = answer, looks

    def done(self) -> bool:
        self._looks -= 1
        if self._looks < 0 and not super().done():
            self.come()
        return super().done()

    def come(self) -> None:
        try:
            self.set_result(self._answer())
        except ToolError as error:
            self.set_exception(error)


class Schedule:
    """Stands for the threads in which tools run, and for waiting until the first of them is ready."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def __call__(self, max_workers: int) -> "Schedule":
        return self

    def submit(self, run: Callable[..., str], *asked: str) -> Late:
        return Late(lambda: run(*asked), self._rng.randrange(6))

    def wait(self, out: Sequence[Late], patience: float | None, return_when: str) -> None:
        if not any(Future.done(one) for one in out):
            self._rng.choice(out).come()

    def shutdown(self, **_: object) -> None: ...


def decode(seed: int, prompts: Sequence[str], options: Options, rng: random.Random) -> tuple[list[Event], int]:
    """What happened, and how many tokens went through the model."""
    model = ScriptedLM(follows=some_model(seed), context=48)
    model.encode("".join(map(chr, range(32, 540))))  # so that every token says something, and the same in every run
    schedule = Schedule(rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "ThreadPoolExecutor", schedule)
        patch.setattr(running, "wait", schedule.wait)
        run = Decoder(model, Toolbox([Tool("Add"), Tool("Ads"), Tool("As")])).run
        return list(run([model.encode(prompt).ids for prompt in prompts], options)), model.counter.tokens


def told(events: Sequence[Event], row: int, options: Options) -> tuple[str, list[Event], set[Event]]:
    """A row's text, what else happened, and what was undone where several calls at one place fail in no order."""
    mine = [replace(event, row=0) for event in events if event.row == row]
    text = "".join(event.text for event in mine if isinstance(event, Text))
    aside: tuple[type[Event], ...] = (Undone,) if options.branches > 1 or options.calls_sampled > 1 else ()
    seen = [event for event in mine if not isinstance(event, (Text, *aside))]
    return text, seen, {event for event in mine if isinstance(event, aside)}


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(WAYS), st.integers(1, 4), st.randoms(use_true_random=False))
def test_a_row_is_what_it_is_alone(seed: int, way: dict[str, Any], batch: int, rng: random.Random) -> None:
    options = Options(max_new_tokens=8, input_tokens=4).changed(batch=batch, **way)
    together, forwarded = decode(seed, PROMPTS, options, rng)
    for row, prompt in enumerate(PROMPTS):
        alone, some = decode(seed, [prompt], options, random.Random(0))
        assert told(together, row, options) == told(alone, 0, options)
        forwarded -= some
    assert forwarded == 0
