"""The tasks beyond the paper's: math with large numbers, older sets, and PopQA."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ScriptedLM
from tests.unit.test_eval_tasks import docs, written
from toolformer.errors import DataError
from toolformer.eval.answers import judge
from toolformer.eval.evaluating import evaluate, load_tasks
from toolformer.eval.results import results
from toolformer.eval.settings import GROUPS, Settings
from toolformer.eval.tables import grids
from toolformer.eval.tasks import popqa

LISTED = [{"question": "Paul had 22188 books. How many more?", "answer": "12650", "func": "34838 - 22188"}]
SOLVED = [{"iIndex": 0, "sQuestion": " Ann had 2  eggs. How many?", "lSolutions": [16.0], "lEquations": ["X=16"]}]
FILES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "svamp_xl": ("xl/svamp-xl/test.json", LISTED),
    "mawps_xl": ("xl/mawps-xl/test.json", LISTED),
    "asdiv_xl": ("xl/asdiv-xl/test.json", LISTED),
    "funcqa_one_hop": ("funcqa/funcqa_oh.json", LISTED),
    "funcqa_multi_hop": ("funcqa/funcqa_mh.json", LISTED),
    "multiarith": ("multiarith/MultiArith.json", SOLVED),
    "singleeq": ("singleeq/questions.json", SOLVED),
    "addsub": ("addsub/AddSub.json", SOLVED),
    "gsm_hard": ("gsm_hard/gsmhardv2.jsonl", [{"input": "He pays $4933828. How much?", "code": "x", "target": -1.5}]),
    "gsm8k_xl": (
        "xl/gsm8k-xl/test.jsonl",
        [{"question": "{v_2} and {v_1}. How many?", "enhanced_v": [4646, 12], "enhanced_result": 4658}],
    ),
}
PROMPTS = {
    "listed": "Paul had 22188 books. How many more? The answer is",
    "solved": "Ann had 2 eggs. How many? The answer is",
}


def put(folder: Path, name: str) -> str:
    """The file of a task in its place; GSM8K-XL's has the end of a name that it does not keep to."""
    file, rows = FILES[name]
    data = written(folder, file, rows)
    if name == "gsm8k_xl":
        (folder / file).rename(folder / "xl/gsm8k-xl/test.json")
    return data


def test_the_groups_hold_them_all_and_no_default_asks_them() -> None:
    assert {*GROUPS["xl"], *GROUPS["more_math"]} == set(FILES)
    assert GROUPS["math"] == ("asdiv", "svamp", "mawps", "gsm8k")


@pytest.mark.parametrize("name", FILES)
def test_each_is_read_from_its_file_and_asked_as_the_papers_problems(tmp_path: Path, name: str) -> None:
    (task,) = load_tasks(Settings((name,), data=Path(put(tmp_path, name)))).values()
    (one,) = task.test_docs()
    expected = {
        "gsm_hard": ("He pays $4933828. How much? The answer is", " -1.5."),
        "gsm8k_xl": ("12 and 4646. How many? The answer is", " 4658"),
    }.get(name, (PROMPTS["listed"], " 12,650") if FILES[name][1] is LISTED else (PROMPTS["solved"], " 16"))
    assert one["prompt"] == expected[0]
    assert judge(one["rule"], expected[1], one["answers"]).right
    assert not judge(one["rule"], " 17", one["answers"]).right
    assert task.dataset.size.published != 1
    assert name == "asdiv_xl" or task.dataset.size.odd


@pytest.mark.parametrize("name", [*FILES, "popqa"])
def test_a_missing_file_is_named_with_what_should_be_in_it(tmp_path: Path, name: str) -> None:
    file, rows = FILES.get(name, ("popqa/popqa.json", [question()]))
    with pytest.raises(DataError) as error:
        load_tasks(Settings((name,), data=tmp_path))
    assert f"{tmp_path / file.removesuffix('l' if name == 'gsm8k_xl' else '')} is not there: put " in str(error.value)
    named = [field for field in rows[0] if f"'{field}'" in str(error.value)]
    assert len(named) >= 2
    assert "hub" not in str(error.value)
    with pytest.raises(DataError, match="is read from its publisher's files only"):
        load_tasks(Settings((name,)))


@pytest.mark.parametrize(
    ("name", "row", "complaint"),
    [
        (
            "addsub",
            {"sQuestion": "What?", "lSolutions": 3},
            "item 1: 'lSolutions' should be a list of numbers, not '3'",
        ),
        ("svamp_xl", {"question": "What?"}, "item 1 has no 'answer'; it has question"),
        (
            "gsm8k_xl",
            {"question": "{v_1}, {v_2}?", "enhanced_v": [1], "enhanced_result": 1},
            "line 1: 'enhanced_v' does",
        ),
        ("gsm8k_xl", {"question": "{v_1}?", "enhanced_v": 5, "enhanced_result": 1}, "line 1: 'enhanced_v' does not"),
    ],
)
def test_a_row_of_another_form_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, row: dict[str, Any], complaint: str
) -> None:
    monkeypatch.setitem(FILES, name, (FILES[name][0], [row]))
    with pytest.raises(DataError, match=complaint):
        load_tasks(Settings((name,), data=Path(put(tmp_path, name))))


def test_a_problem_without_a_solution_is_not_asked(tmp_path: Path) -> None:
    data = written(tmp_path, "addsub/AddSub.json", [*SOLVED, {"sQuestion": "What?", "lSolutions": []}])
    (task,) = load_tasks(Settings(("addsub",), data=Path(data))).values()
    assert task.dataset.size.left_out == {"it has no answer": 1}


def question(number: int = 0, views: object = 7, answers: object = '["politician", "polit."]') -> dict[str, Any]:
    return {
        "id": number,
        "subj": f"Subject {number}",
        "question": f"What is Subject {number}'s occupation?",
        "s_pop": views,
        "possible_answers": answers,
    }


def test_popqa_is_asked_in_quarters_of_like_popularity(tmp_path: Path) -> None:
    rows = [question(n, views) for n, views in enumerate((500, 1, 40, 2, 41, 9000, 501, 2))]
    made = docs(popqa.popqa(written(tmp_path, "popqa/popqa.json", rows)))
    assert made[0]["prompt"] == "Answer the following question: What is Subject 0's occupation?"
    assert (made[0]["answers"], made[0]["without"], made[0]["rule"]) == (["politician", "polit."], ["QA"], "qa")
    quarters = [int(one["group"].split()[1]) for one in made]
    assert quarters == [3, 1, 2, 2, 3, 4, 4, 2]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (question(views="many"), "'s_pop' should be a whole number, not 'many'"),
        (question(answers="[broken"), "'possible_answers' is no JSON"),
        (question(answers=["politician"]), "'possible_answers' is no JSON"),
        (question(answers='"politician"'), "'possible_answers' should be a list of texts"),
    ],
)
def test_a_row_of_popqa_of_another_form_is_named(tmp_path: Path, row: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        popqa.popqa(written(tmp_path, "popqa/popqa.json", [row]))


def test_popqa_has_a_table_by_popularity(tmp_path: Path) -> None:
    rows = [question(n, 10**n, '["4"]') for n in range(8)] + [question(8, 3, "[]")]
    written(tmp_path, "popqa/popqa.json", rows)

    def say(said: str) -> dict[str, float]:
        if said.endswith("?"):
            return {" ": 1.0}
        known = any(f"Subject {number}" in said for number in (4, 5, 6, 7))
        return {"4" if known else "9": 1.0} if said.endswith(" ") else {"\0END": 1.0}

    evaluate(ScriptedLM(follows=say), [], Settings(("popqa",), (0,), data=tmp_path), tmp_path / "out")
    (table,) = (grid for grid in grids([results(tmp_path / "out")]) if grid.title == "popqa by popularity")
    assert table.rows[0].cells == ("scripted", "0", "0.0, 0.0", "0.0, 0.0", "50.0, 0.0", "100.0, 0.0")
    assert json.dumps(results(tmp_path / "out")["tasks"]["popqa"]["size"]["left_out"]) == '{"it has no answer": 1}'
