"""Texts that come and go while others are written, each with its own options."""

import threading
import time

import pytest

from tests.fakes import ScriptedLM, script
from tests.serving import ARROW, CLOSE, OPEN, Told, adds
from toolformer.calls import CallSyntax
from toolformer.decode import running as module
from toolformer.decode.events import Answered, Called, Ended, Event, Text
from toolformer.decode.options import Options
from toolformer.decode.row import Asked
from toolformer.decode.running import Running
from toolformer.decode.states import Waiting
from toolformer.toolbox import Toolbox


def begun(*texts: str) -> tuple[ScriptedLM, Running]:
    model = ScriptedLM(follows=script(*texts))
    return model, Running(model, Toolbox([Told(adds)]), CallSyntax.TOKENS)


def steps(running: Running, count: int = 1000) -> list[Event]:
    events: list[Event] = []
    while running.texts and count:
        events += running.choose()
        running.feed()
        count -= 1
    return events


def said(events: list[Event], row: int) -> str:
    return "".join(event.text for event in events if isinstance(event, Text) and event.row == row)


def test_a_text_joins_while_another_is_written_and_each_has_its_options() -> None:
    model, running = begun(f"ab{OPEN} Sum(1 + 1){ARROW} 2{CLOSE}2cdefghij")
    running.add([Asked(0, model.encode("a").ids, Options(max_new_tokens=6))])
    events = steps(running, 1)
    disabled = Options(k=0, max_new_tokens=3)
    running.add([Asked(1, model.encode("a").ids, disabled), Asked(2, model.encode("a").ids, Options(stop=("f",)))])
    assert running.texts == 3
    events += steps(running)
    assert said(events, 0) == "b2cdef"
    assert said(events, 2) == "b2cde"
    assert {event.row for event in events if isinstance(event, Answered)} == {0, 2}
    assert {event.row: event.reason for event in events if isinstance(event, Ended)} == {
        0: "length",
        1: "end",
        2: "stop",
    }
    assert running.texts == 0
    running.close()


def test_a_text_with_a_threshold_is_asked_for_it_beside_one_without() -> None:
    """The opening has a probability of 0.9."""
    model, running = begun(f"ab{OPEN} Sum(1 + 1){ARROW} 2{CLOSE}2c")
    ways = (Options(k=1), Options(threshold=0.8), Options(threshold=0.95))
    running.add([Asked(row, model.encode("a").ids, options) for row, options in enumerate(ways)])
    assert {event.row for event in steps(running) if isinstance(event, Answered)} == {0, 1}
    running.close()


def test_a_text_that_is_dropped_is_over_and_the_others_go_on() -> None:
    model, running = begun("abcdef")
    running.add([Asked(row, model.encode("a").ids, Options()) for row in range(3)])
    events = steps(running, 2)
    running.drop(1)
    running.drop(7)  # which is not in
    events += steps(running)
    assert [said(events, row) for row in range(3)] == ["bcdef", "bc", "bcdef"]
    assert [event.row for event in events if isinstance(event, Ended)] == [0, 2]
    running.close()


@pytest.mark.parametrize("end", ["drop", "close"])
def test_a_call_that_no_thread_has_taken_is_not_run_for_a_text_that_is_over(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOOLS_AT_ONCE", 1)
    asked: list[str] = []
    begins, goes_on = threading.Event(), threading.Event()

    def answer(text: str) -> str:
        asked.append(text)
        begins.set()
        return text if goes_on.wait(10) else "late"

    texts = [f"{name}{OPEN} Sum({name}){ARROW} {name}{CLOSE}." for name in "ab"]
    model = ScriptedLM(follows=script(*texts))
    running = Running(model, Toolbox([Told(answer)]), CallSyntax.TOKENS)
    running.add([Asked(row, model.encode(name).ids, Options()) for row, name in enumerate("ab")])
    while len(out := [row.state.result for row in running._rows if isinstance(row.state, Waiting)]) < 2:
        running.choose(0.0)
        running.feed()
    assert begins.wait(10)
    if end == "drop":
        running.drop(1)
        goes_on.set()
        assert said(steps(running), 0) == "."
    running.close()
    goes_on.set()
    assert out[0].result(10) == "a"
    assert out[1].cancelled()
    assert asked == ["a"]


def test_where_all_texts_wait_for_tools_they_are_waited_for_as_long_as_is_said() -> None:
    goes_on = threading.Event()
    model = ScriptedLM(follows=script(f"a{OPEN} Sum(1){ARROW} 1{CLOSE}."))
    running = Running(model, Toolbox([Told(lambda text: text if goes_on.wait(10) else "late")]), CallSyntax.TOKENS)
    running.add([Asked(0, model.encode("a").ids, Options())])
    events: list[Event] = []
    while not any(isinstance(event, Called) for event in events):
        events += running.choose(0.0)
        running.feed()
    begun_at = time.monotonic()
    assert running.choose(0.05) == []
    assert 0.05 <= time.monotonic() - begun_at < 5
    goes_on.set()
    assert [type(event) for event in running.choose(10)] == [Answered]
    running.close()


def test_branches_of_a_dropped_text_are_forgotten() -> None:
    model, running = begun(f"ab{OPEN} Sum(1 + 1){ARROW} 2{CLOSE}2c")
    running.add([Asked(0, model.encode("a").ids, Options(calls_sampled=3))])
    steps(running, 4)
    running.drop(0)
    assert steps(running) == []
    running.add([Asked(1, model.encode("a").ids, Options(calls_sampled=3))])
    assert said(steps(running), 1) == "b2c"
    running.close()
