"""The texts of the built-in model's recipe: what is held out stays out, what is said to be right is right."""

import datetime
import json
import random
import re
from collections.abc import Callable
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from recipes.builtin import corpus, lookups, plain_texts, stories
from recipes.builtin.date_texts import TEMPLATES as DATE_TEMPLATES
from recipes.builtin.date_texts import date_text, today_text
from recipes.builtin.fact_texts import fact_text, facts
from recipes.builtin.mixture import example, read_texts
from recipes.builtin.notes import astray, noted
from recipes.builtin.variety import varied
from recipes.builtin.words import ShortText, filled, load_parts, part
from toolformer.builtin.corpus import FILES, PLAIN_FILE, Split, TrueCall, load
from toolformer.tools.calculator import Calculator
from toolformer.tools.dates import Calendar, Dates

SOURCES: dict[str, Callable[[random.Random, Split], ShortText]] = {
    "story": stories.story, "date": date_text, "today": today_text, "fact": fact_text
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("split", ["train", "held"])
def test_the_answer_of_every_call_stands_where_the_call_says(
    source: Callable[[random.Random, Split], ShortText], split: Split
) -> None:
    for seed in range(300):
        passage = source(random.Random(seed), split) + plain_texts.plain_text(random.Random(seed), split)
        for passage_ in (passage, plain_texts.plain_text(random.Random(seed), split) + passage):
            for call in passage_.calls:
                assert passage_.text[call.start :].startswith(call.said)
                assert call.said in call.result


@pytest.mark.parametrize("split", ["train", "held"])
def test_the_real_tools_give_the_results_that_the_texts_claim(split: Split) -> None:
    for seed in range(1000):
        rng = random.Random(seed)
        parts = 0.5 if split == "train" else 0.0
        (total,) = stories.story(rng, split, parts=parts).calls
        assert {Calculator()(text) for text in (total.input, *total.also)} == {total.result}
        (date,) = date_text(rng, split, parts).calls
        assert Dates()(date.input) == date.result
    for entry in load(split):
        for call in entry.truth:
            if call.tool == "Calendar":
                assert entry.date is not None
                today = datetime.date.fromisoformat(entry.date)
                assert Calendar(lambda: today)("") == call.result  # noqa: B023


def test_decimals_are_rounded_as_the_calculator_does() -> None:
    assert [stories.decimal(Fraction(a, b)) for a, b in ((400, 1400), (35, 1), (1, 8), (-1, 2), (3, 2))] == [
        "0.29", "35", "0.13", "-0.5", "1.5"
    ]  # fmt: skip


def test_nothing_held_out_is_ever_in_a_training_text() -> None:
    held_facts = facts("held")
    assert {fact.id for fact in facts("train")}.isdisjoint(fact.id for fact in held_facts)
    lookup_names = {name for tool in lookups.HELD for name in tool.names}
    openings = [t.split("{")[0] for _, t in part(stories.TEMPLATES, "held")] + [
        t.split("{")[0] for _, t in part(DATE_TEMPLATES, "held")
    ]
    known = [t for _, t in part(stories.TEMPLATES, "train") + part(DATE_TEMPLATES, "train")]
    openings = [o for o in openings if len(o) > 12 and not any(t.startswith(o) for t in known)]
    assert openings
    told = "\n".join("".join(piece for piece, _ in example(random.Random(seed), 0.8, ())) for seed in range(1500))
    assert not [fact.id for fact in held_facts if any(sentence in told for sentence in fact.sentences)]
    assert not [opening for opening in openings if opening in told]
    assert not [name for name in lookup_names if f" [{name}(" in told]


def test_held_out_sums_use_held_out_pairs_and_trained_ones_never() -> None:
    def pairs(split: Split) -> set[tuple[int, ...]]:
        return {_operands(stories.story(random.Random(seed), split)) for seed in range(2000)}

    assert not pairs("train") & pairs("held")
    assert all(stories.held_pair(*pair) for pair in pairs("held"))


def _operands(passage: ShortText) -> tuple[int, ...]:
    words = passage.calls[0].input.split()
    return int(words[0]), int(words[2])


def test_the_split_holds_out_every_third() -> None:
    assert (part("abcdef", "train"), part("abcdef", "held")) == (["a", "b", "d", "e"], ["c", "f"])


@pytest.mark.parametrize("split", ["train", "held"])
def test_the_corpus_files_are_what_the_generator_makes(split: Split) -> None:
    stored = (files("toolformer.builtin") / FILES[split]).read_text(encoding="utf-8")
    assert corpus.to_jsonl(corpus.build(split)) == stored
    assert load(split) == corpus.build(split)


def test_the_plain_documents_are_what_the_generator_makes_and_none_is_held_out() -> None:
    stored = (files("toolformer.builtin") / PLAIN_FILE).read_text(encoding="utf-8")
    assert corpus.to_jsonl(corpus.build_plain()) == stored
    held = {plain_texts.TEMPLATES[number].split("{")[0] for number in range(2, len(plain_texts.TEMPLATES), 3)}
    sentences = [sentence for line in stored.splitlines() for sentence in json.loads(line)["text"].split(". ")]
    assert len(set(sentences)) > 0.9 * len(sentences)
    long_ = {start for start in held if len(start) > 20}
    assert not [sentence for sentence in sentences if sentence.startswith(tuple(long_))]


def test_texts_that_give_a_held_out_fact_away_are_left_out(tmp_path: Path) -> None:
    fact = facts("held")[0]
    filler = " It is a text that is long enough to be taken, since it goes on and on about nothing much."
    lines = [f"Some say that {fact.subject} has to do with {fact.answer}.{filler}", f"A plain line.{filler}"]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    assert read_texts([path]) == lines[1:]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_exchanging_words_leaves_what_is_right_as_it_is(source: Callable[[random.Random, Split], ShortText]) -> None:
    changed = 0
    for seed in range(300):
        before = plain_texts.plain_text(random.Random(seed), "train") + source(random.Random(seed), "train")
        after = varied(random.Random(seed), before, ["mill", "so", "1984,", "Red."])
        assert [call.input for call in after.calls] == [call.input for call in before.calls]
        assert all(after.text[call.start :].startswith(call.said) for call in after.calls)
        assert re.findall(r"\d+", after.text) == re.findall(r"\d+", before.text)
        changed += after.text != before.text
    assert changed > 250


def test_a_note_stands_before_its_text_and_its_answer_counts_most() -> None:
    passage = ShortText("There are 7 pears.", (TrueCall("Calculator", "3 + 4", "7", 10),))
    seen = set()
    for seed in range(200):
        pieces = noted(random.Random(seed), passage, ShortText("Nothing."), inside=0.3)
        text = "".join(piece for piece, _ in pieces)
        assert text.replace(" [Calculator(3 + 4) -> 7]", "").endswith("There are 7 pears.")
        seen |= {piece for piece, weight in pieces if weight > 1}
    assert seen == {"Calculator(3 + 4) ->", " 7"}


def test_a_note_that_went_astray_works_out_something_else_and_rightly() -> None:
    call = TrueCall("Calculator", "31 + 40", "71", 0)
    for seed in range(200):
        other = astray(random.Random(seed), call)
        assert other.input != call.input
        assert Calculator()(other.input) == other.result


def test_parts_that_make_a_held_out_template_are_put_together_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    held, other = part(stories.TEMPLATES, "held")[0], ("add", "{a} and {b} are {r}.")
    drawn = iter([held, held, other])
    monkeypatch.setattr(stories, "composed", lambda rng: next(drawn))
    assert stories._composed(random.Random(0)) == other


def test_stories_from_parts_are_many() -> None:
    made = [stories._composed(random.Random(seed)) for seed in range(20_000)]
    assert len(set(made)) > 15_000
    assert all(template.count("{r}") == 1 for _, template in made)
    assert all(not re.search(r"\{[^abcrNMXPG]\}", template) for _, template in made)


def test_a_sum_stands_behind_its_numbers() -> None:
    """Who writes from left to right could not know it before."""
    made = [stories._composed(random.Random(seed)) for seed in range(5000)]
    for _, template in {*made, *stories.TEMPLATES}:
        assert not re.search(r"\{[abc]\}", template.split("{r}")[1]), template


def test_what_a_frame_chose_stays_chosen() -> None:
    lists: dict[str, list[Any]] = {"who": [["a cook", "the cook"], ["a boy", "the boy"]], "did": ["ran", "sat"]}
    made = {filled(random.Random(seed), "<who.0> <did>, <who.1> <did>", lists) for seed in range(50)}
    assert made == {f"a {who} {did}, the {who} {did}" for who in ("cook", "boy") for did in ("ran", "sat")}


def test_every_frame_names_the_numbers_of_its_sum_and_every_list_is_used() -> None:
    parts = load_parts("story_parts.toml")
    asked = {"mix": "abc"}
    for kind, frames in parts["frames"].items():
        for frame in frames:
            assert sorted(re.findall(r"\{([abcr])\}", frame)) == [*asked.get(kind, "ab"), "r"], frame
    used = set(re.findall(r"<(\w+)", " ".join(frame for frames in parts["frames"].values() for frame in frames)))
    assert used == set(parts["slots"])


def test_a_story_without_its_numbers_asks_for_no_sum() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        passage = plain_texts.vague(rng, stories.story(rng, "train", parts=0.8))
        assert not re.search(r"\d", passage.text)
        assert not passage.calls
    told = ShortText("Ann has 1,250 eggs and 2.5 litres.")
    assert re.fullmatch(r"Ann has \D+ eggs and \D+ litres\.", plain_texts.vague(random.Random(0), told).text)


def test_every_date_frame_asks_what_its_kind_is_worked_out_from_and_every_list_is_used() -> None:
    parts = load_parts("date_parts.toml")
    asked = {"weekday": "d", "between": "de", "after": "dn", "before": "dn"}
    for kind, frames in parts["frames"].items():
        for frame in frames:
            before, _, after = frame.partition("{r}")
            told = before + (after if kind == "before" else "")
            assert sorted(set(re.findall(r"\{([den])\}", told))) == list(asked[kind]), frame
            assert frame.count("{r}") == 1
    used = set(re.findall(r"<(\w+)", " ".join(frame for frames in parts["frames"].values() for frame in frames)))
    assert used == set(parts["slots"])


def test_no_frame_says_what_stands_before_the_answer_in_a_held_out_date_template() -> None:
    ends = {re.split(r"[.,;}]", text.split("{r}")[0])[-1].strip() for _, text in part(DATE_TEMPLATES, "held")}
    ends = {end for end in ends if len(end.split()) > 2}
    assert ends == {"That day was a", "that is from", "as long as"}
    for seed in range(3000):
        text = date_text(random.Random(seed), "train", 1.0).text
        assert not [end for end in ends if f" {end} " in text], text


def test_a_made_up_tool_is_asked_in_one_way_about_what_its_text_names() -> None:
    for seed in range(500):
        rng = random.Random(seed)
        tool = lookups.invented_tool(rng)
        for _ in range(3):
            passage = lookups.lookup_text(rng, tool, tool.names[0])
            (call,) = passage.calls
            asked_at = passage.text[: call.start]
            assert passage.text[call.start :].startswith(call.result)
            assert "{" not in passage.text + call.input
            assert any(word in asked_at for word in re.findall(r"\w+", call.input))
