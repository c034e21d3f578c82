"""Both benches, as their commands run them, on the models that come with the package."""

import json

import pytest

from toolformer.cli import main
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
