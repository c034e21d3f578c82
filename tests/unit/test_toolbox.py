"""A toolbox against tools that do everything wrong: each costs a ToolError, in bounded time, and nothing else."""

import asyncio
import datetime
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bounds import bounded
from toolformer import (
    ConfigError,
    DataError,
    DocumentFacts,
    ResultMemory,
    Tool,
    Toolbox,
    ToolBroken,
    ToolError,
    ToolNothing,
    ToolTimeout,
    ToolUnavailable,
    Traits,
)
from toolformer.tool import FunctionTool, tool
from toolformer.worker import MAX_INPUT

QUICK = Traits(seconds=1.0)


def make(function: Callable[..., str], name: str = "Bad", traits: Traits = QUICK) -> FunctionTool:
    return tool(name=name, description="For this test.", traits=traits)(function)


def same(text: str) -> str:
    return text


def _raise(text: str) -> str:
    raise RuntimeError(f"cannot {text}")


def _none(text: str) -> str:
    return None  # type: ignore[return-value]


def _sleep(text: str) -> str:
    time.sleep(60)
    return text


def _spin(text: str) -> str:
    while True:
        pass


def _exit(text: str) -> str:
    os._exit(3)


def _print(text: str) -> str:
    print("noise" * 1000)
    os.write(1, b"noise" * 1000)
    return "quiet"


def _recurse(text: str) -> str:
    return _recurse(text)


def _hog(text: str) -> str:
    return "x" * len(bytearray(2_000_000_000))


@pytest.fixture
def good() -> FunctionTool:
    return make(lambda text: text.upper(), "Good")


@pytest.mark.parametrize(
    ("function", "kind", "reason"),
    [
        (_raise, ToolBroken, "Bad: RuntimeError: cannot go"),
        (_none, ToolBroken, "Bad: it returned NoneType instead of a str"),
        (_sleep, ToolTimeout, "Bad: no answer within 1 s"),
        (_spin, ToolTimeout, "Bad: no answer within 1 s"),
        (_exit, ToolBroken, "Bad: its worker process died .exit status 3"),
        (_recurse, ToolBroken, "Bad: RecursionError"),
        (lambda text: " \n ", ToolError, "Bad: the answer is empty"),
        (lambda text: sys.exit("bye"), ToolBroken, "Bad: SystemExit: bye"),
    ],
)
def test_a_failing_tool_is_one_error_and_harms_no_other(
    function: Callable[..., str], kind: type[ToolError], reason: str, good: FunctionTool
) -> None:
    with Toolbox([make(function), good]) as box:
        assert box.run("Good", "warm") == "WARM"
        with bounded(seconds=5, megabytes=5), pytest.raises(kind, match=reason):
            box.run("Bad", "go")
        assert box.run("Good", "still here") == "STILL HERE"
        with pytest.raises(kind, match=reason):
            box.run("Bad", "go")


HERE = Traits(in_process=True)


class OddError(ToolError):
    """Made in a way of its own."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"error {code} ({hint})")


class OddServerError(ToolUnavailable):
    def __init__(self) -> None:
        super().__init__("the server is asleep")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class MuteToolError(ToolError):
    def __str__(self) -> str:
        raise SystemExit("no words")


@pytest.mark.parametrize("traits", [HERE, QUICK], ids=["here", "worker"])
@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (lambda: OddError(3, hint="ask later"), ToolError, r"^Bad: error 3 \(ask later\)$"),
        (lambda: OddServerError(), ToolUnavailable, "^Bad: the server is asleep$"),
        (lambda: ToolTimeout("late"), ToolTimeout, "^Bad: late$"),
        (lambda: ToolNothing("nobody"), ToolNothing, "^Bad: nobody$"),
        (lambda: SystemExit(3), ToolBroken, "^Bad: SystemExit: 3$"),
        (lambda: asyncio.CancelledError("over"), ToolBroken, "^Bad: CancelledError: over$"),
        (lambda: GeneratorExit(), ToolBroken, "^Bad: GeneratorExit"),
        (lambda: MuteError(), ToolBroken, r"^Bad: MuteError: it gives no reason \(RuntimeError\)$"),
        (lambda: MuteToolError(), ToolError, r"^Bad: it gives no reason \(SystemExit\)$"),
    ],
)
def test_whatever_a_tool_raises_is_an_error_of_ours(
    error: Callable[[], BaseException], kind: type[ToolError], reason: str, traits: Traits
) -> None:
    def fails(text: str) -> str:
        if text == "work":
            return "done"
        raise error()

    with Toolbox([make(fails, traits=traits)]) as box:
        with pytest.raises(ToolError, match=reason) as caught:
            box.run("Bad", "go")
        assert type(caught.value) is kind
        assert box.run("Bad", "work") == "done"


def test_ctrl_c_is_the_main_threads_alone() -> None:
    def interrupts(text: str) -> str:
        raise KeyboardInterrupt

    with Toolbox([make(interrupts, traits=HERE)]) as box:
        with ThreadPoolExecutor(1) as pool, pytest.raises(ToolBroken, match="Bad: KeyboardInterrupt"):
            pool.submit(box.run, "Bad", "go").result()
        with pytest.raises(KeyboardInterrupt):
            box.run("Bad", "go")


def test_a_megabyte_is_cut() -> None:
    with Toolbox([make(lambda text: "word " * 200_000)]) as box, bounded(seconds=5, megabytes=5):
        result = box.run("Bad", "")
    assert len(result) <= 1_000
    assert result.endswith("word…")


def test_what_a_tool_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with Toolbox([make(_print)]) as box:
        assert box.run("Bad", "") == "quiet"
        assert box.run("Bad", "") == "quiet"
    assert capfd.readouterr().out == ""


def test_too_much_memory_is_refused_to_the_tool() -> None:
    with Toolbox([make(_hog, traits=Traits(memory_mb=500))]) as box, pytest.raises(ToolError, match="MemoryError"):
        box.run("Bad", "")


def test_a_fork_answers_once_and_dies_with_its_worker(tmp_path: Path) -> None:
    def forks(text: str) -> str:
        child = os.fork()
        if child == 0 and text == "sleep":
            time.sleep(60)
        if child:
            (tmp_path / "child").write_text(str(child))
        return text

    with Toolbox([make(forks)]) as box:
        assert [box.run("Bad", word) for word in ("a", "b", "sleep", "c")] == ["a", "b", "sleep", "c"]
        box.run("Bad", "sleep")
        child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(child)


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_that_somebody_kills_is_started_again() -> None:
    with Toolbox([make(lambda text: str(os.getpid()))]) as box:
        first = int(box.run("Bad", ""))
        assert int(box.run("Bad", "")) == first
        os.kill(first, 9)
        time.sleep(0.1)
        assert int(box.run("Bad", "")) != first


def test_a_warm_worker_is_quick() -> None:
    with Toolbox([make(lambda text: text)]) as box:
        box.run("Bad", "warm")
        start = time.perf_counter()
        for turn in range(100):
            assert box.run("Bad", str(turn)) == str(turn)
        assert (time.perf_counter() - start) / 100 < 0.01


def test_several_threads_share_the_workers() -> None:
    with Toolbox([make(lambda text: text * 2)], workers=2) as box:
        answers: dict[int, str] = {}
        threads = [
            threading.Thread(target=lambda n=n: answers.__setitem__(n, box.run("Bad", str(n)))) for n in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {n: str(n) * 2 for n in range(20)}


def test_a_tool_that_cannot_travel_says_what_to_do() -> None:
    lock = threading.Lock()

    def locked(text: str) -> str:
        with lock:
            return text

    with pytest.raises(ConfigError, match="cannot be sent to a worker process.*in_process=True"):
        Toolbox([make(locked)])
    assert Toolbox([make(locked, traits=Traits(in_process=True))]).run("Bad", "x") == "x"


def test_an_input_without_end_is_refused_unread() -> None:
    with pytest.raises(ToolError, match=r"1,000,000 characters; 10,000 are allowed"):
        Toolbox([make(lambda text: text, traits=Traits(in_process=True))]).run("Bad", "x" * 1_000_000)
    with Toolbox([make(lambda text: str(len(text)))]) as box:
        assert box.run("Bad", "\U0001f600" * MAX_INPUT) == str(MAX_INPUT)


def test_an_answer_is_one_clean_line() -> None:
    dirty = " a\r\n\tb\x00\x1b[31m\u202ec\ud800\ufeff\f "
    assert Toolbox([make(lambda text: dirty, traits=Traits(in_process=True))]).run("Bad", "") == "a b[31mc"
    with Toolbox([make(lambda text: dirty)]) as box:
        assert box.run("Bad", "").startswith("a b[31mc")


def test_an_unknown_name_is_answered_with_the_near_ones() -> None:
    box = Toolbox([make(same, "Calculator"), make(same, "Calendar")])
    with pytest.raises(
        ToolError, match=r"no tool is called 'calculater': did you mean Calculator.*Calculator, Calendar"
    ):
        box.run("calculater", "1")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Search", "Search"), ("Search", "search"), ("WikiSearch", "Wiki_Search"), ("Tool1", "Tooll"), ("Solo", "S0lo")],
)
def test_names_that_look_alike_are_refused(one: str, other: str) -> None:
    with pytest.raises(ConfigError, match="two tools (have one name|look alike)"):
        Toolbox([make(same, one), make(same, other)])


def test_what_is_no_tool_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no tool: it needs a name"):
        Toolbox([str.upper])  # type: ignore[list-item]


@dataclass(frozen=True)
class DayTool:
    """A tool that knows its document's date."""

    day: datetime.date | None = None
    name: str = "Day"
    description: str = "The day."
    traits: Traits = Traits(in_process=True)

    def __call__(self, text: str, /) -> str:
        return str(self.day)

    def bind(self, facts: DocumentFacts) -> Tool:
        return DayTool(facts.date)


def test_a_bound_toolbox_knows_the_document() -> None:
    with Toolbox([DayTool(), make(lambda text: str(os.getpid()))]) as box:
        bound = box.bind(DocumentFacts(date=datetime.date(2021, 5, 6)))
        assert (box.run("Day", ""), bound.run("Day", "")) == ("None", "2021-05-06")
        assert bound.run("Bad", "") == box.run("Bad", "")  # one worker serves both


@dataclass(frozen=True)
class Undated(DayTool):
    """A tool that does not take every document."""

    def bind(self, facts: DocumentFacts) -> Tool:
        if facts.date is None:
            raise ToolError("the text has no date")
        raise LookupError(f"no calendar of {facts.date.year}")


def test_a_tool_that_cannot_be_bound_fails_when_it_is_called(good: FunctionTool) -> None:
    with Toolbox([Undated(), good]) as box:
        dated, undated = box.bind(DocumentFacts(date=datetime.date(2021, 5, 6))), box.bind(DocumentFacts())
        with pytest.raises(ToolBroken, match="Day: LookupError: no calendar of 2021"):
            dated.run("Day", "")
        with pytest.raises(ToolError, match="Day: the text has no date") as told:
            undated.run("Day", "")
        assert type(told.value) is ToolError
        assert dated.run("Good", "a") == "A"


def test_a_tool_that_cannot_say_its_traits_is_refused_at_once() -> None:
    class Odd:
        name = "Day"
        description = "The day."

        @property
        def traits(self) -> Traits:
            raise LookupError("no settings")

        def __call__(self, text: str, /) -> str:
            return text

    with pytest.raises(ConfigError, match=r"tool Day cannot say its traits \(LookupError: no settings\)"):
        Toolbox([Odd()])


@pytest.fixture
def counted() -> tuple[list[str], Callable[[str], FunctionTool]]:
    asked: list[str] = []

    def count(text: str) -> str:
        asked.append(text)
        if text == "fail":
            raise ToolError("not today")
        return f"{len(asked)}"

    return asked, lambda version: make(count, "Count", Traits(version=version, in_process=True, remember=True))


def test_answers_are_remembered_per_version_and_failures_never(
    counted: tuple[list[str], Callable[[str], FunctionTool]], tmp_path: Path
) -> None:
    asked, counting = counted
    for _ in range(2):
        memory = ResultMemory(tmp_path / "memory.sqlite")
        assert Toolbox([counting("1")], memory=memory).run("Count", "x\ud800") == "1"
        memory.close()
    memory = ResultMemory(tmp_path / "memory.sqlite")
    assert Toolbox([counting("2")], memory=memory).run("Count", "x\ud800") == "2"
    for _ in range(2):
        with pytest.raises(ToolError, match="Count: not today"):
            Toolbox([counting("1")], memory=memory).run("Count", "fail")
    memory.close()
    assert asked == ["x\ud800", "x\ud800", "fail", "fail"]


def test_a_file_that_is_no_memory_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "memory.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match="is no memory of tool results"):
        ResultMemory(tmp_path / "memory.sqlite")
