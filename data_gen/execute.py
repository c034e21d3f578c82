"""What does the tool answer? Calls run in threads beside the model, equal calls once, in the order they came.

A toolbox bounds what a tool can do; here only the waiting is organised. A tool that is bound to documents (a calendar)
answers for the document the call stands in.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from toolformer.calls import CallSyntax
from toolformer.data_gen.records import Candidate, Executed, Rejected
from toolformer.errors import CallFormatError, ToolError
from toolformer.tool import Bindable, DocumentFacts
from toolformer.toolbox import Toolbox

AHEAD = 10_000
"""Calls that may wait for their answers before the model has to wait too."""


class Executor:
    """Runs calls of a toolbox in a few threads. Use it in a `with` statement, which waits for them unless it failed."""

    def __init__(self, toolbox: Toolbox, threads: int = 4) -> None:
        self._toolbox = toolbox
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="tool")

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._threads.shutdown(wait=kind is None, cancel_futures=True)

    def execute(self, candidates: Iterable[Candidate | Rejected], syntax: CallSyntax) -> Iterator[Executed | Rejected]:
        """Every candidate with its result, or why there is none. The tools run while the next candidates are made."""
        waiting: deque[Rejected | tuple[Candidate, Future[str]]] = deque()
        running: dict[tuple[str, str, DocumentFacts | None], Future[str]] = {}
        for candidate in candidates:
            if isinstance(candidate, Rejected):
                waiting.append(candidate)
            else:
                waiting.append((candidate, self._submit(candidate, running)))
            if len(waiting) > AHEAD:
                yield _answered(waiting.popleft(), syntax)
        for one in waiting:
            yield _answered(one, syntax)

    def _submit(
        self, candidate: Candidate, running: dict[tuple[str, str, DocumentFacts | None], Future[str]]
    ) -> Future[str]:
        call, facts = candidate.call, candidate.place.text.document.facts
        bound = isinstance(self._toolbox[call.tool], Bindable)
        key = (call.tool, call.input, facts if bound else None)
        if key not in running:
            toolbox = self._toolbox.bind(facts) if bound else self._toolbox
            running[key] = self._threads.submit(toolbox.run, call.tool, call.input)
        return running[key]


def _answered(waiting: Rejected | tuple[Candidate, Future[str]], syntax: CallSyntax) -> Executed | Rejected:
    """The call with its result, waited for."""
    if isinstance(waiting, Rejected):
        return waiting
    candidate, future = waiting
    try:
        call = replace(candidate.call, result=future.result())
        syntax.format(call)
    except ToolError as error:
        return Rejected(candidate.place, "execute", str(error), candidate.call)
    except CallFormatError as error:
        return Rejected(candidate.place, "execute", str(error), call)
    return Executed(candidate.place, call)
