"""Several workers: the same bytes, in the same order, and nothing taken too far ahead."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_annotator import PAPER, paper_model
from tests.unit.test_run import content, documents
from toolformer import ConfigError, Toolbox
from toolformer.data_gen import annotate
from toolformer.data_gen.method import PAPER as AS_PAPER
from toolformer.data_gen.method import Method
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.shards import Progress, run
from toolformer.data_gen.workers import in_order
from toolformer.tools.calculator import Calculator


@pytest.mark.parametrize("workers", [1, 2, 3, 50])
def test_results_come_in_order_and_no_worker_has_two_tasks(workers: int) -> None:
    busy = [threading.Lock() for _ in range(workers)]
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(1, 41):
            taken.append(task)
            yield task

    def work(worker: int, task: int) -> int:
        assert busy[worker].acquire(blocking=False)
        time.sleep(0.002 * (task % 3))
        busy[worker].release()
        return task

    for number, result in enumerate(in_order(range(workers), tasks(), work), 1):
        assert result == number
        assert len(taken) <= number + workers


@pytest.mark.parametrize("workers", [1, 3])
def test_a_failure_ends_it_in_its_turn(workers: int) -> None:
    def work(worker: int, task: int) -> int:
        if task == 5:
            raise ValueError("five")
        return task

    results = in_order(range(workers), iter(range(1_000_000)), work)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="five"):
        next(results)


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("method", [Method(), AS_PAPER], ids=["default", "paper"])
def test_what_is_written_is_the_same_for_any_number(tmp_path: Path, method: Method, workers: int) -> None:
    def written(folder: Path, number: int) -> dict[str, bytes]:
        with Toolbox([Calculator()]) as box:
            annotators = [Annotator(paper_model(), box, [PAPER], method) for _ in range(number)]
            for resumed in (0, 30):
                progress = Progress()
                run(annotators, documents(30), folder, {}, progress, shard_size=4)
                assert (progress.documents, progress.resumed) == (30, resumed)
        return content(folder)

    assert written(tmp_path / "several", workers) == written(tmp_path / "one", 1)


def test_a_ready_model_is_one_worker(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers=2: .* name the models"):
        annotate(documents(), [Calculator()], tmp_path, model=paper_model(), lessons=[PAPER], workers=2)
    with pytest.raises(ConfigError, match="workers=0: one at least"):
        annotate(documents(), [Calculator()], tmp_path, workers=0)
