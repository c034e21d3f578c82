"""Parts of a corpus, each run by itself, are the same bytes as one run when they are joined."""

import json
import multiprocessing
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_calibrate import LESSON, Adds, sums
from tests.unit.test_run import AWAY, OverNetwork, content
from toolformer import ConfigError, DataError
from toolformer.cli import main
from toolformer.data_gen import AnnotatedFolder, CorpusPart, Document, annotate, calibrate, merge_parts
from toolformer.data_gen import threshold as module
from toolformer.data_gen.method import PAPER as AS_PAPER
from toolformer.data_gen.shards import Progress
from toolformer.tools.calculator import Calculator


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds are found on the first three shards, of ten texts each."""
    monkeypatch.setattr(calibrate, "DOCUMENTS", 24)
    monkeypatch.setattr(calibrate, "RARE", 24)
    for one in (module, calibrate):
        monkeypatch.setattr(one, "FEWEST", 20)


def annotated(out: Path, part: str = "1/1", corpus: Iterable[Document] | None = None, **more: Any) -> Progress:
    settings: dict[str, Any] = {
        "model": Adds(),
        "lessons": [LESSON],
        "shard_size": 10,
        "part": CorpusPart.read(part),
        **more,
    }
    return annotate(corpus or sums(72), [Calculator()], out, **settings)


def parts(folder: Path, of: int, **more: Any) -> list[Path]:
    paths = [folder / f"{number}" for number in range(1, of + 1)]
    for number, path in enumerate(paths, 1):
        annotated(path, f"{number}/{of}", **more)
    return paths


def kill_now_and_then(out: Path, part: str) -> None:
    """Run a part, and kill it, SIGKILL, several times on its way."""
    processes, chance = multiprocessing.get_context("fork"), random.Random(part)
    began = time.monotonic()
    annotated(out.with_name("quiet"), part)
    took = time.monotonic() - began
    for _ in range(4):
        process = processes.Process(target=annotated, args=(out, part))
        process.start()
        process.join(chance.uniform(0.1, 0.6) * took)
        process.kill()
        process.join()


@pytest.mark.parametrize("of", [1, 2, 5, 20])
def test_the_parts_of_any_split_one_of_them_killed_are_the_bytes_of_one_run(tmp_path: Path, of: int) -> None:
    annotated(tmp_path / "whole")
    kill_now_and_then(tmp_path / "1", f"1/{of}")
    if of > 1:
        joined = merge_parts(parts(tmp_path, of)[::-1], tmp_path / "out")
        assert joined.documents() == 72
    else:
        annotated(tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert annotated(tmp_path / "out").resumed == 72  # it is the folder of one run


def test_a_part_is_every_so_manieth_shard_and_says_so(tmp_path: Path) -> None:
    progress = annotated(tmp_path, "2/3")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [f"0000{n}.jsonl" for n in (1, 4, 7)]
    assert (progress.documents, progress.read) == (22, 72)
    assert json.loads((tmp_path / "config.json").read_text())["part"] == "2/3"
    assert json.loads((tmp_path / "end.json").read_text())["shards"] == 8
    assert AnnotatedFolder(tmp_path).documents() == 22


def interrupted(out: Path, texts: int) -> None:
    """The first of two parts, stopped when so many texts of the corpus have been read."""

    def stopped() -> Iterator[Document]:
        yield from sums(72)[:texts]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotated(out, "1/2", stopped())


def test_a_stopped_part_goes_on_and_is_done_once(tmp_path: Path) -> None:
    interrupted(tmp_path, 55)
    assert not (tmp_path / "end.json").exists()
    with pytest.raises(DataError, match=r"part 1/2, .*, is not finished: run it again"):
        merge_parts([tmp_path], tmp_path / "out")
    assert annotated(tmp_path, "1/2").resumed == 30
    assert annotated(tmp_path, "1/2").resumed == 40


def test_a_part_that_grows_is_not_finished_meanwhile(tmp_path: Path) -> None:
    annotated(tmp_path, "1/2", sums(42))

    interrupted(tmp_path, 69)
    assert not (tmp_path / "end.json").exists()


def test_thresholds_of_a_beginning_are_those_of_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotated(tmp_path / "whole")
    annotated(tmp_path / "first", limit=30)

    def never(*_: object) -> None:
        raise AssertionError("thresholds are not found again")

    monkeypatch.setattr("toolformer.data_gen.shards.calibrate", never)
    merge_parts(parts(tmp_path, 3, thresholds=tmp_path / "first"), tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_thresholds_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    annotated(tmp_path / "first", limit=30)
    with pytest.raises(DataError, match="first was made with other settings: method was"):
        annotated(tmp_path / "out", thresholds=tmp_path / "first", method=replace(AS_PAPER, filtering_threshold="auto"))
    annotated(tmp_path / "out", corpus=sums(90)[50:])
    with pytest.raises(DataError, match="out was made by other thresholds than those that are given"):
        annotated(tmp_path / "out", corpus=sums(90)[50:], thresholds=tmp_path / "first")
    annotated(tmp_path / "given", method=AS_PAPER)
    with pytest.raises(DataError, match="given has no thresholds that"):
        annotated(tmp_path / "new", thresholds=tmp_path / "given", method=AS_PAPER)
    with pytest.raises(DataError, match="config.json cannot be read"):
        annotated(tmp_path / "new", thresholds=tmp_path / "nowhere")


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one, two = parts(tmp_path, 2)
    out = tmp_path / "out"
    with pytest.raises(DataError, match="1 of 2 parts are missing, 2/2 first"):
        merge_parts([one], out)
    with pytest.raises(DataError, match=r"part 1/2 is there 2 times"):
        merge_parts([one, one, two], out)
    with pytest.raises(DataError, match="is one of 2 parts, and .* one of 3"):
        merge_parts([one, parts(tmp_path / "three", 3)[1]], out)
    with pytest.raises(ConfigError, match="nothing to merge"):
        merge_parts([], out)
    annotated(tmp_path / "whole")
    with pytest.raises(DataError, match="whole is no part but a whole corpus"):
        merge_parts([tmp_path / "whole"], out)
    with pytest.raises(DataError, match="tests is no part of an annotated corpus"):
        merge_parts([Path("tests")], out)
    annotated(tmp_path / "other", "2/2", method=replace(AS_PAPER, seed=7))
    with pytest.raises(
        DataError, match=r"other was made with other settings than .*: seed, filtering_threshold, everywhere"
    ):
        merge_parts([one, tmp_path / "other"], out)
    edited = [replace(text, text=text.text + "!") if n == 3 else text for n, text in enumerate(sums(72))]
    annotated(tmp_path / "edited", "2/2", edited)  # the text stands in a shard of the other part
    with pytest.raises(DataError, match="parts of different corpora"):
        merge_parts([one, tmp_path / "edited"], out)
    assert not out.exists()


def test_damaged_parts_are_refused(tmp_path: Path) -> None:
    one, two = parts(tmp_path, 2)
    kept = one / "kept" / "00002.jsonl"
    whole = kept.read_bytes()
    kept.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match="shard 2 of .* holds 7 texts with calls, not 8"):
        merge_parts([one, two], tmp_path / "out")
    kept.unlink()
    with pytest.raises(DataError, match="00002.jsonl is missing: the folder is damaged"):
        merge_parts([one, two], tmp_path / "out")
    kept.write_bytes(whole)
    (one / "shards" / "00004.json").unlink()
    with pytest.raises(DataError, match="1 holds 3 shards of 4: it is damaged"):
        merge_parts([one, two], tmp_path / "out")
    (one / "end.json").write_text(json.dumps({"shards": 10**18, "corpus": ""}))
    with pytest.raises(DataError, match="1 holds 3 shards of 500000000000000000: it is damaged"):
        merge_parts([one, two], tmp_path / "out")
    (one / "end.json").write_text('{"shards": "many", "corpus": ""}')
    with pytest.raises(DataError, match="end.json is damaged"):
        merge_parts([one, two], tmp_path / "out")


def test_what_was_joined_of_another_corpus_is_not_overwritten(tmp_path: Path) -> None:
    merge_parts(parts(tmp_path, 2), tmp_path / "out")
    before = content(tmp_path / "out")
    with pytest.raises(DataError, match="was made of other documents than that of"):
        merge_parts(parts(tmp_path / "new", 2, corpus=sums(60) + sums(90)[75:]), tmp_path / "out")
    with pytest.raises(DataError, match=r"was made with other settings: part was"):
        merge_parts([tmp_path / "1", tmp_path / "2"], tmp_path / "1")
    (tmp_path / "out" / "shards" / "00003.json").unlink()  # as if it had been killed
    merge_parts([tmp_path / "1", tmp_path / "2"], tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_calls_that_wait_for_the_network_are_tried_again_in_the_joined_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, Any] = {"model": Adds(), "lessons": [LESSON], "method": AS_PAPER, "shard_size": 4}
    for number in (1, 2):
        tool = OverNetwork(0, error=AWAY) if number == 1 else OverNetwork()
        annotate(sums(12), [tool], tmp_path / f"{number}", part=CorpusPart(number, 2), **settings)
    merge_parts([tmp_path / "1", tmp_path / "2"], tmp_path / "out")
    assert "1 calls wait for the network" in caplog.text
    annotate(sums(12), [OverNetwork()], tmp_path / "out", **settings)
    annotate(sums(12), [OverNetwork()], tmp_path / "whole", **settings)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_parts_of_documents_that_somebody_else_divided(tmp_path: Path) -> None:
    """Their shards stand between each other's, and they are not mixed with parts that have read everything."""
    given: dict[str, Any] = {"model": Adds(), "lessons": [LESSON], "method": AS_PAPER, "shard_size": 10}
    texts = sums(72)
    for number, some in enumerate((texts[:50], texts[50:]), 1):
        annotate(some, [Calculator()], tmp_path / f"{number}", part=CorpusPart(number, 2, alone=True), **given)
    one, two = tmp_path / "1", tmp_path / "2"
    assert [path.stem for path in sorted((two / "kept").iterdir())] == ["00001", "00003", "00005"]
    joined = merge_parts([one, two], tmp_path / "out")
    whole = tmp_path / "whole"
    annotate(texts, [Calculator()], whole, **given)
    assert sorted(text.id for text in joined.kept()) == sorted(text.id for text in AnnotatedFolder(whole).kept())
    assert (joined.documents(), joined.funnel()) == (72, AnnotatedFolder(whole).funnel())
    annotate(texts, [Calculator()], tmp_path / "third", part=CorpusPart(2, 2), **given)
    with pytest.raises(DataError, match="parts of different corpora"):
        merge_parts([one, tmp_path / "third"], tmp_path / "other")
    with pytest.raises(DataError, match="other settings: part was"):
        annotate(texts, [Calculator()], one, part=CorpusPart(1, 2), **given)
    with pytest.raises(ConfigError, match="each part would find thresholds of its own"):
        annotate(
            texts, [Calculator()], tmp_path / "auto", part=CorpusPart(1, 2, alone=True), model=Adds(), lessons=[LESSON]
        )
    assert not (tmp_path / "auto").exists()


@pytest.mark.parametrize("said", ["3", "0/3", "4/3", "a/b", "1/0", "-1/3", "1/3/5", "1/" + 12 * "9"])
def test_what_is_no_part(said: str) -> None:
    with pytest.raises(ConfigError, match="part"):
        CorpusPart.read(said)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [
        {"id": f"t{n}", "text": f"Ann had {n} cups and bought {n + 5} more: now {2 * n + 5} cups."} for n in range(9)
    ]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(text) + "\n" for text in texts))
    given = ("annotate", str(corpus), "--tools", "calculator", "--filtering-threshold", "lesson", "--shard-size", "2")
    main([*given, "--out", str(tmp_path / "whole")])
    for number in (1, 2):
        main([*given, "--shard", f"{number}/2", "--out", str(tmp_path / f"part-{number}")])
    main(["merge", str(tmp_path / "part-1"), str(tmp_path / "part-2"), "--out", str(tmp_path / "out")])
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'out'}: 9 texts, ")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
