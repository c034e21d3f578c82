"""Which questions were in the texts that a model learnt from."""

import json
from pathlib import Path

import pytest

from toolformer.cli import main
from toolformer.eval.examples import Example
from toolformer.eval.seen import WORDS, find_seen, said

QUESTION = "Ann had 4 eggs, found 3 more, gave 2 to Bob, and ate one. How many are left? The answer is"
OTHER = "Ben had 4 eggs and lost some of them on his way home from the market. How many? The answer is"


def test_thirteen_words_in_a_row_are_enough_and_twelve_are_not() -> None:
    tasks = {"sums": [Example("a", QUESTION), Example("b", OTHER)], "short": [Example("c", "The capital of Peru is")]}
    words = QUESTION.replace(",", "").replace(".", "").split()
    thirteen = "it said: " + "; ".join(words[2 : 2 + WORDS]).upper() + " and so on"
    found = find_seen(tasks, ["nothing", thirteen, thirteen])
    assert (found["sums"].seen, found["sums"].examples, found["sums"].short) == (["a"], 2, 0)
    assert (found["short"].seen, found["short"].short) == ([], 1)
    assert find_seen(tasks, [" ".join(words[2 : 1 + WORDS])])["sums"].seen == []
    assert said(found) == (
        "examples that share 13 words in a row with what was learnt: sums 1 of 2, short 0 of 1; "
        "1 have fewer than 13 words and were not checked"
    )


def test_an_evaluation_says_what_its_model_has_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data" / "svamp"
    folder.mkdir(parents=True)
    body, question = QUESTION.removesuffix(" The answer is").split(". ")
    problems = [
        {"ID": "c1", "Body": f"{body}.", "Question": question, "Answer": 4.0},
        {"ID": "c2", "Body": OTHER.split(". ")[0] + ".", "Question": "How many are left?", "Answer": 1.0},
    ]
    (folder / "SVAMP.json").write_text(json.dumps(problems), "utf-8")
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"text": f"{QUESTION} 4."}) + "\n", "utf-8")
    out = str(tmp_path / "out")
    learnt = ["--learnt", str(tmp_path / "corpus.jsonl")]
    main(
        [
            "eval",
            "--tasks",
            "svamp",
            "--k",
            "0",
            "--data",
            str(tmp_path / "data"),
            "--tools",
            "none",
            *learnt,
            "--out",
            out,
        ]
    )
    assert "svamp 1 of 2" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "seen.json").read_text())["tasks"]["svamp"]["seen"] == ["c1"]
