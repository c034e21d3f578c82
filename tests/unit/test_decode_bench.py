"""The decoder's bench: both sides say the same, and the table says who was faster."""

import re

import pytest

from toolformer.decode import decode_bench


def test_both_sides_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_bench, "TOKENS", 31)
    monkeypatch.setattr(decode_bench, "BATCHES", (3,))
    monkeypatch.setattr(decode_bench, "MANY", 3)
    texts = [f"Of the {number} boxes in the house, {number} were full of oranges. " * 3 for number in range(5)]
    plain, calls, uneven = map(str, decode_bench.bench_decode("builtin", texts, rounds=1))
    assert decode_bench.HEADER.split() == ["tokens/s", "transformers", "ratio", "floor", "same"]
    assert re.fullmatch(r"no calls, batch 3 +[\d,]+ +[\d,]+ +\d+\.\d\d +0\.95 +100%( +MISSED)?", plain)
    assert calls.startswith("a call each, batch 3 ")
    assert re.match(r"3 texts of \d+ to \d+ .* 1\.30 +100%", uneven)


def test_no_text_ends_where_it_was_not_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the token that is taken for the end is one that the model says all the time."""
    monkeypatch.setattr(decode_bench, "TOKENS", 31)
    monkeypatch.setattr(decode_bench, "BATCHES", (3,))
    monkeypatch.setattr(decode_bench, "MANY", 3)
    monkeypatch.setattr(decode_bench, "end_of", lambda model: model.encode(".").ids[0])
    texts = [f"Of the {number} boxes in the house, {number} were full of oranges. " * 3 for number in range(5)]
    assert [line.same for line in decode_bench.bench_decode("builtin", texts, rounds=1)][::2] == [1.0, 1.0]
