"""A tool in a process of its own, which is killed when a call takes too long.

Threads cannot be stopped; processes can. The parent sends the tool once (cloudpickle, so that functions from a notebook
work too) and then one input at a time; it reads answers as plain bytes and unpickles nothing that a tool has touched.
The worker leads its own process group: killing it takes along what the tool has started, except what has deliberately
left the group. It is no sandbox: a tool can read files and open sockets as the user can.
"""

import contextlib
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from typing import BinaryIO

from toolformer.errors import TOOL_ERRORS, ConfigError, ToolBroken, ToolError, ToolTimeout, plain_tool_error
from toolformer.tool import Tool, traits_of

MAX_INPUT = 10_000
"""Characters in an input at most. A request this long still fits a pipe, so that sending it can never block."""

STARTUP_SECONDS = 60.0
"""How long a new worker may take to import what its tool needs: that time is not the call's."""

_REASON = 1_000
"""Characters in the reason of a failure at most."""

_HEADER = struct.Struct(">IBI")  # number of the request, status, length of the text that follows
_REQUEST = struct.Struct(">IdI")  # number of the request, seconds, length of the text that follows
_READY, _ANSWER, _FAILURE = 0, 1, 2
"""The statuses. From the last one on, each stands for a kind of failure, in the order of TOOL_ERRORS."""


class Worker:
    """One tool behind one process, started at the first call and again after it had to be killed."""

    def __init__(self, tool: Tool) -> None:
        self._traits = traits_of(tool)
        self._process: subprocess.Popen[bytes] | None = None
        self._stop: weakref.finalize[..., Worker] | None = None
        self._number = 0
        import cloudpickle  # not light, and only needed where there is a worker

        try:
            self._pickled = cloudpickle.dumps((tool, self._traits.memory_mb, self._traits.chars))
        except Exception as error:  # pickling runs the tool's own code, which may raise anything
            raise ConfigError(
                f"tool {tool.name} cannot be sent to a worker process ({type(error).__name__}: {error}). If it bounds "
                "its own time and memory, give it traits=Traits(in_process=True)"
            ) from error

    def ask(self, text: str) -> str:
        """The tool's answer, or a ToolError. Not for several threads at once."""
        try:
            process = self._running()
            self._number += 1
            payload = text.encode("utf-8", "surrogatepass")
            _write(process, _REQUEST.pack(self._number, self._traits.seconds, len(payload)) + payload)
            status, answer = self._receive(process, self._traits.seconds)
        except BaseException:
            # Whatever went wrong, Ctrl-C included: an answer may still be on its way, and must not meet the next call.
            self.close()
            raise
        if status >= _FAILURE:
            raise TOOL_ERRORS[status - _FAILURE](answer)
        return answer

    def close(self) -> None:
        """Kill the worker, if there is one. The next call starts another."""
        if self._stop is not None:
            self._stop()
            self._process = self._stop = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from toolformer.worker import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
        self._process, self._stop = process, weakref.finalize(self, _kill, process)
        _write(process, struct.pack(">I", len(self._pickled)) + self._pickled)
        self._number = 0
        status, message = self._receive(process, STARTUP_SECONDS)
        if status != _READY:
            raise ToolBroken(f"its worker process could not load it: {message}")
        return process

    def _receive(self, process: subprocess.Popen[bytes], seconds: float) -> tuple[int, str]:
        """The status and text that answer the request in hand."""
        deadline = time.monotonic() + seconds
        number, status, length = _HEADER.unpack(_read(process, _HEADER.size, deadline, seconds))
        strange = status >= _FAILURE + len(TOOL_ERRORS)
        if strange or number != self._number or length > _most_bytes(self._traits.chars):
            raise ToolBroken("its worker process sent something that is no answer")
        return status, _read(process, length, deadline, seconds).decode("utf-8", "replace")


def _most_bytes(chars: int) -> int:
    """How long an honest reply can be: what is sent of an answer, or a reason, in UTF-8."""
    return 4 * max(2 * chars, _REASON)


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    try:
        view = memoryview(data)
        while view:
            view = view[process.stdin.write(view) :]
    except BrokenPipeError:
        raise ToolBroken(_death(process)) from None


def _read(process: subprocess.Popen[bytes], size: int, deadline: float, seconds: float) -> bytes:
    assert process.stdout is not None
    poll, data = select.poll(), b""
    poll.register(process.stdout, select.POLLIN)
    while len(data) < size:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise ToolTimeout(f"no answer within {seconds:g} s")
        chunk = os.read(process.stdout.fileno(), size - len(data))
        if not chunk:
            raise ToolBroken(_death(process))
        data += chunk
    return data


def _death(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return "its worker process closed its output"
    return f"its worker process died ({f'signal {-code}' if code < 0 else f'exit status {code}'})"


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # it and all its children may be gone already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def answer(tool: Tool, text: str) -> str:
    """What the tool says, with every failure as a ToolError of ours: the one place where foreign code is called."""
    try:
        result = tool(text)
    except ToolError as error:
        raise plain_tool_error(error, _said(error)) from error.__cause__
    except BaseException as error:  # a tool is anyone's code: it may raise anything, or mean to end the program
        _stop_if_asked(error)
        raise ToolBroken(f"{type(error).__name__}: {_said(error)[:500]}") from error
    if not isinstance(result, str):
        raise ToolBroken(f"it returned {type(result).__name__} instead of a str")
    return result


def _said(error: BaseException) -> str:
    """An error's text, up to 1,000 characters of it."""
    try:
        return str(error)[:_REASON]
    except BaseException as wrong:  # noqa: BLE001 - the error is a tool's own, and so is what makes a text of it
        _stop_if_asked(wrong)
        return f"it gives no reason ({type(wrong).__name__})"


def _stop_if_asked(error: BaseException) -> None:
    """Go on with an error that is Ctrl-C: that reaches the main thread, and no other."""
    if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error


def serve() -> None:
    """The worker's side: load the tool, then answer until the parent closes the pipe."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    # The tool's own prints and reads must not meet the pipes.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    import cloudpickle

    (size,) = struct.unpack(">I", requests.read(4))
    try:
        tool, memory_mb, chars = cloudpickle.loads(requests.read(size))  # from our own parent
    except Exception as error:  # noqa: BLE001 - loading runs the tool's module, which may raise anything
        _reply(replies, 0, _FAILURE, f"{type(error).__name__}: {str(error)[:500]}")
        return
    if memory_mb is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    _reply(replies, 0, _READY, "")
    _answer_all(tool, chars, requests, replies)


def _answer_all(tool: Tool, chars: int, requests: BinaryIO, replies: BinaryIO) -> None:
    worker = os.getpid()
    while header := requests.read(_REQUEST.size):
        number, seconds, size = _REQUEST.unpack(header)
        text = requests.read(size).decode("utf-8", "surrogatepass")
        # Should the parent die in mid-call, nobody is left to kill this process: the alarm's default action does.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds + 1.0)
        try:
            status, reply = _ANSWER, answer(tool, text)[: 2 * chars]  # enough for Toolbox to clean and cut
        except ToolError as error:
            status, reply = _FAILURE + TOOL_ERRORS.index(type(error)), str(error)[:_REASON]
        signal.setitimer(signal.ITIMER_REAL, 0)
        if os.getpid() != worker:
            os._exit(0)  # a child that the tool has forked; only one of the two may answer
        _reply(replies, number, status, reply)


def _reply(replies: BinaryIO, number: int, status: int, text: str) -> None:
    data = text.encode("utf-8", "replace")
    replies.write(_HEADER.pack(number, status, len(data)) + data)
