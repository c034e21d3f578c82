"""What does the tool answer? Calls run in threads beside the model, equal calls once, in the order they came.

A toolbox bounds what a tool can do; here only the waiting is organised. A tool that is bound to documents (a calendar)
answers for the document the call stands in.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from toolformer.calls import CallSyntax
from toolformer.data_gen.records import Candidate, Rejected
from toolformer.errors import CallFormatError, ToolError
from toolformer.tool import Bindable, DocumentFacts
from toolformer.toolbox import Toolbox

UNWRITABLE = "unwritable"
"""The kind of a result that cannot stand in a text: it looks like a part of a call."""


class Executor:
    """Runs calls of a toolbox in a few threads. Use it in a `with` statement, which waits for them unless it failed."""

    def __init__(self, toolbox: Toolbox, threads: int = 4) -> None:
        self._toolbox = toolbox
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="tool")
        self._running: dict[tuple[str, str, DocumentFacts | None], Future[str]] = {}
        self._waiting: list[tuple[Candidate, Future[str]]] = []

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._threads.shutdown(wait=kind is None, cancel_futures=True)

    def start(self, candidates: Iterable[Candidate]) -> None:
        """Let the tools run, each call as soon as it is there, while the next are made."""
        self._waiting += ((candidate, self._submit(candidate)) for candidate in candidates)

    def _submit(self, candidate: Candidate) -> Future[str]:
        call, facts = candidate.call, candidate.place.text.document.facts
        bound = isinstance(self._toolbox[call.tool], Bindable)
        key = (call.tool, call.input, facts if bound else None)
        if key not in self._running:
            toolbox = self._toolbox.bind(facts) if bound else self._toolbox
            self._running[key] = self._threads.submit(toolbox.run, call.tool, call.input)
        return self._running[key]

    def finish(self, syntax: CallSyntax, rejected: list[Rejected]) -> list[Candidate]:
        """All candidates with their results, waited for; those that have none are rejected with the reason."""
        executed: list[Candidate] = []
        for candidate, future in self._waiting:
            call = candidate.call
            try:
                call = replace(call, result=future.result())
                syntax.format(call)
                executed.append(replace(candidate, call=call))
            except (ToolError, CallFormatError) as error:
                kind = error.kind if isinstance(error, ToolError) else UNWRITABLE
                rejected.append(Rejected(candidate.place, "execute", str(error), call, kind=kind))
        self._waiting = []
        return executed
