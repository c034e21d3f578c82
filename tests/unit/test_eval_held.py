"""Which examples an index holds, and what the tables say of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ScriptedLM
from tests.unit.test_eval_tasks import docs, written
from toolformer.errors import DataError
from toolformer.eval.evaluating import evaluate
from toolformer.eval.examples import Example
from toolformer.eval.held import FILE, NEAREST, held, read_held, searched
from toolformer.eval.results import write_results
from toolformer.eval.settings import Settings
from toolformer.eval.tables import grids
from toolformer.eval.tasks import lama, popqa, questions
from toolformer.tools.calculator import Calculator
from toolformer.tools.index_build import build_index
from toolformer.tools.knowledge_table import KnowledgeTable
from toolformer.tools.qa import QA
from toolformer.tools.search_index import SearchIndex
from toolformer.tools.wiki_search import WikiSearch

PASSAGES = [
    ("Ada Lovelace", "She was born in London and wrote of an engine."),
    ("Émile Zola", "A writer of novels, who was no politician."),
    ("Oak", "A plant that bears acorns."),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    folder = tmp_path_factory.mktemp("passages")
    rows = [{"title": title, "text": text} for title, text in PASSAGES]
    rows += [{"title": f"Tree {number}", "text": "It bears acorns, acorns, acorns."} for number in range(NEAREST)]
    written(folder, "p.jsonl", rows)
    build_index(folder / "p.jsonl", folder / "index")
    return SearchIndex.open(folder / "index")


def example(id_: str, answer: str = "x", subject: str = "", question: str = "") -> Example:
    return Example(id_, "asked", (answer,), "qa", subject=subject, question=question)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (example("a subject that is a title", subject="emile  zola"), True),
        (example("a subject that only stands in a text", subject="London"), False),
        (example("an answer in a found passage", "london", question="where was ada lovelace born"), True),
        (example("an answer in a title", "ada lovelace", question="who was born in london"), True),
        (example("part of a word is no answer", "Lond", question="where was ada lovelace born"), False),
        (example("an answer in a passage that is not found", "London", question="who writes novels"), False),
        (example("an answer behind the nearest", "plant", question="which one bears acorns"), False),
        (example("both", "politician", "Émile Zola", "what is zola's occupation"), True),
        (example("a title without an answer", "painter", "Émile Zola", "what is zola's occupation"), False),
        (example("an answer without a title", "politician", "Zola", "what is zola's occupation"), False),
        (example("nothing to look for"), False),
    ],
    ids=lambda one: one.id if isinstance(one, Example) else str(one),
)
def test_an_index_holds_an_example_by_title_and_answer(index: SearchIndex, one: Example, expected: bool) -> None:
    assert [*held(index, [one])] == ([one] if expected else [])


def test_tasks_say_what_is_looked_for(tmp_path: Path) -> None:
    written(tmp_path, "lama/relations.jsonl", [{"relation": "P1", "template": "[X] is in [Y] ."}])
    written(tmp_path, "lama/TREx/P1.jsonl", [{"sub_uri": "Q1", "sub_label": "Ada", "obj_label": "London"}])
    row = {"masked_sentences": ["She was born in [MASK]."], "obj_label": "London"}
    written(tmp_path, "lama/Google_RE/a_test.jsonl", [row | {"sub_label": "Ada"}])
    written(tmp_path, "lama/Squad/test.jsonl", [row])
    popular = {"id": 1, "subj": "Ada", "question": "What is Ada?", "s_pop": 1, "possible_answers": '["countess"]'}
    written(tmp_path, "popqa/popqa.json", [popular])
    data = written(tmp_path, "nq_open/NQ-open.dev.jsonl", [{"question": "who is  Ada", "answer": ["countess"]}])
    readers: list[Any] = [lama.trex, lama.google_re, lama.squad, popqa.popqa, questions.natural_questions]
    found = [(one["subject"], one["question"]) for reader in readers for one in docs(reader(data))]
    assert found == [("Ada", ""), ("Ada", ""), ("", ""), ("Ada", "What is Ada?"), ("", "who is Ada")]


def test_only_a_tool_that_may_be_used_searches(index: SearchIndex, tmp_path: Path) -> None:
    written(tmp_path, "k.jsonl", [{"question": "Who?", "answer": "Ada"}])
    table, wiki = KnowledgeTable.load(tmp_path / "k.jsonl"), WikiSearch(index)
    assert searched([Calculator(), QA(None, table), wiki], ()) is index
    assert searched([Calculator(), QA(None, table), wiki], ("WikiSearch",)) is None
    assert searched([QA(index, table), wiki], ("WikiSearch",)) is index


def asks(said: str) -> dict[str, float]:
    """Searches where it is asked of Ada, and says nothing else."""
    asked, call = said.rpartition("?")[2], "<API> WikiSearch(Ada)→"
    if "Ada" in said and asked != call and call.startswith(asked):
        rest = call[len(asked) :]
        return {next((token for token in ("<API>", "→") if rest.startswith(token)), rest[0]): 0.9}
    return {"\0END": 0.9}


def test_the_tables_show_what_the_index_holds_and_it_is_looked_for_once(
    index: SearchIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"question": "where was Ada Lovelace born", "answer": ["London"]},
        {"question": "who is he", "answer": ["I"]},
    ]
    data, out, tools = Path(written(tmp_path, "nq_open/NQ-open.dev.jsonl", rows)), tmp_path / "out", [WikiSearch(index)]
    chosen = Settings(("natural_questions",), (0, 1), data=data)
    evaluate(ScriptedLM(follows=asks), tools, chosen, out)
    found = write_results(out)
    (table,) = (grid for grid in grids([found]) if grid.title == "natural_questions by k")
    assert [row.cells[:2] for row in table.rows] == [
        ("scripted", "0"),
        ("of which the index holds: 1", "0"),
        ("scripted", "1"),
        ("of which the index holds: 1", "1"),
    ]
    assert [row.cells[5] for row in table.rows[2:]] == ["50.0 (0.0–100.0)", "100.0 (100.0–100.0)"]

    def never(*_: object) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr("toolformer.eval.held.held", never)
    evaluate(ScriptedLM(follows=asks), tools, chosen, out)
    assert write_results(out) == found
    other = {"tasks": {"natural_questions": {"data": "d", "index": index.identity, "ids": []}}}
    (out / FILE).write_text(json.dumps(other), "utf-8")
    assert "held" not in write_results(out)["tasks"]["natural_questions"]["k"]["0"]
    with pytest.raises(AssertionError, match="searched again"):
        evaluate(ScriptedLM(follows=asks), tools, chosen, out)


def test_without_an_index_nothing_is_looked_for(tmp_path: Path) -> None:
    data = written(tmp_path, "nq_open/NQ-open.dev.jsonl", [{"question": "who is he", "answer": ["I"]}])
    evaluate(ScriptedLM(), [Calculator()], Settings(("natural_questions",), (0,), data=Path(data)), tmp_path / "out")
    assert not (tmp_path / "out" / FILE).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"tasks": {"a": {"data": 1, "index": "", "ids": []}}}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"held\.json is damaged .*: delete it and run again"):
        read_held(tmp_path)
