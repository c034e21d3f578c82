"""How long a BM25 index takes to build and to ask: `python tests/bench_index.py PASSAGES [DENSE_MODEL]`.

Prints one line each. The queries are the beginnings of passages' second sentences, so they are as long as questions
and find something. Other work on the machine shows: repeat it.
"""

import sys
import tempfile
import time
from pathlib import Path

from toolformer.tools.index_build import build_index
from toolformer.tools.passages_file import read_passages
from toolformer.tools.search_index import SearchIndex


def main(passages: Path, model: str | None = None) -> None:
    queries: list[str] = []
    for number, passage in enumerate(read_passages(passages)):
        if number % 25 == 0 and len(queries) < 1_000:
            _, _, rest = passage.text.partition(". ")
            queries.append(" ".join((rest or passage.text).split()[:10]))
    with tempfile.TemporaryDirectory() as folder:
        start, busy = time.perf_counter(), time.process_time()
        manifest = build_index(passages, Path(folder) / "index", model)
        wall, busy = time.perf_counter() - start, time.process_time() - busy
        size = sum(file.bytes for file in manifest.files.values()) / 1e6
        print(f"build: {manifest.passages:,} passages in {wall:.1f} s ({busy:.1f} s of processor), {size:.0f} MB")
        for verify in (False, True):
            start = time.perf_counter()
            index = SearchIndex.open(Path(folder) / "index", verify=verify)
            print(f"open{' and verify' if verify else ''}: {(time.perf_counter() - start) * 1e3:.0f} ms")
        for name, clock in (("wall", time.perf_counter), ("processor", time.process_time)):
            times = []
            for query in queries:
                start = clock()
                index.search(query, 5)
                times.append(clock() - start)
            p50, p95, slowest = (sorted(times)[int(q * (len(times) - 1))] * 1e3 for q in (0.5, 0.95, 1.0))
            print(f"query ({name}, {len(times):,} of them): p50 {p50:.2f}, p95 {p95:.2f}, slowest {slowest:.2f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
