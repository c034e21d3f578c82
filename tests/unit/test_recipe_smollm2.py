"""The recipe of smollm2-tools: what it draws from public text, and what it puts into the package."""

import datetime
import gzip
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from recipes.reader.templates import TEMPLATES
from recipes.smollm2 import asked
from recipes.smollm2.part import part
from recipes.smollm2.problems import KINDS, problems
from tests import annotated_sample
from tests.finetune_texts import SMALL, saved, trained
from toolformer.calls import CallSyntax, Part
from toolformer.data_gen.lessons.expressions import expressions, numbers
from toolformer.data_gen.lessons.proposals import dates, today
from toolformer.data_gen.match import says_next
from toolformer.data_gen.records import Document
from toolformer.expert import Expert
from toolformer.finetune import Exchange, ExpertConfig, TrainConfig, train_expert
from toolformer.finetune.prepare import prepare
from toolformer.finetune.training_folder import RECORD
from toolformer.finetune.turns import answer_at
from toolformer.hf import load
from toolformer.hf.adapter import SETTINGS, WEIGHTS
from toolformer.loading import Loading
from toolformer.tool import DocumentFacts
from toolformer.tools.calculator import Calculator
from toolformer.tools.dates import Calendar, Dates

SIGNS = {"".join(sign for sign in kind if sign in "+-*/") for kind in KINDS}
"""The operators of each kind of problem."""
RECIPE = Path(__file__).parents[2] / "recipes" / "smollm2"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", RECIPE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The recipe for a small folder of such files."""
    made, data = module("corpus"), tmp_path / "data"
    problems = [{"id": f"p{n}", "text": f"{n} and 1 are {n + 1}.", "calls": []} for n in range(9)]
    problems.append({"id": "long", "text": "1 and 1 are 2. " * 9, "calls": []})
    lines(data / made.BARE.file, problems)
    lines(data / made.WIKIPEDIA.file, [{"title": f"T{n}", "text": f"T{n} is a town."} for n in range(9)])
    lines(data / made.POSTS.file, [{"url": f"u{n}", "date": "2020-01-02", "text": f"Post {n}."} for n in range(9)])
    lines(data / made.MAWPS.file, [{"sQuestion": "?"}])
    for name, texts in (("BARE", 7), ("WIKIPEDIA", 2), ("POSTS", 2), ("MAWPS", 0)):
        source = getattr(made, name)
        monkeypatch.setattr(made, name, replace(source, texts=texts, sha256=made.digest(data / source.file)))
    monkeypatch.setattr(made, "BARE", replace(made.BARE, texts=9, longest=100))
    monkeypatch.setattr(made, "OWN", {"today": 3, "fact": 2})
    monkeypatch.setattr(made, "PROBLEMS", 4)
    monkeypatch.setattr(made, "DAYS", 2)
    monkeypatch.setattr(made, "FACTS", 1)
    monkeypatch.setattr(made, "SUMS", 5)
    monkeypatch.setattr(made, "SOURCES", [made.BARE, made.WIKIPEDIA, made.POSTS, made.MAWPS])
    return made


def test_a_text_is_drawn_once_and_no_passage_is_a_text(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for out in ("one", "two"):
        monkeypatch.setattr("sys.argv", ["corpus.py", str(tmp_path / "data"), str(tmp_path / out)])
        recipe.main()
    texts, passages = ([*recipe.rows(tmp_path / "one" / name)] for name in ("corpus.jsonl", "passages.jsonl"))
    assert (len(texts), len({row["id"] for row in texts}), len(passages)) == (30, 30, 7 + 3221)
    assert not {row["text"] for row in texts} & {row["text"] for row in passages}
    assert sum("calls" in row for row in texts) == 9 + 3 + 2 + 4 + 2 + 1 + 5
    assert sum("date" in row for row in texts) == 2 + 3 + 2
    assert "long" not in {row["id"] for row in texts}
    assert (tmp_path / "one" / "corpus.jsonl").read_bytes() == (tmp_path / "two" / "corpus.jsonl").read_bytes()
    assert (tmp_path / "one" / "validation" / "mawps" / "testset.json").exists()


def test_other_files_than_the_recipes_are_refused(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / recipe.BARE.file).write_text("{}\n")
    monkeypatch.setattr("sys.argv", ["corpus.py", str(tmp_path / "data"), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="another gsm8k/train_bare.jsonl than this recipe was made with"):
        recipe.main()
    assert not (tmp_path / "out").exists()


def test_what_is_shipped_is_the_adapter_in_half_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ship = module("ship")
    base = saved("llama", tmp_path / "base")
    trained(base, tmp_path / "run", replace(SMALL, learning_rate=0.1))
    ship.ship(tmp_path / "run", "tools", tmp_path / "shipped")
    assert {path.name for path in (tmp_path / "shipped").iterdir()} == {WEIGHTS, SETTINGS, ship.CARD}
    assert (tmp_path / "shipped" / WEIGHTS).stat().st_size < 0.6 * (tmp_path / "run" / WEIGHTS).stat().st_size
    run, shipped = (load(base, adapter=str(tmp_path / name)) for name in ("run", "shipped"))
    control = [Part(token, control=True) for token in CallSyntax.TOKENS.control_tokens]
    assert run.encode_parts(control) == shipped.encode_parts(control)
    going_on = prepare(str(tmp_path / "shipped"), TrainConfig(), Loading(dtype="float32"), taught=True)
    assert going_on.codec.encode_parts(control) == run.encode_parts(control)
    theirs, ours = (model.rows([(5, 6, 7)]).logits for model in (run, shipped))
    assert torch.allclose(theirs, ours, atol=0.1 * float(theirs.std()))
    monkeypatch.setattr(ship, "MOST", 1000)
    with pytest.raises(SystemExit, match="train with a lower rank"):
        ship.ship(tmp_path / "run", "tools", tmp_path / "other")


def test_the_card_of_what_is_shipped_tells_of_the_runs_before_it_and_of_no_folder(tmp_path: Path) -> None:
    ship = module("ship")
    base = saved("llama", tmp_path / "llama")
    first, second = tmp_path / "first", tmp_path / "second"
    trained(base, first, replace(SMALL, rank=2))
    trained(str(first), second, replace(SMALL, steps=3))  # what it says of the rank counts for nothing
    assert ship.earlier(second) == [first]
    assert ship.earlier(first) == []
    ship.ship(second, "tools", tmp_path / "shipped")
    card = (tmp_path / "shipped" / ship.CARD).read_text("utf-8")
    assert not [folder for folder in (first, second) if str(folder) in card]
    assert '"rank": 2,' in card
    assert f"Before that, {SMALL.steps} steps at a learning rate of {SMALL.learning_rate:g} on" in card
    assert card.rstrip().endswith("from `llama`.")
    assert "going on from the adapter `tools` as it was" in card


def test_an_expert_that_is_shipped_keeps_its_prompt(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "base")
    prompt = "Read: {input}\nSay:"
    pairs = [Exchange(f"{number} and 2", str(number + 2)) for number in range(8)]
    train_expert(pairs, tmp_path / "run", model=base, prompt=prompt, config=ExpertConfig(steps=2, rank=2))
    module("ship").ship(tmp_path / "run", "reader", tmp_path / "shipped")
    record = json.loads((tmp_path / "shipped" / RECORD).read_text())
    assert record == {"prompt": prompt}
    shipped = Expert("Reader", str(tmp_path / "shipped")).with_model(load(base))
    assert f" {prompt}" in shipped.traits.version


def test_every_problem_says_the_value_of_its_own_expression() -> None:
    made = [*problems("test", 400)]
    assert len({one["text"] for one in made}) == 400
    for one in made:
        (call,) = one["calls"]
        assert float(Calculator()(call["input"])) == float(call["result"])
        assert one["text"].startswith(call["result"], call["start"])
        assert not set("{}") & set(one["text"])
    assert {"".join(sign for sign in one["calls"][0]["input"] if sign in "+-*/") for one in made} == SIGNS


def test_texts_about_days_say_what_the_tool_answers_on_their_day() -> None:
    made = [*asked.days("test", 300)]
    assert len({one["text"] for one in made}) == 300
    for one in made:
        (call,) = one["calls"]
        facts = DocumentFacts(date=datetime.date.fromisoformat(one["date"]))
        tool = Calendar() if call["tool"] == "Calendar" else Dates()
        assert tool.bind(facts)(call["input"]) == call["result"]
        proposed = (today if call["tool"] == "Calendar" else dates)(Document("d", one["text"], facts))
        place = call["start"]
        assert says_next(call["result"], one["text"][place:])
        assert any(p.word == place and tool.bind(facts)(p.input) == call["result"] for p in proposed), one
    assert {call["tool"] for one in made for call in one["calls"]} == {"Calendar", "Dates"}


def test_every_sum_that_is_asked_for_is_answered() -> None:
    made = [*asked.sums("test", 200)]
    assert len({one["text"] for one in made}) == 200
    for one in made:
        (call,) = one["calls"]
        assert float(Calculator()(call["input"])) == float(call["result"])
        assert one["text"].startswith(call["result"], call["start"])
        assert 0 < answer_at(one["text"], call["start"]) <= call["start"]
        assert not set("{}") & set(one["text"])


def test_facts_and_pages_are_asked_with_their_answers() -> None:
    for one in asked.facts("test", 20):
        (call,) = one["calls"]
        assert one["text"].startswith(call["answer"], call["start"])
    pages = [{"title": f"Ann {n} Lee", "text": f"Ann {n} Lee (born May 2, 19{n}) is a singer."} for n in range(10, 30)]
    first, *_, last = asked.pages("test", pages, 4)
    assert re.fullmatch(r".*Ann \d+ Lee.*\? .* (?:May 2, )?19\d\d\.", first["text"])
    assert re.fullmatch(r"[^?]*Ann \d+ Lee[^?]* (?:May 2, )?19\d\d\.", last["text"])
    assert {*asked._said()["stated"]} == {template.name for template in TEMPLATES}


def test_a_rule_proposes_the_right_call_of_nearly_every_problem() -> None:
    found = 0
    for one in problems("rule", 200):
        (call,) = one["calls"]
        seen = numbers(one["text"])
        (result,) = (number for number in seen if number.start == call["start"])
        proposed = expressions([number for number in seen if number.start < call["start"]], result)
        right = sorted(re.findall(r"[\d.]+", call["input"]))
        found += any(sorted(re.findall(r"[\d.]+", said)) == right for said in proposed)
    assert found > 180


def test_a_part_of_an_annotated_corpus_is_fewer_texts_or_the_calls_that_gained_more(tmp_path: Path) -> None:
    def summed(number: int) -> dict[str, Any]:
        words = f"One of {number} and 3 are {number + 3}."
        weak = annotated_sample.call(words, " of", "Calculator", "2 - 1", "1", (2.0, 2.0, 1.5))
        right = annotated_sample.call(words, f" {number + 3}.", "Calculator", f"{number} + 3", str(number + 3))
        return annotated_sample.kept(f"t{number}", words, weak, right)

    texts = [summed(number) for number in range(5)]
    dropped = [annotated_sample.rejected(f"t{number}", "One of", 3, "Calculator", "filter", "") for number in range(5)]
    whole = annotated_sample.write_folder(tmp_path / "whole", texts, dropped)
    everything, rejected = part(whole, None, 0.0, seed=0)
    assert (sorted(everything, key=lambda text: str(text["id"])), rejected) == (texts, dropped)
    few, many = (part(whole, count, 0.0, seed=1) for count in (2, 3))
    assert (len(few[0]), few[0]) == (2, many[0][:2])
    assert {record["id"] for record in few[1]} == {text["id"] for text in few[0]}
    strong, rejected = part(whole, None, 0.6, seed=0)
    assert {text["annotated"] for text in strong} >= {"One of 2 and 3 are [Calculator(2 + 3) -> 5] 5."}
    assert [call["input"] for text in strong for call in text["calls"]] == [f"{text['id'][1:]} + 3" for text in strong]
    assert [record["input"] for record in rejected[5:]] == ["2 - 1"] * 5
    assert part(whole, None, 0.5, seed=0)[0] == everything
