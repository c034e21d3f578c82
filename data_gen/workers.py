"""Several shards at a time, each with a model of its own, and their results in the shards' order.

Threads, not processes: what takes time happens in torch, in tools' processes or behind a server, all outside of
Python's lock. What comes out of a shard depends on the shard alone, so it does not matter who worked on it.
"""

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Worker = TypeVar("Worker")
Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(
    workers: Sequence[Worker], tasks: Iterable[Task], work: Callable[[Worker, Task], Result]
) -> Iterator[Result]:
    """The result of each task, in the tasks' order. No worker has two tasks at a time; few tasks are taken ahead."""
    if len(workers) == 1:
        for task in tasks:
            yield work(workers[0], task)
        return
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def with_one(task: Task) -> Result:
        worker = idle.get()
        try:
            return work(worker, task)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(len(workers), thread_name_prefix="shard")
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(with_one, task))
            if len(waiting) > len(workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Whoever stops in the middle does not wait: the results are nobody's.
        pool.shutdown(wait=False, cancel_futures=True)
