"""A block of code that has to stay within a time and within some memory."""

import resource
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bounded(seconds: float, megabytes: float) -> Iterator[None]:
    """Fails if the block takes longer, or if Python's memory grows by more in it."""
    tracemalloc.start()
    start = time.monotonic()
    try:
        yield
        took = time.monotonic() - start
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took < seconds, f"took {took:.2f} s; {seconds} are allowed"
    assert peak < megabytes * 2**20, f"took {peak / 2**20:.1f} MB; {megabytes} are allowed"


def cpu_seconds(*command: str) -> float:
    """What a command costs in processor time, at the least of three runs: other work on the machine hardly shows."""
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(took)
