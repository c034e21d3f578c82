"""What is counted of the rounds of a chain."""

import json
import sys
from pathlib import Path

import pytest

from recipes.chains import main
from tests.annotated_sample import call, kept, write_folder

TEXT = "Of 7 boxes, 3 are red, a share of about 0.43, and of 100 boxes 42.86 would be."


def test_calls_of_each_round_with_those_that_are_right_and_that_build_on_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = call(TEXT, " 0.43", "Calculator", "3 / 7", "0.4286")
    second = {**call(TEXT, " 42.86", "Calculator", "100 * 0.4286", "42.86"), "chain": 2, "uses": [0]}
    folder = write_folder(tmp_path / "out", [kept("a", TEXT, first, second), kept("b", TEXT, first)])
    corpus = tmp_path / "corpus.jsonl"
    known = [{"start": TEXT.index("42.86"), "input": "0.4286 * 100", "result": "42.86"}]
    corpus.write_text("".join(json.dumps({"id": name, "text": TEXT, "calls": known}) + "\n" for name in "ab"))
    monkeypatch.setattr(sys, "argv", ["chains", str(folder), str(corpus)])
    main()
    assert capsys.readouterr().out.splitlines() == [
        "round 1: 2 calls in 2 texts, 0 of 2 right, 0 build on earlier ones",
        "round 2: 1 calls in 1 texts, 1 of 1 right, 1 build on earlier ones",
    ]
