"""Several processes that train one model on one machine: each takes a share of a step's batches.

Two processes with one thread each are about twice as fast as one with two threads: most operations are too small to be
worth sharing out. All of them make the same data and the same step, so only gradients are exchanged. Not for several
machines, and not for GPUs: one is enough for this model.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

import torch
from torch import distributed, multiprocessing


def start(workers: int, work: Callable[[], None]) -> None:
    """Do the work in so many processes at once, and come back when all are done; an error in one ends the others."""
    if workers == 1:
        work()
        return
    with _jemalloc(), tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        multiprocessing.spawn(_work, (workers, meeting, work), nprocs=workers)  # type: ignore[no-untyped-call, attr-defined]


@contextmanager
def _jemalloc() -> Iterator[None]:
    """Processes that start within the block use jemalloc, where it is installed.

    Batches of many shapes leave glibc's heap in pieces: after some minutes it takes 40% of the time. Memory is given
    back after some seconds, since jemalloc grows to many gigabytes if it never is.
    """
    before = dict(os.environ)
    if "LD_PRELOAD" not in before:
        if library := find_library("jemalloc"):
            os.environ |= {"LD_PRELOAD": library, "MALLOC_CONF": "dirty_decay_ms:8000,muzzy_decay_ms:8000"}
        else:
            print("jemalloc is not installed (Debian: libjemalloc2): this may take up to twice as long", flush=True)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def _work(rank: int, workers: int, meeting: str, work: Callable[[], None]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    try:
        work()
    finally:
        distributed.destroy_process_group()


def place() -> tuple[int, int]:
    """Which of how many processes this is."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def wait() -> None:
    """Until all have come here."""
    if distributed.is_initialized():
        distributed.barrier()


def add_up(parameters: Sequence[torch.nn.Parameter], value: float) -> float:
    """Give every process the sum of all gradients; return the sum of the values."""
    if not distributed.is_initialized():
        return value
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor([value])])
    distributed.all_reduce(flat)
    pieces = torch.split(flat[:-1], [gradient.numel() for gradient in gradients])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.grad = piece.view_as(parameter)
    return float(flat[-1])
