"""An actor for Ray Data: batches of rows in, those of their texts that kept calls out.

    rows.map_batches(
        Annotate,
        fn_constructor_args=[[Calculator()]],
        fn_constructor_kwargs={"model": "builtin", "thresholds": "first"},
        batch_format="pyarrow",
        batch_size=32,
        compute=ActorPoolStrategy(size=2),
        num_cpus=0.5,
    )

Ray divides the rows, starts the actors, and does the rows of an actor that died again. Nothing is written here, and
nothing of one batch decides what comes of another. Ray does a batch that kills its actor again for ever, so a row that
cannot be annotated is passed on with its error.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow

from toolformer.data_gen.annotating import ready_annotators
from toolformer.data_gen.annotators import precisions
from toolformer.data_gen.documents import facts_of
from toolformer.data_gen.kept_rows import kept_row
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Method
from toolformer.data_gen.records import Document
from toolformer.data_gen.run_folder import thresholds_in
from toolformer.data_gen.samplers.server import Server
from toolformer.data_gen.shard_records import Json
from toolformer.data_gen.shards import ALONE
from toolformer.data_gen.split import MOST, cut_passages
from toolformer.errors import ConfigError, DataError, ServerError, first_line
from toolformer.loading import Loading
from toolformer.text_file import storable
from toolformer.tool import Tool

_TEXT, _NUMBER, _WHOLE = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
_CALL = pyarrow.struct(
    [
        *((name, _TEXT) for name in ("tool", "input", "result")),
        ("start", _WHOLE),
        *((name, _NUMBER) for name in ("p_open", "loss_plain", "loss_call", "loss_result", "gain")),
        ("chain", _WHOLE),
        ("uses", pyarrow.list_(_WHOLE)),
    ]
)
SCHEMA = pyarrow.schema(
    [
        *((name, _TEXT) for name in ("id", "date", "url", "text", "annotated")),
        ("calls", pyarrow.list_(_CALL)),
        ("error", _TEXT),
    ]
)
"""The columns that come out: those of the lines of `kept/`, and `error`."""


class Annotate:
    """Annotates batches with a model of its own, which it loads where Ray starts it.

    Of a row, `text`, `id`, `date` and `url` are taken; a row without an id is called by a digest of its text. Out come
    the texts that kept calls, passages of long ones by themselves, with the calls that `annotate` finds in them. A row
    without a text, or with one that cannot be annotated, becomes a row with its id and its `error`.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        *,
        model: str = "builtin",
        loading: Loading = Loading(),
        sampler: str | Server | None = None,
        judge: str | None = None,
        lessons: Sequence[Lesson] = (),
        method: Method = Method(),
        passage_tokens: int = MOST,
        thresholds: str | None = None,
    ) -> None:
        """See `annotate`. With the method's "auto", `thresholds` names the folder of a run that has found them."""
        if method.filtering_threshold == "auto" and thresholds is None:
            raise ConfigError(ALONE)
        models = ready_annotators(
            tools,
            model=model,
            loading=loading,
            sampler=sampler,
            judge=judge,
            lessons=lessons,
            method=method,
        )
        self._open = ExitStack()  # for as long as the actor lives
        (self._annotator,) = self._open.enter_context(models)
        self._most = min(passage_tokens, self._annotator.longest_text())
        self._thresholds: Mapping[str, float] = {}
        if thresholds is not None:
            same = {"passage_tokens": self._most, "precision": precisions(self._annotator)}
            self._thresholds = thresholds_in(Path(thresholds), {**self._annotator.config, **same}).values

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """Annotate a batch; its texts go through the model together."""
        if not isinstance(batch, pyarrow.Table):
            raise ConfigError('the batches are no Arrow tables: give map_batches the batch_format="pyarrow"')
        if "text" not in batch.column_names:
            there = ", ".join(batch.column_names) or "none"
            raise DataError(f"the rows have no column 'text'; they have: {there}. Rename the right one")
        documents: list[Document] = []
        rows: list[Json] = []
        for row in batch.to_pylist():
            try:
                documents.append(_document(row))
            except DataError as error:
                rows.append(_failed(row.get("id"), str(error)))
        return pyarrow.Table.from_pylist([*rows, *self._annotated(documents)], schema=SCHEMA)

    def _annotated(self, documents: Sequence[Document]) -> list[Json]:
        """The rows of some documents; of each by itself if they cannot be annotated together."""
        try:
            length = self._annotator.length
            passages = [one for document in documents for one in cut_passages(document, length, self._most)]
            kept, _ = self._annotator.annotate(self._annotator.read(passages), self._thresholds)
        except ServerError:
            raise  # no row is to blame: the batch is to be done again
        except Exception as error:  # noqa: BLE001 - whatever it is that a text brings about, the others are annotated
            if len(documents) == 1:
                return [_failed(documents[0].id, f"{type(error).__name__}: {first_line(error)}")]
            return [row for document in documents for row in self._annotated([document])]
        return [_with_all_fields(kept_row(one, self._annotator.syntax)) for one in kept]


def _document(row: Mapping[str, object]) -> Document:
    text, name = row["text"], row.get("id")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"'text' is {str(text)[:60]!r}, where a text belongs")
    text = storable(text)
    said = str(name) if name is not None else hashlib.sha256(text.encode()).hexdigest()[:16]
    return Document(storable(said), text, facts_of(row.get("date"), row.get("url")))


def _failed(name: object, error: str) -> Json:
    return {"id": None if name is None else storable(str(name)), "error": storable(error)}


def _with_all_fields(row: Json) -> Json:
    """The row with what the lines of `kept/` leave out where it says nothing: columns hold something in every row."""
    calls = row["calls"]
    assert isinstance(calls, list)
    return {**row, "calls": [{"chain": 1, "uses": [], **call} for call in calls]}
