"""Which kept calls are right: the built-in corpus knows."""

import json
from pathlib import Path

import pytest

from recipes.builtin.judge import judged
from toolformer.builtin.corpus import Entry, TrueCall
from toolformer.errors import DataError

TEXT = "Anna had 312 stamps and got 145 more, so now Anna has 457 stamps."
ENTRY = Entry("a", TEXT, "sum", (TrueCall("Calculator", "312 + 145", "457", 54, ("145 + 312",)),))
FACT = Entry(
    "b",
    "The capital of Fiji is Suva.",
    "fact",
    (TrueCall("WikiSearch", "Fiji", "Suva is the seat.", 23, answer="Suva"), TrueCall("QA", "Where?", "Suva", 23)),
)


def folder(path: Path, entry: Entry, *calls: tuple[str, str, str, int]) -> Path:
    (path / "kept").mkdir(parents=True)
    (path / "kept" / "00000.jsonl").write_text(
        json.dumps(
            {
                "id": entry.id,
                "text": entry.text,
                "annotated": entry.text,
                "calls": [
                    {"tool": tool, "input": input_, "result": result, "start": start}
                    | {"p_open": 0.5, "loss_plain": 2.0, "loss_call": 2.0, "loss_result": 0.1, "gain": 1.9}
                    for tool, input_, result, start in calls
                ],
            }
        )
        + "\n"
    )
    return path


def test_a_call_is_right_by_its_result_and_listed_by_its_input(tmp_path: Path) -> None:
    out = folder(
        tmp_path,
        ENTRY,
        ("Calculator", "312 - 145", "167", 10),
        ("Calculator", "145 +312", "457", 40),
        ("Calculator", "156 + 301", "457", 53),
    )
    verdict = judged(out, [ENTRY])["Calculator"]
    assert (verdict.kept, verdict.right, verdict.listed, verdict.in_place) == (3, 2, 1, 1)
    assert "66.7% right" in str(verdict)


def test_what_a_search_found_must_give_the_answer_away(tmp_path: Path) -> None:
    out = folder(
        tmp_path,
        FACT,
        ("WikiSearch", "Fiji islands", "Fiji: its capital is Suva", 22),
        ("WikiSearch", "Fiji", "Fiji: an island", 5),
        ("QA", "Which town?", "Suva", 22),
        ("QA", "Which island?", "Viti Levu", 22),
    )
    verdicts = judged(out, [FACT])
    assert [(v.kept, v.right, v.in_place) for v in verdicts.values()] == [(2, 1, 1), (2, 1, 1)]


def test_another_corpus_is_refused(tmp_path: Path) -> None:
    out = folder(tmp_path, ENTRY, ("Calculator", "312 + 145", "457", 53))
    with pytest.raises(DataError, match="no text of the built-in corpus"):
        judged(out, [FACT])
