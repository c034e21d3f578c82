"""What a run shows: plain lines for a log, a table on a terminal."""

import io

import pytest

from toolformer.data_gen.progress import Display
from toolformer.data_gen.run import Progress

FUNNEL = {"Calculator": {"positions": 9, "sampled": 1234, "parsed": 7, "executed": 6, "scored": 5, "kept": 4}}


def progress(documents: int, *, finished: bool = False) -> Progress:
    # each document has two texts
    return Progress(documents, 3, 20, 5_000, FUNNEL, documents // 2, last_error="QA: no answer", finished=finished)


def test_plain_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 11.0, 12.0, 40.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    out = io.StringIO()
    with Display(total=160, stream=out) as display:
        for documents in (120, 130, 140):  # at 10, 11 and 12 seconds: only the first is due
            display.show(progress(documents))
        display.show(progress(320, finished=True))
    first, last = out.getvalue().splitlines()
    # 100 of the 120 texts were made in this run's 10 seconds
    assert first == (
        "120 of 320 texts, 10.0 texts/s, 500 tokens/s, 20 s left, 4 calls kept in 3 texts, last error: QA: no answer"
    )
    assert last.startswith("320 of 320 texts, 7.5 texts/s")
    assert "left" not in last


def test_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    out = io.StringIO()
    with Display(total=160, stream=out) as display:
        display.show(progress(120))
    assert "Calculator" in out.getvalue()
    assert "1,234" in out.getvalue()
