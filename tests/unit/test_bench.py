"""The benches, as their commands run them, on the models that come with the package."""

import json
from pathlib import Path

import pytest

from tests import bench_engines
from tests.unit.test_datatrove import CORPUS
from toolformer.cli import main
from toolformer.data_gen import AnnotatedFolder
from toolformer.decode import decode_bench


def test_the_annotator_keeps_the_calls_of_the_plain_method(capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--texts", "2", "--plain-texts", "1", "--positions", "2", "--samples", "2", "--tools", "calculator,dates")
    main(["bench", "annotate", *few, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["kept"] > 0
    assert said["different"] == []
    assert said["fast_tokens"] >= said["least_tokens"] > 0
    assert said["plain_tokens"] > said["fast_tokens"] / 2  # of one of the two texts


def test_the_decoder_says_what_generate_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(decode_bench, "TOKENS", 31)
    monkeypatch.setattr(decode_bench, "BATCHES", (2,))
    monkeypatch.setattr(decode_bench, "MANY", 3)
    main(["bench", "decode", "--model", "builtin-tools", "--rounds", "1", "--json"])
    plain, calls, uneven = map(json.loads, capsys.readouterr().out.splitlines())
    assert plain["same"] == uneven["same"] == 1
    assert calls["what"] == "a call each, batch 2"


def test_engines_are_held_to_one_process_in_what_they_keep_and_in_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[int] = []

    def seconds(engine: str, job: bench_engines.Job) -> float:
        """In this process; a start takes 2 s, and 12 texts 10 s more, which two workers share."""
        bench_engines.ENGINES[engine](job)
        kept.append(sum(1 for _ in AnnotatedFolder(job.out).kept()))
        return 2.0 if job.corpus.name == "few" else 12.0 if engine == "one" else 7.0

    monkeypatch.setattr(bench_engines, "seconds", seconds)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    bench_engines.main([str(CORPUS), "--texts", "12", "--engines", "one,workers"])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| one | 2.0 s | 12.0 s | 1.00 | 1.00 | the same bytes |",
        "| workers | 2.0 s | 7.0 s | 2.00 | 2.00 | the same bytes |",
    ]
    assert kept[1] == kept[3] > 0


def test_what_engines_keep_in_another_order_and_what_differs_is_told_apart(tmp_path: Path) -> None:
    def folder(name: str, *rows: tuple[str, str]) -> Path:
        lines: list[dict[str, object]] = [
            {"id": id_, "text": "4", "annotated": said, "calls": [], "date": None, "url": None} for id_, said in rows
        ]
        bench_engines._write_rows(tmp_path / name / "kept" / "00000.jsonl", lines)
        return tmp_path / name

    one = folder("one", ("a", "4"), ("b", "4"))
    assert bench_engines.likeness(one, one) == "the same bytes"
    assert bench_engines.likeness(folder("turned", ("b", "4"), ("a", "4")), one) == "the same, in another order"
    assert bench_engines.likeness(folder("less", ("a", "4"), ("b", "5")), one) == "1 of 2 differ"
    assert bench_engines.likeness(folder("other", ("a", "4"), ("c", "4")), one) == "2 of 2 differ"
