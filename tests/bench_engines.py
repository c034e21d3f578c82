"""The same texts annotated by one process, two workers, datatrove, datatrove on Ray, and Ray Data: who takes how long,
and do all keep the same?

    python -m tests.bench_engines CORPUS --model smollm2 --texts 200

Each engine runs in a process of its own, whose parts have one thread each, twice: with all texts, and with two. The
second time is what starting costs, and is taken off. Rules propose calls of the Calculator, by the lesson's threshold.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from toolformer.data_gen import AnnotatedFolder, Method, annotate, merge_parts
from toolformer.tools.calculator import Calculator

PARTS = 2
"""Processes, threads or actors that share the work, and files that the corpus is cut into for them."""
METHOD = Method(filtering_threshold="lesson")
Kept = list[tuple[str, str]]
"""The ids of the texts that kept calls, and what they are with them."""


def one(corpus: Path, model: str, out: Path) -> Kept:
    """`annotate`, in this process."""
    return _annotated(corpus, model, out, workers=1)


def workers(corpus: Path, model: str, out: Path) -> Kept:
    """`annotate` with several workers."""
    return _annotated(corpus, model, out, workers=PARTS)


def datatrove(corpus: Path, model: str, out: Path) -> Kept:
    """datatrove's executor of this machine, a task for each file."""
    from datatrove.executor import LocalPipelineExecutor

    pipeline, logs = _pipeline(corpus, model, out), str(out / "logs")
    LocalPipelineExecutor(pipeline, tasks=PARTS, workers=PARTS, logging_dir=logs, start_method="fork").run()
    return _of(merge_parts([out / "tasks" / f"{rank:05d}" for rank in range(PARTS)], out / "merged"))


def datatrove_ray(corpus: Path, model: str, out: Path) -> Kept:
    """datatrove's executor for Ray, on a Ray of this machine."""
    from datatrove.executor.ray import RayPipelineExecutor

    _start_ray()
    pipeline, logs = _pipeline(corpus, model, out), str(out / "logs")
    RayPipelineExecutor(pipeline, tasks=PARTS, workers=PARTS, logging_dir=logs).run()
    return _of(merge_parts([out / "tasks" / f"{rank:05d}" for rank in range(PARTS)], out / "merged"))


def ray_data(corpus: Path, model: str, out: Path) -> Kept:
    """Actors of Ray Data."""
    import ray
    from ray.data import ActorPoolStrategy

    from toolformer.data_gen.ray import Annotate

    _start_ray()
    done = ray.data.from_items(_rows(corpus)).map_batches(
        Annotate,
        fn_constructor_args=[[Calculator()]],
        fn_constructor_kwargs={"model": model, "sampler": "rules", "method": METHOD},
        batch_format="pyarrow",
        batch_size=32,
        compute=ActorPoolStrategy(size=PARTS),
        num_cpus=1,
    )
    return sorted((row["id"], row["annotated"]) for row in done.take_all())


ENGINES: dict[str, Callable[[Path, str, Path], Kept]] = {
    "one": one,
    "workers": workers,
    "datatrove": datatrove,
    "datatrove-ray": datatrove_ray,
    "ray-data": ray_data,
}


def _annotated(corpus: Path, model: str, out: Path, workers: int) -> Kept:
    settings: dict[str, Any] = {"sampler": "rules", "method": METHOD, "shard_size": 32}
    annotate(corpus, [Calculator()], out / "run", model=model, workers=workers, **settings)
    return _of(AnnotatedFolder(out / "run"))


def _pipeline(corpus: Path, model: str, out: Path) -> list[Any]:
    from datatrove.pipeline.readers import JsonlReader

    from toolformer.data_gen.datatrove import Annotate

    files, rows = out / "files", _rows(corpus)
    files.mkdir(parents=True)
    for number in range(PARTS):
        lines = (json.dumps(row) + "\n" for row in rows[number::PARTS])
        (files / f"{number}.jsonl").write_text("".join(lines), "utf-8")
    step = Annotate(str(out / "tasks"), [Calculator()], model=model, sampler="rules", method=METHOD, shard_size=32)
    return [JsonlReader(str(files)), step]


def _start_ray() -> None:
    import ray

    # More than there are: reading and writing take some.
    environment = {"env_vars": {"OMP_NUM_THREADS": "1"}}
    ray.init(address="local", num_cpus=6, include_dashboard=False, log_to_driver=False, runtime_env=environment)


def _of(folder: AnnotatedFolder) -> Kept:
    return sorted((text.id, text.annotated) for text in folder.kept())


def _rows(corpus: Path) -> list[dict[str, str]]:
    rows = map(json.loads, corpus.read_text("utf-8").splitlines())
    return [{"id": row["id"], "text": row["text"]} for row in rows]


def table(corpus: Path, model: str, count: int, engines: Sequence[str]) -> Iterator[str]:
    """A line for each engine, as it is done."""
    yield "| engine | start, s | annotating, s | texts/s | over one process | keeps the same |"
    yield "|---|---|---|---|---|---|"
    first: tuple[float, Kept] | None = None
    for engine in engines:
        start, _ = _timed(corpus, model, 2, engine)
        took, kept = _timed(corpus, model, count, engine)
        took = max(took - start, 1e-3)
        first = first or (took, kept)
        same = f"{'yes' if kept == first[1] else 'no'}, {len(kept)} texts"
        yield f"| {engine} | {start:.1f} | {took:.1f} | {count / took:.2f} | {first[0] / took:.2f} | {same} |"


def _timed(corpus: Path, model: str, count: int, engine: str) -> tuple[float, Kept]:
    """Seconds by the clock of an engine in a new process, and what it kept."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lines = corpus.read_text("utf-8").splitlines(keepends=True)[:count]
        (place / "corpus.jsonl").write_text("".join(lines), "utf-8")
        command = [sys.executable, "-m", "tests.bench_engines", str(place / "corpus.jsonl"), "--model", model]
        begun = time.monotonic()
        done = subprocess.run(
            [*command, "--as", engine, "--out", folder],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{engine} failed:\n{done.stderr[-2000:]}")
        kept = json.loads((place / "kept.json").read_text("utf-8"))
        return time.monotonic() - begun, [(name, text) for name, text in kept]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The same texts annotated by several engines.")
    parser.add_argument("corpus", type=Path, help="lines of JSON with an id and a text")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--engines", default=",".join(ENGINES), help="some of them, with commas (default: %(default)s)")
    parser.add_argument("--as", choices=[*ENGINES], dest="engine", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.engine is None:
        for line in table(chosen.corpus, chosen.model, chosen.texts, chosen.engines.split(",")):
            print(line, flush=True)
        return
    kept = ENGINES[chosen.engine](chosen.corpus, chosen.model, chosen.out)
    (chosen.out / "kept.json").write_text(json.dumps(kept), "utf-8")


if __name__ == "__main__":
    main()
