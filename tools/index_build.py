"""Build a search index over a passages file: the folder that `search_index` opens.

The input is streamed. A dense index needs no more memory than its model and 256 passages; BM25 counts all words in
memory (bm25s's way), so a file much larger than memory is one for a dense index. A build that was stopped goes on:
vectors already computed are kept, the rest is quick to redo.
"""

import array
import dataclasses
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from toolformer.errors import ConfigError, DataError
from toolformer.lock import LOCK, sole_writer
from toolformer.own_json import made_of, read_own
from toolformer.screen import shown
from toolformer.tools.embedding import Embedder
from toolformer.tools.index_folder import (
    MANIFEST,
    OFFSETS,
    PASSAGES,
    VECTORS,
    Manifest,
    Plan,
    check_files,
    look_at_owner,
    read_manifest,
    seal,
    sha256,
    write_ours,
)
from toolformer.tools.passages import Passage
from toolformer.tools.passages_file import read_passages
from toolformer.tools.search_index import Words
from toolformer.whole_file import remove_unfinished

PLAN = "plan.json"
CHUNK = 256
"""Passages that are embedded and synced to the disk together."""


def build_index(passages: Path, out: Path, dense: str | None = None) -> Manifest:
    """Build a search index over a file of passages.

    Stopped, it goes on with the same command; finished, it does nothing. A folder that holds an index of another input
    or another model, or anything else, is left alone.

    Args:
        passages: JSON lines with "text" and, if there is one, "title" (.jsonl), or a list of objects that hold such
            passages under "paragraphs" (.json), or else plain text with one passage a line; lines may be gzipped (.gz).
        out: The folder to build, new or empty.
        dense: An embedding model of sentence-transformers, by its name or folder. Without it the index is BM25.
    """
    if not passages.is_file():
        raise ConfigError(f"there is no file {passages}: name a .jsonl or text file of passages, gzipped or not")
    embedder = Embedder(dense) if dense else None
    try:
        return _build(passages, out, embedder)
    except OSError as error:
        raise DataError(
            f"{error.strerror or error}: {error.filename or out}. What is in {out} is kept: put this right and run "
            "the same command again"
        ) from error


def _build(passages: Path, out: Path, embedder: Embedder | None) -> Manifest:
    modified = passages.stat().st_mtime_ns
    plan = Plan("bm25", sha256(passages))
    if embedder is not None:
        plan = Plan("dense", plan.input_sha256, embedder.name, embedder.fingerprint, embedder.dimension)
    out.mkdir(mode=0o755, parents=True, exist_ok=True)
    look_at_owner(out, os.listdir(out))
    with sole_writer(out):
        if (out / MANIFEST).exists():
            return _finished(out, plan)
        _take_up(out, plan)
        count = _write_passages(out, read_passages(passages))
        if passages.stat().st_mtime_ns != modified:
            raise DataError(f"{passages} was changed while it was read: delete {out} and build again")
        names = _write_words(out, count) if embedder is None else _write_vectors(out, count, embedder)
        manifest = Manifest(plan, count, seal(out, [PASSAGES, OFFSETS, *names]))
        write_ours(out / MANIFEST, manifest.to_json())
        (out / PLAN).unlink()
        return manifest


def _finished(out: Path, plan: Plan) -> Manifest:
    manifest = read_manifest(out)
    _check_same(out, manifest.plan, plan)
    check_files(out, manifest, hashes=False)
    return manifest


def _take_up(out: Path, plan: Plan) -> None:
    """Write the plan into an empty folder, or find the same one there."""
    remove_unfinished(out)
    path = out / PLAN
    if path.exists():
        try:
            found = made_of(Plan, read_own(path))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is damaged ({error}): delete {out} and build again") from error
        _check_same(out, found, plan)
    elif foreign := sorted(set(os.listdir(out)) - {LOCK}):
        raise ConfigError(f"{out} is not empty (there is {foreign[0]}) and holds no index: name a new or empty folder")
    else:
        write_ours(path, json.dumps(dataclasses.asdict(plan)))


def _check_same(out: Path, found: Plan, plan: Plan) -> None:
    if not found.same_as(plan):
        there, now = dataclasses.asdict(found), dataclasses.asdict(plan)
        differences = ", ".join(
            f"{name} {there[name]} there and {now[name]} now" for name in now if there[name] != now[name]
        )
        raise DataError(f"{out} holds another index ({differences}): name another folder, or delete this one")


def _write_passages(out: Path, passages: Iterable[Passage]) -> int:
    """Store the passages and where each begins; how many there are."""
    import numpy as np

    offsets = array.array("q", [0])
    with (out / PASSAGES).open("wb") as file:
        for passage in shown(passages, "Reading passages"):
            record = {"title": passage.title, "text": passage.text}
            line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
            file.write(line)
            offsets.append(offsets[-1] + len(line))
    if len(offsets) == 1:
        raise DataError("the input holds no passage")
    np.save(out / OFFSETS, np.frombuffer(offsets, dtype=np.int64), allow_pickle=False)
    return len(offsets) - 1


def _stored(out: Path, start: int = 0) -> Iterator[str]:
    """What is searched of each stored passage, from one of them on."""
    import numpy as np

    offset = int(np.load(out / OFFSETS, mmap_mode="r", allow_pickle=False)[start])
    with (out / PASSAGES).open("rb") as file:
        file.seek(offset)
        for line in file:
            record = json.loads(line)
            yield f"{record['title']}\n{record['text']}".strip()


def _write_words(out: Path, count: int) -> Iterable[str]:
    try:
        words = Words.of(shown(_stored(out), "Reading words", count))
    except ValueError as error:
        raise DataError(f"the passages hold {error}") from error
    return words.save(out)


def _write_vectors(out: Path, count: int, embedder: Embedder) -> Iterable[str]:
    """Append the vectors that are still missing. Always in the same chunks, so that a stop leaves no trace."""
    import numpy as np

    row = 4 * embedder.dimension
    with (out / VECTORS).open("ab") as file:
        done = file.tell() // (row * CHUNK) * CHUNK
        file.truncate(done * row)
        texts = shown(_stored(out, done), "Embedding passages", count, done)
        while chunk := list(itertools.islice(texts, CHUNK)):
            vectors = embedder.passages(chunk)
            if not np.isfinite(vectors).all():
                raise DataError(f"{embedder.name} gives no finite vector for some of passages {done} to {done + CHUNK}")
            file.write(vectors.astype("<f4").tobytes())
            file.flush()
            os.fsync(file.fileno())
            done += len(chunk)
    return [VECTORS]
