"""The built-in model, its corpus, and the recipe: what is held out stays out, what is said to be right is right."""

import datetime
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from fractions import Fraction
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolformer.builtin import batches, corpus, lookups, plain_texts, stories, together
from toolformer.builtin.batches import BATCHES, POOL, TOKENS, Batch, encode, steps
from toolformer.builtin.check import Row, gains
from toolformer.builtin.date_texts import TEMPLATES as DATE_TEMPLATES
from toolformer.builtin.date_texts import date_text, today_text
from toolformer.builtin.fact_texts import fact_text, facts
from toolformer.builtin.mixture import example, read_texts
from toolformer.builtin.notes import astray, noted
from toolformer.builtin.optim import orthogonal
from toolformer.builtin.plain_model import Model
from toolformer.builtin.train import Recipe, Run, _tell, head_loss, loss_of, new_model
from toolformer.builtin.twins import Twins
from toolformer.builtin.variety import varied
from toolformer.builtin.words import Passage, Split, TrueCall, filled, load_parts, part
from toolformer.calls import CallSyntax
from toolformer.tools.calculator import Calculator
from toolformer.tools.dates import Calendar, Dates

MODEL = Path(str(files("toolformer.builtin"))) / "model"
SOURCES: dict[str, Callable[[random.Random, Split], Passage]] = {
    "story": stories.story, "date": date_text, "today": today_text, "fact": fact_text
}  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> Model:
    return Model(MODEL)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("split", ["train", "held"])
def test_the_answer_of_every_call_stands_where_the_call_says(
    source: Callable[[random.Random, Split], Passage], split: Split
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
    for entry in corpus.load(split):
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


def _operands(passage: Passage) -> tuple[int, ...]:
    words = passage.calls[0].input.split()
    return int(words[0]), int(words[2])


def test_the_split_holds_out_every_third() -> None:
    assert (part("abcdef", "train"), part("abcdef", "held")) == (["a", "b", "d", "e"], ["c", "f"])


@pytest.mark.parametrize("split", ["train", "held"])
def test_the_corpus_files_are_what_the_generator_makes(split: Split) -> None:
    stored = (files("toolformer.builtin") / corpus.FILES[split]).read_text(encoding="utf-8")
    assert corpus.to_jsonl(corpus.build(split)) == stored
    assert corpus.load(split) == corpus.build(split)


def test_the_plain_documents_are_what_the_generator_makes_and_none_is_held_out() -> None:
    stored = (files("toolformer.builtin") / corpus.PLAIN_FILE).read_text(encoding="utf-8")
    assert corpus.to_jsonl(corpus.build_plain()) == stored
    held = {plain_texts.TEMPLATES[number].split("{")[0] for number in range(2, len(plain_texts.TEMPLATES), 3)}
    sentences = [sentence for line in stored.splitlines() for sentence in json.loads(line)["text"].split(". ")]
    assert len(set(sentences)) > 0.9 * len(sentences)
    long_ = {start for start in held if len(start) > 20}
    assert not [sentence for sentence in sentences if sentence.startswith(tuple(long_))]


def test_the_corpus_is_as_large_and_as_varied_as_promised() -> None:
    train_, held = corpus.load("train"), corpus.load("held")
    assert len(train_) >= 800
    assert len(held) == 400
    for entries in (train_, held):
        assert len({entry.text for entry in entries}) == len(entries)
        assert {entry.kind for entry in entries} == {"sum", "fact", "date", "today", "plain"}
        assert all(bool(entry.truth) == (entry.kind != "plain") for entry in entries)
    assert {fact.id for fact in facts("train")}.isdisjoint(fact.id for fact in facts("held"))


def test_texts_that_give_a_held_out_fact_away_are_left_out(tmp_path: Path) -> None:
    fact = facts("held")[0]
    filler = " It is a text that is long enough to be taken, since it goes on and on about nothing much."
    lines = [f"Some say that {fact.subject} has to do with {fact.answer}.{filler}", f"A plain line.{filler}"]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    assert read_texts([path]) == lines[1:]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_exchanging_words_leaves_what_is_right_as_it_is(source: Callable[[random.Random, Split], Passage]) -> None:
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
    passage = Passage("There are 7 pears.", (TrueCall("Calculator", "3 + 4", "7", 10),))
    seen = set()
    for seed in range(200):
        pieces = noted(random.Random(seed), passage, Passage("Nothing."), inside=0.3)
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
    told = Passage("Ann has 1,250 eggs and 2.5 litres.")
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


@cache
def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODEL)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=100, deadline=None)
def test_every_text_survives_the_tokenizer(text: str) -> None:
    tokenizer = _tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert not set(ids) & {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}


def test_numbers_and_the_marks_of_a_call_are_single_tokens() -> None:
    tokenizer = _tokenizer()
    for number in range(1000):
        assert len(tokenizer(f"{number}", add_special_tokens=False)["input_ids"]) == 1
        assert len(tokenizer(f" {number}", add_special_tokens=False)["input_ids"]) == 1
    syntax = CallSyntax.TEXT
    for mark in (syntax.open, syntax.arrow, syntax.close):
        assert len(tokenizer(mark, add_special_tokens=False)["input_ids"]) == 1
    poser = tokenizer.eos_token
    assert tokenizer.eos_token_id not in tokenizer(f"a {poser} b", add_special_tokens=False)["input_ids"]


def test_a_word_is_cut_the_same_way_with_a_space_and_without() -> None:
    tokenizer = _tokenizer()
    for word in ("Calculator", "Zurlenstrom", "kilometres", "Ouagadougou"):
        bare = tokenizer.convert_ids_to_tokens(tokenizer(word, add_special_tokens=False)["input_ids"])
        spaced = tokenizer.convert_ids_to_tokens(tokenizer(f" {word}", add_special_tokens=False)["input_ids"])
        assert spaced == [f"Ġ{bare[0]}", *bare[1:]]


def test_pieces_keep_their_weights() -> None:
    tokenizer = _tokenizer()
    ids, weights = encode(tokenizer, [("Input: a", 0.0), (" 725", 4.0), ("", 9.0)])
    assert tokenizer.decode(ids[1:-1]) == "Input: a 725"
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert weights[-2:] == [4.0, 0.5]


def test_a_step_has_the_same_batches_wherever_the_run_begins() -> None:
    tokenizer = _tokenizer()
    whole = list(steps(tokenizer, (), 0, 0, POOL + 2))
    late = list(steps(tokenizer, (), 0, POOL - 1, POOL + 2))
    assert len(whole) == POOL + 2
    for one, other in zip(whole[POOL - 1 :], late, strict=True):
        assert all(torch.equal(a.ids, b.ids) for a, b in zip(one, other, strict=True))


def test_batches_are_full_and_leave_no_text_out(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def seen(*asked: Any, **more: Any) -> tuple[list[int], list[float]]:
        row = encode(*asked, **more)
        drawn.append(len(row[0]))
        return row

    monkeypatch.setattr(batches, "encode", seen)
    made = [batch for step in steps(_tokenizer(), (), 0, 0, POOL) for batch in step]
    assert len(made) == POOL * BATCHES
    assert sorted(drawn) == sorted(int(n) for batch in made for n in (batch.ids != _tokenizer().pad_token_id).sum(1))
    sizes = [batch.ids.numel() for batch in made]
    assert TOKENS < sum(sizes) / len(sizes) < 1.15 * TOKENS
    assert max(sizes) < 2 * TOKENS
    assert sum(drawn) > 0.9 * POOL * BATCHES * TOKENS


def test_the_vocabulary_is_asked_only_where_a_token_counts() -> None:
    asked: list[int] = []

    def last(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        asked.append(len(hidden))
        return head_loss(hidden, head, targets, weights)

    torch.manual_seed(0)
    model = new_model(_tokenizer(), Recipe(hidden=16, layers=1, heads=2, inner=16))
    ids, weights = torch.randint(0, 100, (2, 6)), torch.tensor([[0, 0, 1, 0, 4, 0], [0.5, 0, 0, 0, 0, 2]])
    loss = loss_of(model.model, last, model.lm_head.weight, Batch(ids, weights))
    each = -model(ids).logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    assert asked == [3]
    assert torch.allclose(loss, (each * weights[:, 1:]).sum(), atol=1e-4)


def test_the_learning_rate_does_not_depend_on_the_length_of_the_run_until_it_falls() -> None:
    short, long = Recipe(tokens=4_000_000), Recipe(tokens=9_000_000)
    assert [short.rate(s) for s in range(200)] == [long.rate(s) for s in range(200)]
    assert short.rate(0) < short.rate(30) < short.rate(100) == 1.0
    assert 0 < long.rate(long.steps - 1) < 0.01


def test_muon_brings_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((2, 24, 24), (1, 16, 40), (1, 40, 16)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.median() > 0.6
        assert values.max() < 1.3


def test_twins_stay_one_vector_apart_and_share_what_they_learn() -> None:
    table = torch.nn.Parameter(torch.randn(6, 4))
    twins = Twins(table, {"7": 0, "Ġ7": 1, "Oslo": 2, "ĠOslo": 3, "s": 4, "Ġs": 5})
    before = table.detach().clone()
    twins.join()
    assert torch.allclose(table[0] - table[1], table[2] - table[3])
    assert torch.allclose(twins.offset, ((before[0] - before[1]) + (before[2] - before[3])) / 2)
    assert torch.equal(table[[1, 3, 4, 5]], before[[1, 3, 4, 5]])
    torch.autograd.backward(table[:2].sum())
    twins.gather()
    assert table.grad is not None
    assert twins.offset.grad is not None
    assert table.grad.sum(1).tolist() == [0, 8, 0, 0, 0, 0]
    assert twins.offset.grad.tolist() == [1, 1, 1, 1]


def trained(out: Path, steps_: int, workers: int = 1) -> dict[str, torch.Tensor]:
    """The weights of a tiny run after so many steps; it goes on where the folder's last one ended."""
    out.mkdir(exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODEL / file, out)
    recipe = Recipe(tokens=steps_ * TOKENS * BATCHES, hidden=16, layers=1, heads=2, inner=16, warmup=2, decay=0.0)
    together.start(workers, partial(_tell, recipe, [], Run(out, resume=True, compiled=False)))
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    assert state["step"] == steps_
    return dict(state["model"])


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    straight = trained(tmp_path / "straight", 4)
    halfway = trained(tmp_path / "halted", 2)
    resumed = trained(tmp_path / "halted", 4)
    assert not torch.equal(halfway["model.embed_tokens.weight"], resumed["model.embed_tokens.weight"])
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def test_every_process_gets_the_sum_of_all_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, bias, unused = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((2, 2), (1,), (3,)))
    weights.grad, bias.grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([5.0])
    parameters = [weights, bias, unused]
    assert together.add_up(parameters, 0.5) == 0.5  # alone
    theirs = torch.tensor([10.0, 20, 30, 40, 50, 0, 0, 60, 0.25])
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda flat: flat.add_(theirs))
    assert together.add_up(parameters, 0.5) == 0.75
    assert weights.grad.tolist() == [[11, 22], [33, 44]]
    assert bias.grad.tolist() == [55]
    assert unused.grad is not None
    assert unused.grad.tolist() == [0, 0, 60]


def test_processes_get_jemalloc_where_it_is_and_a_word_where_it_is_not(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for library, preloaded in (("libm.so.6", "libm.so.6"), (None, "nothing")):
        monkeypatch.delenv("LD_PRELOAD", raising=False)
        monkeypatch.setattr(together, "find_library", lambda name, found=library: found)
        together.start(2, print_preloaded)
        out = capfd.readouterr().out
        assert out.count(f"preloaded: {preloaded}") == 2
        assert ("jemalloc is not installed" in out) == (library is None)
        assert "LD_PRELOAD" not in os.environ
    monkeypatch.setenv("LD_PRELOAD", "libc.so.6")  # who has chosen already
    for library in ("libm.so.6", None):
        monkeypatch.setattr(together, "find_library", lambda name, found=library: found)
        together.start(2, print_preloaded)
        assert sorted(capfd.readouterr().out.splitlines()) == ["preloaded: libc.so.6"] * 2


def print_preloaded() -> None:
    # One write: what two processes print at once could be mixed up.
    os.write(1, f"preloaded: {os.environ.get('LD_PRELOAD', 'nothing')}\n".encode())
    together.wait()


def test_two_processes_make_the_steps_of_one(tmp_path: Path) -> None:
    alone = trained(tmp_path / "alone", 1)
    both = trained(tmp_path / "both", 1, workers=2)
    for name, weight in alone.items():
        # A step moves most weights by the learning rate: 0.02 and less. In bf16, sums in another order differ.
        assert (both[name] - weight).abs().mean() < 2e-4, name


def test_the_shipped_model_is_small_and_loads_quickly() -> None:
    from transformers import AutoModelForCausalLM

    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 24e6
    AutoModelForCausalLM.from_pretrained(MODEL)
    began = time.perf_counter()
    AutoModelForCausalLM.from_pretrained(MODEL)
    assert time.perf_counter() - began < 2


def test_the_shipped_model_uses_a_right_result_and_not_a_wrong_one(shipped: Model) -> None:
    rng = random.Random(5)
    passages = [stories.story(rng, "held") for _ in range(20)]
    results = [passage.calls[0].result for passage in passages]
    right = gains(shipped, passages, results, "Calculator")
    wrong = gains(shipped, passages, results[1:] + results[:1], "Calculator")
    assert sum(gain >= 0.5 for gain in right) >= 14
    assert sum(gain >= 0.5 for gain in wrong) <= 3


def test_a_row_says_whether_its_floor_is_met() -> None:
    assert str(Row("x", 0.9, 0.85)).endswith("ok")
    assert str(Row("x", 0.8, 0.85)).endswith("MISSED")
    assert str(Row("x", 0.04, 0.05, most=True)).endswith("ok")
    assert str(Row("x", 0.06, 0.05, most=True)).endswith("MISSED")
    assert str(Row("x", 0.06, None)).endswith("6.0%")
