"""The same texts annotated by each engine: `python -m tests.bench_engines CORPUS [--model smollm2] [--texts 200]`.

Rules propose calls of the Calculator. The thresholds are found once, on the first texts, and given to all engines. One
process has one thread; every other engine has two workers of one thread each: those of `annotate` share a process, the
others have one each. Each engine begins in a new process, twice: with a text for each worker, which is its start-up
(Python, libraries, models, a Ray of its own), and with all texts. Documents a second are those of the second run, but
for these texts, in its time without that of the first. Times are of the clock: let nothing else run.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from toolformer.data_gen import AnnotatedFolder, Document, annotate, merge_parts, read_corpus
from toolformer.tools.calculator import Calculator

WORKERS = 2
SHARD = 8
"""Texts that go through a model together."""
FIRST = 100
"""Texts on which the thresholds are found, at most."""
ONE = "one"


@dataclass(frozen=True)
class Job:
    """What an engine is to do."""

    corpus: Path
    """A folder with a file of texts for each worker."""
    out: Path
    """The folder to write, for `AnnotatedFolder`."""
    model: str
    thresholds: Path

    @property
    def settings(self) -> dict[str, Any]:
        """What all engines are told alike."""
        return {"model": self.model, "sampler": "rules"}


def by_annotate(job: Job, workers: int) -> None:
    """`annotate` itself."""
    more: dict[str, Any] = {"workers": workers, "shard_size": SHARD, "thresholds": job.thresholds}
    annotate(job.corpus, [Calculator()], job.out, **more, **job.settings)


def by_datatrove(job: Job) -> None:
    """A datatrove pipeline under its local executor, with a task for each worker."""
    from datatrove.executor import LocalPipelineExecutor

    logs = str(job.out.with_name("logs"))
    executor = LocalPipelineExecutor(_steps(job), tasks=WORKERS, workers=WORKERS, logging_dir=logs, start_method="fork")
    executor.run()
    _join_tasks(job)


def by_datatrove_on_ray(job: Job) -> None:
    """The same pipeline under its Ray executor."""
    from datatrove.executor.ray import RayPipelineExecutor

    from tests.unit.test_ray import start_ray

    start_ray(tries=5)
    logs = str(job.out.with_name("logs"))
    RayPipelineExecutor(_steps(job), tasks=WORKERS, workers=WORKERS, mem_per_cpu_gb=0.1, logging_dir=logs).run()
    _join_tasks(job)


def by_ray_data(job: Job) -> None:
    """Ray Data, with an actor for each worker."""
    import ray
    from ray.data import ActorPoolStrategy

    from tests.unit.test_ray import start_ray
    from toolformer.data_gen.ray import Annotate

    start_ray(tries=5)
    done = ray.data.read_json([str(file) for file in sorted(job.corpus.iterdir())]).map_batches(
        Annotate,
        fn_constructor_args=[[Calculator()]],
        fn_constructor_kwargs={"thresholds": str(job.thresholds), **job.settings},
        batch_format="pyarrow",
        batch_size=SHARD,
        compute=ActorPoolStrategy(size=WORKERS),
        num_cpus=0.5,
    )
    rows = sorted(done.take_all(), key=lambda row: str(row["id"]))
    if wrong := [row["error"] for row in rows if row["error"] is not None]:
        raise SystemExit(f"{len(wrong)} texts could not be annotated: {wrong[0]}")
    _write_rows(job.out / "kept" / "00000.jsonl", rows)


ENGINES: dict[str, Callable[[Job], None]] = {
    ONE: partial(by_annotate, workers=1),
    "workers": partial(by_annotate, workers=WORKERS),
    "datatrove": by_datatrove,
    "datatrove-ray": by_datatrove_on_ray,
    "ray-data": by_ray_data,
}


def _steps(job: Job) -> list[Any]:
    from datatrove.pipeline.readers import JsonlReader

    from toolformer.data_gen.datatrove import Annotate

    parts, thresholds = str(job.out.with_name("parts")), str(job.thresholds)
    step = Annotate(parts, [Calculator()], shard_size=SHARD, thresholds=thresholds, **job.settings)
    return [JsonlReader(str(job.corpus)), step]


def _join_tasks(job: Job) -> None:
    """One folder of those of all tasks; a task that was given up makes it raise."""
    merge_parts([job.out.with_name("parts") / f"{number:05d}" for number in range(WORKERS)], job.out)


def _write_rows(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def write_texts(documents: Sequence[Document], folder: Path) -> Path:
    """The texts as a file for each worker."""
    for number in range(WORKERS):
        texts = documents[number::WORKERS]
        _write_rows(folder / f"{number}.jsonl", ({"id": one.id, "text": one.text} for one in texts))
    return folder


def seconds(engine: str, job: Job) -> float:
    """How long an engine takes in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=ENGINES[engine], args=(job,))
    begun = time.monotonic()
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{engine} ended with {process.exitcode}: what it said is above")
    return time.monotonic() - begun


def likeness(out: Path, one: Path) -> str:
    """How what an engine kept is like what one process kept."""
    here, there = (b"".join(file.read_bytes() for file in sorted(place.glob("kept/*.jsonl"))) for place in (out, one))
    if here == there:
        return "the same bytes"
    ours, theirs = (
        {text.id: (text.annotated, text.calls) for text in AnnotatedFolder(place).kept()} for place in (out, one)
    )
    if ours == theirs:
        return "the same, in another order"
    differ = sum(ours.get(name) != theirs.get(name) for name in ours.keys() | theirs.keys())
    return f"{differ} of {len(theirs)} differ"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the engines one after the other, and print a line of a table for each."""
    parser = argparse.ArgumentParser(description="The same texts annotated by each engine.")
    parser.add_argument("corpus", help="what `toolformer annotate` reads")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--engines", default=",".join(ENGINES), help="of %(default)s; `one` always runs, and first")
    chosen = parser.parse_args(arguments)
    names = [ONE, *(name for name in chosen.engines.split(",") if name != ONE)]
    if unknown := [name for name in names if name not in ENGINES]:
        parser.error(f"there is no engine {unknown[0]!r}: {', '.join(ENGINES)}")
    # Read by torch where it is imported: in the processes that are started from here.
    os.environ["OMP_NUM_THREADS"] = "1"
    documents = [*read_corpus(chosen.corpus, limit=chosen.texts)]
    print("| engine | start-up | all texts | documents/s | over one process | kept texts and calls |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        first, few, all_ = (
            write_texts(some, place / name)
            for name, some in (("first", documents[:FIRST]), ("few", documents[:WORKERS]), ("all", documents))
        )
        thresholds = place / "thresholds"
        settings = Job(first, thresholds, chosen.model, thresholds).settings
        annotate(first, [Calculator()], thresholds, shard_size=SHARD, **settings)
        alone = 0.0
        for name in names:
            jobs = [Job(texts, place / name / texts.name / "out", chosen.model, thresholds) for texts in (few, all_)]
            start, whole = (seconds(name, job) for job in jobs)
            # On a machine with other work, few texts may take less time than starting did: nothing is known then.
            rate = (len(documents) - WORKERS) / (whole - start) if whole > start else float("nan")
            alone = alone or rate
            like = likeness(jobs[1].out, place / ONE / "all" / "out")
            print(f"| {name} | {start:.1f} s | {whole:.1f} s | {rate:.2f} | {rate / alone:.2f} | {like} |", flush=True)


if __name__ == "__main__":
    main()
