"""What a run shows: plain lines for a log, a table on a terminal."""

import io
from dataclasses import replace

import pytest

from toolformer.data_gen.annotate_display import Display
from toolformer.data_gen.shards import Progress
from toolformer.screen import span

FUNNEL = {"Calculator": {"positions": 9, "sampled": 1234, "parsed": 7, "executed": 6, "scored": 5, "kept": 4}}


def progress(documents: int, *, finished: bool = False) -> Progress:
    # each document has two texts
    return Progress(documents, 3, 20, 5_000, FUNNEL, documents // 2, last_error="QA: no answer", finished=finished)


def test_plain_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    out = io.StringIO()
    with Display(total=160, stream=out) as display:
        for seconds, documents in ((10.0, 120), (11.0, 130), (19.0, 140)):  # only the first is due
            clock[0] = seconds
            display.show(progress(documents))
        clock[0] = 19.5  # the last one always is
        display.show(progress(320, finished=True))
    first, last = out.getvalue().splitlines()
    # 100 of the 120 texts were made in this run's 10 seconds
    assert first == (
        "120 of 320 texts, 10.0 texts/s, 500 tokens/s, 20 s left, 4 calls kept in 3 texts, last error: QA: no answer"
    )
    assert last.startswith("320 of 320 texts, 15.4 texts/s")
    assert "left" not in last


def test_while_thresholds_are_found_it_says_so_and_then_what_is_left() -> None:
    out = io.StringIO()
    with Display(total=160, stream=out) as display:
        display.show(Progress(0, tokens=0, read=30, scored=60))
    assert out.getvalue() == "finding thresholds: 60 texts scored\n"
    # 60 of 320 texts have been read, of which 20 are done.
    assert Display(total=160)._texts(Progress(20, read=30, scored=60)) == 320


def test_what_a_tool_says_is_no_markup() -> None:
    out = io.StringIO()
    with Display(stream=out) as display:
        display.show(replace(progress(20), last_error="QA: no [/b] in [red]"))
    assert out.getvalue().endswith("last error: QA: no [/b] in [red]\n")


def test_failures_are_counted_by_kind_and_what_waits_for_the_network_says_how_to_go_on() -> None:
    out = io.StringIO()
    with Display(stream=out) as display:
        display.show(replace(progress(20), failed={"nothing found": 1200}, last_error=""))
        display.show(replace(progress(20, finished=True), failed={"unavailable": 3, "nothing found": 1200}))
    first, last = out.getvalue().splitlines()
    assert first.endswith("3 texts, 1,200 calls without a result (1,200 nothing found)")
    assert last.endswith(
        "1,203 calls without a result (1,200 nothing found, 3 unavailable), 3 of them wait for the network: "
        "the same command again tries them, last error: QA: no answer"
    )


def test_times_in_words() -> None:
    assert [span(seconds) for seconds in (3.9, 303, 7_500)] == ["3 s", "5 min 03 s", "2 h 05 min"]


def test_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    out = io.StringIO()
    with Display(total=160, stream=out) as display:
        display.show(progress(120))
    assert "Calculator" in out.getvalue()
    assert "1,234" in out.getvalue()
