"""What runs on Ray, on a real one of two CPUs: the actor of Ray Data, and datatrove's step under its executor."""

import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pytest
import ray
from datatrove.executor import LocalPipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from ray.data import ActorPoolStrategy, Dataset

from tests.unit.test_datatrove import CORPUS, SETTINGS, TASKS, lines
from tests.unit.test_run import content
from toolformer import ConfigError, DataError
from toolformer.data_gen import AnnotatedFolder, Method, annotate, read_corpus
from toolformer.data_gen.datatrove import Annotate as Step
from toolformer.data_gen.ray import SCHEMA, Annotate
from toolformer.tools.calculator import Calculator

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]  # Ray's own warnings are many
ROOT = Path(__file__).parents[2]
RULES: dict[str, Any] = {name: SETTINGS[name] for name in ("sampler", "method")}
TEXTS = 40


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of its own, of which no process is left."""
    others = {*psutil.Process().children(recursive=True)}  # of tests before, in the same process
    start_ray(tries=5)
    started = [one for one in psutil.Process().children(recursive=True) if one not in others]
    assert started
    yield
    ray.shutdown()
    _, alive = psutil.wait_procs(started, timeout=30)
    assert not alive


def start_ray(tries: int) -> None:
    """Ray gives its agents 15 seconds to import what they need, which is too little on a very busy machine."""
    try:
        ray.init(
            address="local",
            # More than there are: an actor that outlives its test would leave too little for reading, which then waits.
            num_cpus=6,
            include_dashboard=False,
            object_store_memory=100 << 20,
            log_to_driver=False,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
        )
    except Exception as error:
        ray.shutdown()
        if tries == 1 or "timed out during startup" not in str(error):
            raise
        start_ray(tries - 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run of `annotate` writes."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    annotate(read_corpus(CORPUS, limit=TEXTS), [Calculator()], folder, **SETTINGS)
    return folder


def texts() -> Dataset:
    rows = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()[:TEXTS]]
    return ray.data.from_items(rows, override_num_blocks=5)


def annotated(rows: Dataset, kind: type[Annotate] = Annotate, *more: object) -> list[dict[str, Any]]:
    done = rows.map_batches(
        kind,
        fn_constructor_args=[[Calculator()], *more],
        fn_constructor_kwargs=RULES,
        batch_format="pyarrow",
        batch_size=8,
        compute=ActorPoolStrategy(size=2),
        num_cpus=0.5,
    )
    return sorted(done.take_all(), key=lambda row: str(row["id"]))


class Dying(Annotate):
    """The first of its actors that has annotated a batch dies with it."""

    def __init__(self, tools: Any, place: str, **settings: Any) -> None:
        super().__init__(tools, **settings)
        self._place = Path(place)

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        done = super().__call__(batch)
        try:
            self._place.touch(exist_ok=False)
        except FileExistsError:
            return done
        os.kill(os.getpid(), signal.SIGKILL)
        return done


def as_kept(rows: list[dict[str, Any]], folder: Path) -> AnnotatedFolder:
    """The rows as a folder that `train` reads."""
    (folder / "kept").mkdir(parents=True)
    said = "".join(json.dumps(row) + "\n" for row in rows if row["error"] is None)
    (folder / "kept" / "00000.jsonl").write_text(said, "utf-8")
    return AnnotatedFolder(folder)


@pytest.mark.usefixtures("cluster")
def test_texts_and_calls_are_those_of_one_run_also_if_an_actor_is_killed(whole: Path, tmp_path: Path) -> None:
    wanted = sorted(AnnotatedFolder(whole).kept(), key=lambda text: text.id)
    assert len(wanted) > 4
    assert [*as_kept(annotated(texts()), tmp_path / "quiet").kept()] == wanted
    assert [*as_kept(annotated(texts(), Dying, str(tmp_path / "dead")), tmp_path / "killed").kept()] == wanted
    assert (tmp_path / "dead").exists()


@pytest.mark.usefixtures("cluster")
def test_settings_that_cannot_be_end_the_run() -> None:
    with pytest.raises(ray.exceptions.RayError, match="each part would find thresholds of its own"):
        texts().map_batches(
            Annotate, fn_constructor_args=[[Calculator()]], compute=ActorPoolStrategy(size=1), num_cpus=0.5
        ).take_all()
    with pytest.raises(ray.exceptions.RayError, match="they have: id, content"):
        annotated(ray.data.from_items([{"id": "a", "content": "Of 4 and 5, 9 came."}]))


@pytest.fixture(scope="module")
def actor() -> Annotate:
    return Annotate([Calculator()], **RULES)


def table(*rows: Mapping[str, object]) -> pyarrow.Table:
    return pyarrow.Table.from_pylist([*rows])


@pytest.fixture(scope="module")
def good(whole: Path) -> dict[str, object]:
    """A row that keeps a call."""
    text = next(AnnotatedFolder(whole).kept())
    return {"id": text.id, "text": text.text, "date": text.date}


def test_a_row_that_cannot_be_annotated_becomes_its_error(
    actor: Annotate, good: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = actor._annotator.read

    def break_at(documents: Any) -> Any:
        if any("unlucky" in one.text for one in documents):
            raise ZeroDivisionError("bad luck\nwith details")
        return read(documents)

    monkeypatch.setattr(actor._annotator, "read", break_at)
    alone = actor(table(good)).to_pylist()
    rows = actor(table({"id": "n", "text": None}, {"id": "u", "text": "unlucky"}, {"id": "b", "text": " "}, good))
    assert rows.schema == SCHEMA
    assert [(row["id"], row["error"]) for row in rows.to_pylist()] == [
        ("n", "'text' is 'None', where a text belongs"),
        ("b", "'text' is ' ', where a text belongs"),
        ("u", "ZeroDivisionError: bad luck"),
        *((row["id"], None) for row in alone),
    ]
    assert rows.to_pylist()[3:] == alone != []
    numbers = actor(table({"id": 7, "text": 8}))
    assert [(row["id"], row["error"]) for row in numbers.to_pylist()] == [("7", "'text' is '8', where a text belongs")]


def test_rows_may_share_an_id_or_have_none(actor: Annotate, good: dict[str, object]) -> None:
    text = good["text"]
    twice = actor(table({"id": "a", "text": text}, {"id": "a", "text": text})).to_pylist()
    assert [(row["id"], row["error"]) for row in twice] == [("a", None)] * 2
    (row,) = actor(table({"text": text})).to_pylist()
    assert (len(row["id"]), row["text"]) == (16, text)


def test_what_is_no_table_and_thresholds_that_nobody_has_are_refused(actor: Annotate) -> None:
    with pytest.raises(ConfigError, match='batch_format="pyarrow"'):
        actor({"text": ["a"]})
    with pytest.raises(DataError, match="they have: id. Rename"):
        actor(table({"id": "a"}))
    with pytest.raises(ConfigError, match="each part would find thresholds of its own"):
        Annotate([Calculator()])


def test_thresholds_are_those_of_a_run(tmp_path: Path) -> None:
    corpus = list(read_corpus(CORPUS, limit=12))
    settings: dict[str, Any] = {"sampler": "rules", "method": Method()}
    annotate(corpus, [Calculator()], tmp_path / "first", shard_size=3, **settings)
    actor = Annotate([Calculator()], thresholds=str(tmp_path / "first"), **settings)
    rows = actor(table(*({"id": one.id, "text": one.text} for one in corpus))).to_pylist()
    assert [*as_kept(rows, tmp_path / "again").kept()] == [*AnnotatedFolder(tmp_path / "first").kept()] != []
    with pytest.raises(DataError, match="passage_tokens"):
        Annotate([Calculator()], thresholds=str(tmp_path / "first"), passage_tokens=50, **settings)


@pytest.mark.usefixtures("cluster")
def test_under_its_ray_executor_datatrove_writes_the_lines_of_its_local_one(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    rows = CORPUS.read_text("utf-8").splitlines(keepends=True)[:TEXTS]
    for number in range(TASKS):
        (corpus / f"{number}.jsonl").write_text("".join(rows[number::TASKS]), "utf-8")
    for name, kind, more in (
        ("local", LocalPipelineExecutor, {"workers": 1, "start_method": "fork"}),
        ("ray", RayPipelineExecutor, {"workers": 2, "mem_per_cpu_gb": 0.1}),
    ):
        place = tmp_path / name
        steps = [
            JsonlReader(str(corpus)),
            Step(str(place / "parts"), [Calculator()], **SETTINGS),
            JsonlWriter(str(place / "out"), compression=None),
        ]
        kind(steps, tasks=TASKS, logging_dir=str(place / "logs"), **more).run()
    # A task that has failed three times is given up without an error: that all are done is to be looked at.
    assert len(list((tmp_path / "ray" / "logs" / "completions").iterdir())) == TASKS
    assert content(tmp_path / "ray" / "parts") == content(tmp_path / "local" / "parts")
    assert lines(tmp_path / "ray" / "out") == lines(tmp_path / "local" / "out") != []


@pytest.mark.usefixtures("cluster")
def test_the_script_of_the_guide_writes_a_folder_that_train_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (ROOT / "docs" / "scale.md").read_text("utf-8")
    (script,) = re.findall(r"^```python\n(# on_ray\.py\n.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    (tmp_path / "toolformer").symlink_to(ROOT / "toolformer")
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "on_ray.py", "exec"), {})
    annotate(read_corpus(CORPUS, limit=8), [Calculator()], tmp_path / "whole", **SETTINGS)
    kept = {text.id: text for text in AnnotatedFolder(tmp_path / "from_ray").kept()}
    assert kept == {text.id: text for text in AnnotatedFolder(tmp_path / "whole").kept()} != {}
