"""The step of a datatrove pipeline under datatrove's own executor: what tasks write, and what a kill costs."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document as Row
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from tests.unit.test_run import content
from toolformer import ConfigError, DataError
from toolformer.data_gen import AnnotatedFolder, annotate, merge_parts, read_corpus
from toolformer.data_gen.datatrove import Annotate
from toolformer.data_gen.method import Method
from toolformer.tools.calculator import Calculator

CORPUS = Path(__file__).parents[2] / "toolformer" / "builtin" / "corpus.jsonl"
SETTINGS: dict[str, Any] = {"sampler": "rules", "method": Method(filtering_threshold="lesson"), "shard_size": 2}
TASKS = 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty texts in five files, so that the first task has two of them."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = CORPUS.read_text("utf-8").splitlines(keepends=True)[:20]
    for number in range(5):
        (folder / f"{number}.jsonl").write_text("".join(rows[4 * number : 4 * number + 4]), "utf-8")
    return folder


def executor(corpus: Path, place: Path, workers: int = 1) -> LocalPipelineExecutor:
    writer = JsonlWriter(str(place / "out"), compression=None)
    steps = [JsonlReader(str(corpus)), Annotate(str(place / "parts"), [Calculator()], **SETTINGS), writer]
    return LocalPipelineExecutor(
        steps, tasks=TASKS, workers=workers, logging_dir=str(place / "logs"), start_method="fork"
    )


@pytest.fixture(scope="module")
def quiet(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run writes that nobody disturbs."""
    place = tmp_path_factory.mktemp("quiet")
    executor(corpus, place).run()
    return place


def lines(folder: Path) -> list[str]:
    return sorted(line for file in folder.rglob("*.jsonl") for line in file.read_text("utf-8").splitlines())


def test_the_texts_of_all_tasks_are_those_of_one_run(corpus: Path, quiet: Path, tmp_path: Path) -> None:
    annotate(read_corpus(corpus), [Calculator()], tmp_path / "whole", **SETTINGS)
    merge_parts(sorted((quiet / "parts").iterdir()), tmp_path / "joined")
    assert AnnotatedFolder(tmp_path / "joined").documents() == 20
    assert lines(tmp_path / "joined" / "kept") == lines(tmp_path / "whole" / "kept") != []
    assert lines(tmp_path / "joined" / "rejected") == lines(tmp_path / "whole" / "rejected")
    assert AnnotatedFolder(tmp_path / "joined").funnel() == AnnotatedFolder(tmp_path / "whole").funnel()


def test_what_is_passed_on_and_counted(quiet: Path) -> None:
    rows = [json.loads(line) for line in lines(quiet / "out")]
    kept = {text.id: text for folder in (quiet / "parts").iterdir() for text in AnnotatedFolder(folder).kept()}
    assert {row["id"] for row in rows} == kept.keys()
    for row in rows:
        text, more = kept[row["id"]], row["metadata"]
        assert (row["text"], more["text"]) == (text.annotated, text.text)
        assert [(one["tool"], one["start"]) for one in more["calls"]] == [(c.call.tool, c.start) for c in text.calls]
    (step,) = [one for one in json.loads((quiet / "logs" / "stats.json").read_text()) if "toolformer" in one["name"]]
    stats = {name: one["total"] if isinstance(one, dict) else one for name, one in step["stats"].items()}
    assert (stats["rows"], stats["texts"], stats["texts with calls"]) == (20, 20, len(rows))
    assert stats["Calculator: kept"] == sum(len(text.calls) for text in kept.values())


def test_killed_with_its_workers_it_goes_on_and_ends_with_the_same_bytes(
    corpus: Path, quiet: Path, tmp_path: Path
) -> None:
    def work() -> None:
        os.setsid()  # so that the workers can be killed along with it
        executor(corpus, tmp_path, workers=2).run()

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    while len(list(tmp_path.glob("parts/*/shards/*.json"))) < 3 and process.is_alive():
        time.sleep(0.01)
    assert process.pid is not None
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    assert content(tmp_path / "parts") != content(quiet / "parts")
    executor(corpus, tmp_path).run()
    assert content(tmp_path / "parts") == content(quiet / "parts")
    assert lines(tmp_path / "out") == lines(quiet / "out")


def test_rows_without_text_are_counted_and_a_task_without_rows_is_a_part(tmp_path: Path) -> None:
    step = Annotate(str(tmp_path), [Calculator()], **SETTINGS)
    rows = [Row("Of 4 and 5, 9 came.", "a"), Row(" ", "b"), Row(None, "c"), Row("Nobody.", "d", metadata={"date": "x"})]
    list(step.run(rows, 0, 2))
    assert (step.stats["rows"].total, step.stats["rows without text"].total) == (2, 2)
    assert list(step.run([], 1, 2)) == []
    assert merge_parts([tmp_path / "00000", tmp_path / "00001"], tmp_path / "joined").documents() == 2


def test_dates_and_addresses_are_taken_from_the_metadata(tmp_path: Path) -> None:
    step = Annotate(str(tmp_path), [Calculator()], **SETTINGS)
    rows = [Row("a", "1", metadata={"date": "2019-05-17"}), Row("b", "2", metadata={"url": "http://h/2020/5/9/"})]
    seen = step._documents(rows)
    assert [str(one.facts.date) for one in seen] == ["2019-05-17", "2020-05-09"]


def test_thresholds_are_given_or_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="each part would find thresholds of its own"):
        Annotate(str(tmp_path), [Calculator()])
    settings = {**SETTINGS, "method": Method()}
    texts = list(read_corpus(CORPUS, limit=8))
    annotate(texts, [Calculator()], tmp_path / "first", **settings)
    step = Annotate(str(tmp_path / "parts"), [Calculator()], thresholds=str(tmp_path / "first"), **settings)
    list(step.run([Row(one.text, one.id) for one in texts], 0, 1))
    assert lines(tmp_path / "parts" / "00000" / "kept") == lines(tmp_path / "first" / "kept")
    other = {**settings, "method": replace(Method(), seed=3)}
    step = Annotate(str(tmp_path / "other"), [Calculator()], thresholds=str(tmp_path / "first"), **other)
    with pytest.raises(DataError, match="first was made with other settings: method was"):
        list(step.run([], 0, 1))
