"""Where annotating came to no decision, as a folder's rejected calls tell."""

import json
from pathlib import Path

from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.records import Document
from toolformer.data_gen.undecided import undecided

SUM = "Of 3 and 4 you make 7 in all, or 12 as a product."
OTHER = "There are 5 of 9, and 4 are left."


def rejected(name: str, text: str, before: str, result: str | None) -> dict[str, object]:
    start = text.index(before)
    near = text[max(0, start - 9) : start + 40]
    said = {"id": name, "tool": "Calculator", "start": start, "stage": "rank", "reason": "another was likelier"}
    return {**said, "near": near, "at": min(start, 9), "input": "1 + 1", "result": result}


def folder(path: Path, *calls: dict[str, object]) -> AnnotatedFolder:
    kept = {"id": "sum", "text": SUM, "annotated": SUM, "calls": []}
    for name, rows in (("kept", [kept]), ("rejected", calls)):
        (path / name).mkdir(parents=True)
        (path / name / "00000.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return AnnotatedFolder(path)


def test_a_dropped_call_that_says_what_comes_next_leaves_its_place_undecided(tmp_path: Path) -> None:
    one = folder(
        tmp_path / "one",
        rejected("sum", SUM, " 7", "7"),
        rejected("sum", SUM, " 12", "34"),
        rejected("sum", SUM, " in all", None),
        rejected("elsewhere", SUM, " 7", "7"),
    )
    two = folder(tmp_path / "two", rejected("sum", SUM, " 12", "12"), rejected("other", OTHER, " 4", "4"))
    found = undecided([one, two], [Document("other", OTHER)])
    assert found == {SUM: {SUM.index(" 7"), SUM.index(" 12")}, OTHER: {OTHER.index(" 4")}}
    assert undecided([one], []) == {SUM: {SUM.index(" 7")}}
