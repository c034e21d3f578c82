"""A run's folder: what is done stays done, whatever happens, and belongs to one run."""

import datetime
import gc
import json
import multiprocessing
import random
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests.fakes import CountingCalculator
from tests.unit.test_annotator import PAPER, TEXT, paper_model
from toolformer import (
    ConfigError,
    DataError,
    DocumentFacts,
    Tool,
    ToolError,
    ToolNothing,
    ToolTimeout,
    ToolUnavailable,
    Traits,
)
from toolformer.data_gen import Document, Lesson, annotate, run_folder
from toolformer.data_gen.method import PAPER as AS_PAPER
from toolformer.data_gen.method import Method
from toolformer.data_gen.run_folder import RunFolder
from toolformer.data_gen.shard_records import digest
from toolformer.data_gen.shards import Progress
from toolformer.toolbox import ResultMemory
from toolformer.tools.calculator import Calculator
from toolformer.whole_file import whole_file


def documents(count: int = 10) -> Iterator[Document]:
    for number in range(count):
        yield Document(f"doc-{number}", f"Text {number}. {TEXT}" if number % 3 else f"Text {number} has no sum.")


def run(
    out: Path,
    count: int = 10,
    lesson: Lesson = PAPER,
    seed_documents: Iterator[Document] | None = None,
    method: Method = AS_PAPER,
) -> Progress:
    corpus = seed_documents or documents(count)
    return annotate(corpus, [Calculator()], out, model=paper_model(), lessons=[lesson], method=method, shard_size=4)


def content(folder: Path) -> dict[str, bytes]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_a_shard_is_known_by_everything_that_a_run_takes_from_its_documents() -> None:
    one = Document("a", "2 and 2", DocumentFacts(datetime.date(2020, 1, 2), "https://example.org"))
    others = [
        replace(one, id="b"),
        replace(one, text="2 and 3"),
        replace(one, facts=replace(one.facts, date=None)),
        replace(one, facts=replace(one.facts, url=None)),
    ]
    assert len({digest([document]) for document in (one, *others)}) == 5
    assert digest([one]) == digest([replace(one)])


def test_what_a_run_writes(tmp_path: Path) -> None:
    progress = run(tmp_path / "out")
    assert (progress.documents, progress.annotated, progress.finished) == (10, 6, True)
    written = content(tmp_path / "out")
    shards = [
        f"{folder}/0000{n}.{kind}"
        for folder, kind in (("kept", "jsonl"), ("rejected", "jsonl"), ("shards", "json"))
        for n in range(3)
    ]
    assert sorted(written) == sorted(["README.md", "config.json", "funnel.json", *shards])
    kept = [json.loads(line) for n in range(3) for line in written[f"kept/0000{n}.jsonl"].splitlines()]
    assert [row["id"] for row in kept] == [f"doc-{n}" for n in (1, 2, 4, 5, 7, 8)]
    assert (
        kept[0]["annotated"]
        == "Text 1. Out of 1400 participants, 400 (or [Calculator(400 / 1400) -> 0.29] 29%) passed."
    )
    assert json.loads(written["funnel.json"])["Calculator"]["kept"] == 6
    assert json.loads(written["config.json"])["model"] == "scripted"


def test_the_garbage_collector_leaves_old_objects_alone_while_it_runs_and_no_longer(tmp_path: Path) -> None:
    frozen: list[int] = []

    def seen(_: Progress) -> None:
        frozen.append(gc.get_freeze_count())

    def annotated(out: str) -> None:
        annotate(documents(), [Calculator()], tmp_path / out, model=paper_model(), lessons=[PAPER], on_progress=seen)

    annotated("out")
    assert min(frozen) > 10_000
    assert gc.get_freeze_count() == 0
    with pytest.raises(DataError):
        run(tmp_path / "out")  # another shard size
    assert gc.get_freeze_count() == 0
    gc.freeze()
    annotated("again")
    assert gc.get_freeze_count() > 10_000  # who froze them thaws them
    gc.unfreeze()


def test_the_folder_loads_with_datasets(tmp_path: Path) -> None:
    from datasets import load_dataset

    run(tmp_path / "out")
    loaded = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == 6
    assert loaded[0]["calls"][0]["tool"] == "Calculator"


def test_what_tools_answered_once_is_not_asked_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def once(out: str) -> dict[str, bytes]:
        told: dict[str, Any] = {"model": paper_model(), "lessons": [PAPER], "method": AS_PAPER}
        tool, memory = CountingCalculator(asked), ResultMemory(tmp_path / "memory")
        annotate(documents(4), [tool], tmp_path / out, memory=memory, **told)
        return content(tmp_path / out)

    assert once("one") == once("two")
    assert len(asked) == len(set(asked)) > 0


def test_a_shard_that_is_written_again_is_not_done_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a kill in between would leave new lines under the mark of old ones."""
    run(tmp_path / "out", 2)
    mark, write, seen = tmp_path / "out" / "shards" / "00000.json", run_folder.write_file, []

    def watched(file: Path, text: str) -> None:
        seen.append((file.parent.name, mark.exists()))
        write(file, text)

    monkeypatch.setattr(run_folder, "write_file", watched)
    run(tmp_path / "out", 3)  # the input has grown
    assert seen[:3] == [("kept", False), ("rejected", False), ("shards", False)]


def test_a_shard_that_is_taken_again_is_not_done_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is written again: a kill in between leaves it to be taken once more."""
    part, mark, whole, seen = tmp_path / "part", tmp_path / "joined" / "shards" / "00000.json", whole_file, []
    run(part, 2)

    def watched(file: Path) -> AbstractContextManager[BinaryIO]:
        seen.append((file.parent.name, mark.exists()))
        return whole(file)

    with RunFolder(tmp_path / "joined", {"limit": None}) as joined:
        taken = joined.take(0, part)
        monkeypatch.setattr(run_folder, "whole_file", watched)
        assert joined.take(0, part) == taken == joined.done(0)
    assert seen == [("kept", False), ("rejected", False), ("shards", False)]


def test_a_rerun_does_nothing_and_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path / "out")
    before = content(tmp_path / "out")
    assert run(tmp_path / "out").resumed == 10
    assert content(tmp_path / "out") == before


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    def stopped() -> Iterator[Document]:
        yield from list(documents())[:9]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", seed_documents=stopped())
    assert not (tmp_path / "stopped" / "funnel.json").exists()
    assert run(tmp_path / "stopped").resumed == 8
    run(tmp_path / "whole")
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


AWAY = ToolUnavailable("calc.example cannot be reached")


class OverNetwork:
    """A calculator that asks a server, which is away at some of the calls, counted from 0."""

    name = "Calculator"
    description = "Adds up, elsewhere."
    traits = Traits(in_process=True)

    def __init__(self, *away: int, error: ToolError = AWAY) -> None:
        self.away, self.error, self.calls = away, error, 0

    def __call__(self, text: str, /) -> str:
        self.calls += 1
        if self.calls - 1 in self.away:
            raise self.error
        return Calculator()(text)


def run_with(tool: Tool, out: Path, count: int = 10) -> Progress:
    """Each shard of four has one call, which several of its texts share."""
    settings: dict[str, Any] = {"model": paper_model(), "lessons": [PAPER], "method": AS_PAPER, "shard_size": 4}
    return annotate(documents(count), [tool], out, **settings)


def test_calls_that_lacked_the_network_are_tried_again_and_the_bytes_are_those_of_a_quiet_run(tmp_path: Path) -> None:
    run_with(OverNetwork(), tmp_path / "whole")
    first = run_with(OverNetwork(1), tmp_path / "out")
    assert (first.finished, first.failed, first.unavailable) == (True, {"unavailable": 3}, 3)
    assert first.last_error == "Calculator: calc.example cannot be reached"
    assert json.loads((tmp_path / "out" / "shards" / "00001.json").read_text())["failed"] == {"unavailable": 3}
    assert content(tmp_path / "out") != content(tmp_path / "whole")
    still = OverNetwork(0)
    assert run_with(still, tmp_path / "out").unavailable == 3
    again = OverNetwork()
    second = run_with(again, tmp_path / "out")
    assert (still.calls, again.calls) == (1, 1)  # the other two shards are done
    assert (second.resumed, second.failed, second.last_error) == (6, {}, "")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert run_with(OverNetwork(), tmp_path / "out").resumed == 10


def test_other_failures_are_not_tried_again(tmp_path: Path) -> None:
    first = run_with(OverNetwork(1, error=ToolNothing("nothing found for 'cho'")), tmp_path / "out")
    assert (first.failed, first.last_error) == ({"nothing found": 3}, "")
    again = OverNetwork()
    second = run_with(again, tmp_path / "out")
    assert (again.calls, second.resumed, second.failed) == (0, 10, {"nothing found": 3})


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (ToolError("division by zero"), "refused", ""),
        (ToolTimeout("no answer within 5 s"), "timeout", "Calculator: no answer within 5 s"),
        (RuntimeError("oops"), "broken", "Calculator: RuntimeError: oops"),
    ],
)
def test_only_a_fault_is_an_error_to_tell_of(tmp_path: Path, error: Any, kind: str, told: str) -> None:
    progress = run_with(OverNetwork(1, error=error), tmp_path / "out")
    assert (progress.failed, progress.last_error) == ({kind: 3}, told)


def test_texts_that_wait_for_the_network_and_were_edited_are_refused(tmp_path: Path) -> None:
    run_with(OverNetwork(0), tmp_path / "out", 4)
    edited = (replace(one, text=one.text + "!") for one in documents(4))
    settings: dict[str, Any] = {"model": paper_model(), "lessons": [PAPER], "method": AS_PAPER, "shard_size": 4}
    with pytest.raises(DataError, match="the input has changed: shard 0"):
        annotate(edited, [OverNetwork()], tmp_path / "out", **settings)


def test_a_folder_of_before_failures_were_counted_goes_on(tmp_path: Path) -> None:
    run(tmp_path / "out")
    for file in (tmp_path / "out" / "shards").iterdir():
        said = json.loads(file.read_text())
        del said["failed"]
        file.write_text(json.dumps(said))
    assert run(tmp_path / "out").resumed == 10


def test_other_settings_another_tool_or_another_model_are_refused(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model": paper_model(), "lessons": [PAPER], "method": AS_PAPER, "shard_size": 4}
    run(tmp_path / "out")
    with pytest.raises(DataError, match="was made with other settings: lessons was"):
        run(tmp_path / "out", lesson=replace(PAPER, positions=7))
    with pytest.raises(DataError, match="was made with other settings: tools was .*other folder"):
        annotate(documents(), [Calculator(decimals=3)], tmp_path / "out", **settings)
    other = replace(paper_model(), fingerprint="other")
    more: dict[str, dict[str, Any]] = {
        "model_fingerprint": {"model": other},
        "method": {"method": replace(AS_PAPER, seed=1)},
        "precision": {"model": replace(paper_model(), precision="bfloat16")},
        "shard_size": {"shard_size": 5},
    }
    for name, changed in more.items():
        given: dict[str, Any] = {**settings, **changed}
        with pytest.raises(DataError, match=f"was made with other settings: {name} was"):
            annotate(documents(), [Calculator()], tmp_path / "out", **given)


def limited(out: Path, limit: int | None, passage_tokens: int = 1024) -> Progress:
    return annotate(
        documents(),
        [Calculator()],
        out,
        model=paper_model(),
        lessons=[PAPER],
        method=AS_PAPER,
        shard_size=4,
        limit=limit,
        passage_tokens=passage_tokens,
    )


def test_a_raised_limit_goes_on_and_a_lowered_one_is_refused(tmp_path: Path) -> None:
    """The last shard was not full: it is made again, with the documents that it lacked, and no other."""
    assert limited(tmp_path / "out", 6).documents == 6
    assert json.loads((tmp_path / "out" / "config.json").read_text())["limit"] == 6
    assert limited(tmp_path / "out", 8).resumed == 4
    assert limited(tmp_path / "out", None).resumed == 8
    assert limited(tmp_path / "out", None).resumed == 10
    limited(tmp_path / "whole", None)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    with pytest.raises(DataError, match="other settings: limit was null and is 8"):
        limited(tmp_path / "out", 8)


def test_a_sum_is_not_left_beside_shards_that_it_does_not_know(tmp_path: Path) -> None:
    def stopped() -> Iterator[Document]:
        yield from list(documents())[:9]
        raise KeyboardInterrupt

    run(tmp_path / "out", 4)
    assert (tmp_path / "out" / "funnel.json").exists()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", seed_documents=stopped())
    assert not (tmp_path / "out" / "funnel.json").exists()
    assert not (tmp_path / "out" / "README.md").exists()


def test_an_input_that_has_grown_at_its_end_goes_on(tmp_path: Path) -> None:
    run(tmp_path / "out", 6)
    assert run(tmp_path / "out", 10).resumed == 4
    run(tmp_path / "whole", 10)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_one_that_has_grown_and_was_edited_does_not(tmp_path: Path) -> None:
    run(tmp_path / "out", 6)
    edited = (replace(one, text=one.text + "!") if one.id == "doc-5" else one for one in documents())
    with pytest.raises(DataError, match="the input has changed: shard 1"):
        run(tmp_path / "out", seed_documents=edited)


def test_other_passages_are_refused(tmp_path: Path) -> None:
    limited(tmp_path / "out", None)
    with pytest.raises(DataError, match="other settings: passage_tokens was 1024 and is 512"):
        limited(tmp_path / "out", None, passage_tokens=512)


@pytest.mark.parametrize("count", [6, 3])
def test_an_input_that_was_edited_or_cut_is_noticed(tmp_path: Path, count: int) -> None:
    run(tmp_path / "out")
    with pytest.raises(DataError, match="the input has changed"):
        run(tmp_path / "out", count)
    edited = (replace(one, text=one.text + "!") if one.id == "doc-5" else one for one in documents())
    with pytest.raises(DataError, match="the input has changed: shard 1"):
        run(tmp_path / "out", seed_documents=edited)


def test_a_second_run_on_the_folder_is_refused_while_the_first_is_alive(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "out", {}), pytest.raises(ConfigError, match="another run is writing to"):
        run(tmp_path / "out")


def test_two_texts_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = [Document("a", TEXT), Document("b", TEXT), Document("a", "Another text.")]
    with pytest.raises(DataError, match="two texts are called 'a'"):
        run(tmp_path / "out", seed_documents=iter(twice))


@pytest.mark.parametrize("setting", ["limit", "passage_tokens", "shard_size"])
def test_numbers_that_cannot_be(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError, match=f"{setting}=0: it must be 1 at least"):
        annotate(documents(), [Calculator()], tmp_path / "out", **{setting: 0})  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_an_empty_corpus_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text"):
        run(tmp_path / "out", seed_documents=iter([]))


def test_damage_is_said(tmp_path: Path) -> None:
    run(tmp_path / "out")
    (tmp_path / "out" / "shards" / "00001.json").write_text('{"documents": 4, "ann')
    with pytest.raises(DataError, match="00001.json cannot be read.*damaged"):
        run(tmp_path / "out")
    whole = json.loads((tmp_path / "out" / "shards" / "00000.json").read_text())
    (tmp_path / "out" / "shards" / "00001.json").write_text(json.dumps(whole | {"failed": 3}))
    with pytest.raises(DataError, match="00001.json cannot be read.*damaged"):
        run(tmp_path / "out")
    (tmp_path / "out" / "shards" / "00001.json").write_text('{"documents": 4}')
    with pytest.raises(DataError, match="00001.json cannot be read.*damaged"):
        run(tmp_path / "out")


def test_a_folder_that_says_nothing_of_a_limit_is_not_one_with_another(tmp_path: Path) -> None:
    run(tmp_path / "out")
    config = tmp_path / "out" / "config.json"
    said = json.loads(config.read_text())
    del said["limit"]
    config.write_text(json.dumps(said))
    with pytest.raises(DataError, match="other settings: limit was null and is 8"):
        limited(tmp_path / "out", 8)


def test_a_full_disk_is_one_line_and_what_is_done_is_safe(tmp_path: Path) -> None:
    """A real full disk: files of this process may not grow beyond what the first shard needs."""

    def cramped() -> Iterator[Document]:
        yield from list(documents())[:4]
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        yield from list(documents())[4:]

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(
            DataError, match="cannot write .*00001.jsonl: File too large. What was written before is safe"
        ):
            run(tmp_path / "out", seed_documents=cramped())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert run(tmp_path / "out").resumed == 4
    run(tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_long_documents_are_cut_and_keep_their_identity(tmp_path: Path) -> None:
    long = " ".join(f"Sentence number {n} is here." for n in range(100)) + " " + TEXT
    annotate(
        [Document("long", long)],
        [Calculator()],
        tmp_path / "out",
        model=paper_model(),
        lessons=[PAPER],
        passage_tokens=400,
    )
    (row,) = map(json.loads, (tmp_path / "out" / "kept" / "00000.jsonl").read_text().splitlines())
    assert row["id"].startswith("long#")
    assert len(row["text"]) <= 400


def annotate_many(out: Path) -> None:
    annotate(documents(60), [Calculator()], out, model=paper_model(), lessons=[PAPER], shard_size=2)


def test_killed_at_thirty_random_moments_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL, for real: each run goes on where the one before was killed; the result is that of one quiet run."""
    processes = multiprocessing.get_context("fork")
    began = time.monotonic()
    annotate_many(tmp_path / "whole")
    took = time.monotonic() - began
    chance, kills = random.Random(0), 0
    while kills < 30:
        process = processes.Process(target=annotate_many, args=(tmp_path / "killed",))
        process.start()
        process.join(chance.uniform(0.0, 0.5) * took)
        if process.exitcode is None:
            process.kill()
            kills += 1
        else:  # it was done: as if some of its shards had never been committed
            for file in sorted((tmp_path / "killed" / "shards").iterdir()):
                if chance.random() < 0.8:
                    file.unlink()
        process.join()
    annotate_many(tmp_path / "killed")
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
