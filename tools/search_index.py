"""A local index over a passages file: open a folder that `index_build` made, and search it. A `Source`.

BM25 finds passages that share the query's words; a dense index finds those with a near meaning, by exact inner product
(no approximation: 10 ms for 100,000 passages of 384 dimensions). Passages, weights and vectors are memory-mapped; only
BM25's vocabulary is read into memory. What this does not do: change an index, or search several at once.
"""

import json
import mmap
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from toolformer.errors import DataError, ToolError
from toolformer.text_file import storable
from toolformer.tools.embedding import Embedder
from toolformer.tools.folding import folded
from toolformer.tools.index_folder import (
    BM25,
    MANIFEST,
    OFFSETS,
    PASSAGES,
    VECTORS,
    Manifest,
    check_files,
    look_at_owner,
    read_manifest,
)
from toolformer.tools.passages import Passage

if TYPE_CHECKING:
    import bm25s
    import numpy as np
    from numpy.typing import NDArray

MAX_QUERY = 2_000
"""Characters of a query that are looked at: the rest costs time and adds nothing."""

_DAMAGED = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What the system, numpy, json and bm25s make of files that cannot be read or are damaged."""
_WORD = re.compile(r"\w+")
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by did do does for from had has have how in into is it its of on or s such t that "
        "the their then there these they this to was were what when where which who whom whose why will with",
    )
)


def words_of(text: str) -> list[str]:
    """The words that BM25 counts, of passages and queries alike: lower case, no accents, no stop words.

    The stop words are English. A script without spaces (Chinese, Thai) gives words as long as a clause: use a dense
    index there.
    """
    return [word for word in _WORD.findall(folded(text)) if word not in _STOP_WORDS]


class _Ranker(Protocol):
    def rank(self, query: str, limit: int) -> list[tuple[int, float]]:
        """Numbers of passages with their scores, the best first."""


class SearchIndex:
    """An index opened for searching, from any number of threads."""

    def __init__(self, manifest: Manifest, passages: "_PassageFile", ranker: _Ranker) -> None:
        self.manifest = manifest
        self._passages = passages
        self._ranker = ranker

    @classmethod
    def open(cls, folder: Path | str, *, model: str | None = None, verify: bool = False) -> Self:
        """Open a finished index, or a DataError that says what is wrong with it and what to do.

        The owner, the permissions and the size of every file are always checked; `verify` also reads every byte and
        compares its hash. A dense index loads the model that its manifest names, or `model` (its new place, say);
        either has to be the very model that made the index.
        """
        folder = Path(folder)
        try:
            manifest = read_manifest(folder)
            look_at_owner(folder, [MANIFEST, *manifest.files])
            check_files(folder, manifest, hashes=verify)
            if model is not None and manifest.plan.kind != "dense":
                raise DataError(f"{folder} is a BM25 index, made without a model: open it without {model!r}")
            passages = _PassageFile(folder, manifest.passages)
            ranker = (
                _stored_words(folder, manifest) if manifest.plan.kind == "bm25" else _Dense(folder, manifest, model)
            )
        except _DAMAGED as error:
            raise DataError(f"{folder} is damaged ({type(error).__name__}: {error}); build the index anew") from error
        return cls(manifest, passages, ranker)

    @property
    def identity(self) -> str:
        """The kind and a hash of the manifest, hence of everything in the folder."""
        return self.manifest.identity

    def __len__(self) -> int:
        return self.manifest.passages

    def titles(self) -> Iterator[str]:
        """The titles of all passages, in their order: every one is read."""
        return (self._passages.read(number).title for number in range(len(self)))

    def search(self, query: str, limit: int) -> list[Passage]:
        """Up to `limit` passages, the best first. A query without a word that could be looked up finds none."""
        ranked = self._ranker.rank(query[:MAX_QUERY], min(limit, len(self)))
        return [self._passages.read(number, score) for number, score in ranked]


class _PassageFile:
    """The passages, read one at a time by their number."""

    def __init__(self, folder: Path, count: int) -> None:
        import numpy as np

        with (folder / PASSAGES).open("rb") as file:
            self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._offsets = np.load(folder / OFFSETS, mmap_mode="r", allow_pickle=False)
        if self._offsets.shape != (count + 1,) or self._offsets[-1] != len(self._lines):
            raise ValueError(f"{OFFSETS} does not fit {PASSAGES}")

    def read(self, number: int, score: float | None = None) -> Passage:
        start, end = (int(offset) for offset in self._offsets[number : number + 2])
        try:
            line = json.loads(self._lines[start:end])
            return Passage(line["title"], line["text"], score)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ToolError(f"passage {number} of the index is damaged; build it anew") from error


class Words:
    """BM25 over the words of passages, which it knows by their numbers."""

    def __init__(self, bm25: "bm25s.BM25") -> None:
        self._bm25 = bm25

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Count the words of these texts. ValueError if there is none."""
        import bm25s

        vocabulary: dict[str, int] = {}
        passages = [[vocabulary.setdefault(word, len(vocabulary)) for word in words_of(text)] for text in texts]
        if not vocabulary:
            raise ValueError("no word that could be looked up")
        bm25 = bm25s.BM25()
        bm25.index((passages, vocabulary), create_empty_token=False, show_progress=False)
        return cls(bm25)

    def save(self, folder: Path) -> Iterable[str]:
        """Write them into the folder; the names of the files."""
        self._bm25.save(folder, **BM25, allow_pickle=False, show_progress=False)
        return BM25.values()

    def rank(self, query: str, limit: int) -> list[tuple[int, float]]:
        """Numbers of passages with their scores, the best first."""
        words = self._bm25.get_tokens_ids(words_of(query))
        if not words or limit < 1:
            return []
        return _best(self._bm25.get_scores_from_ids(words), limit)


def _stored_words(folder: Path, manifest: Manifest) -> Words:
    import bm25s

    bm25 = bm25s.BM25.load(folder, **BM25, mmap=True, allow_pickle=False)
    if bm25.scores["num_docs"] != manifest.passages:
        raise ValueError(f"{BM25['params_name']} counts other passages than the manifest")
    return Words(bm25)


def _best(scores: "NDArray[np.float32]", limit: int) -> list[tuple[int, float]]:
    """The largest positive scores, equal ones in the order of the passages."""
    import numpy as np

    least = max(np.partition(scores, -limit)[-limit], np.finfo(np.float32).tiny)
    candidates = np.flatnonzero(scores >= least)
    order = np.argsort(-scores[candidates], kind="stable")[:limit]
    return [(int(number), float(scores[number])) for number in candidates[order]]


class _Dense:
    def __init__(self, folder: Path, manifest: Manifest, model: str | None) -> None:
        import numpy as np

        plan = manifest.plan
        if plan.model is None or plan.dimension is None:
            raise ValueError("the manifest names no model")
        shape = (manifest.passages, plan.dimension)
        self._vectors = np.memmap(folder / VECTORS, dtype="<f4", mode="r", shape=shape)
        self._embedder = Embedder(model or plan.model)
        if self._embedder.fingerprint != plan.model_fingerprint:
            raise DataError(
                f"{folder} was built with the embedding model {plan.model!r} (weights "
                f"{str(plan.model_fingerprint)[:12]}…), and {self._embedder.name!r} is another "
                f"({self._embedder.fingerprint[:12]}…): open it with that model, or build the index anew"
            )

    def rank(self, query: str, limit: int) -> list[tuple[int, float]]:
        import faiss

        if not query.strip() or limit < 1:
            return []
        vector = self._embedder.query(storable(query))
        scores, numbers = faiss.knn(vector, self._vectors, limit, metric=faiss.METRIC_INNER_PRODUCT)
        return [(int(number), float(score)) for number, score in zip(numbers[0], scores[0], strict=True)]
