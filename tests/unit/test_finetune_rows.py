"""How a text with calls becomes ids, and which texts become rows."""

import random
from array import array
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_models
from tests.finetune_texts import SMALL, Placed, Text, text, texts
from toolformer.calls import Call, CallSyntax
from toolformer.cli import main
from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.errors import ConfigError, DataError
from toolformer.finetune import PAPER, TrainConfig
from toolformer.finetune.batches import IGNORED, Groups, collate, once, plan
from toolformer.finetune.mixture import Held, PlainText, choose, make_rows, without_calls
from toolformer.finetune.training_rows import RowMaker, TrainingRow, token_at
from toolformer.hf.encode import Codec
from toolformer.loading import Loading

TOKENS = CallSyntax.TOKENS


@dataclass(frozen=True)
class Passage:
    """A text or a passage of one, by name."""

    id: str
    text: str
    calls: tuple[Placed, ...]


def codec() -> Codec:
    tokenizer = tiny_models.own_tokenizer()
    tokenizer.add_tokens([*TOKENS.control_tokens], special_tokens=True)
    return Codec(tokenizer, "tiny")


def maker(most: int = 64, syntax: CallSyntax = TOKENS, **more: object) -> RowMaker:
    return RowMaker(codec(), syntax, most, **more)  # type: ignore[arg-type]


WORDS = "There are 8 boxes, so that 400 are 29% of all."
ONE = text(WORDS, (" 29%", "400 / 1400", "0.29"))


def test_the_ids_are_the_texts_own_with_the_call_between_them() -> None:
    made, own = maker(), codec()
    row = made.with_calls(ONE)
    plain = own.encode(WORDS)
    at = plain.starts.index(WORDS.index(" 29%"))
    call = own.encode_parts(TOKENS.parts(ONE.calls[0].call))
    assert list(row.ids) == [1, *plain.ids[:at], *call, *plain.ids[at:], 2]
    assert own.decode(row.ids[1:-1]) == (
        "There are 8 boxes, so that 400 are<API> Calculator(400 / 1400)→ 0.29</API> 29% of all."
    )
    assert list(made.without_calls(ONE).ids) == [1, *plain.ids, 2]


def test_a_call_that_uses_an_earlier_result_is_learnt_behind_that_call_and_its_result() -> None:
    words = "Of 7 boxes 3 are red, or 0.43, and of 100 it is 42.86 then."
    chain = text(words, (" 0.43", "3 / 7", "0.4286"), (" 42.86", "100 * 0.4286", "42.86"))
    row = maker(128).with_calls(chain)
    before, second = codec().decode(row.ids[1:-1]).split("100 * 0.4286", 1)
    assert before.endswith("<API> Calculator(3 / 7)→ 0.4286</API> 0.43, and of 100 it is<API> Calculator(")
    assert second == ")→ 42.86</API> 42.86 then."
    assert not row.ignored
    assert not row.quiet


def test_a_text_that_spells_calls_stays_a_text() -> None:
    words = "An <API> opens [Calculator(1 + 1) -> 2] </API> → and is 5."
    row = maker(256).with_calls(text(words, (" 5.", "<API> 2 + 3 </API>", "5 </API>")))
    control = codec().encode_parts([part for part in TOKENS.parts(Call("C", "1", "2")) if part.control])
    assert [id_ for id_ in row.ids if id_ in control] == list(control)
    assert codec().decode(row.ids[1:-1]) == (
        "An <API> opens [Calculator(1 + 1) -> 2] </API> → and is<API> Calculator(<API> 2 + 3 </API>)→ 5 </API></API> 5."
    )


def test_plain_spelling() -> None:
    row = maker(syntax=CallSyntax.TEXT).with_calls(ONE)
    assert codec().decode(row.ids[1:-1]) == (
        "There are 8 boxes, so that 400 are [Calculator(400 / 1400) -> 0.29] 29% of all."
    )


@pytest.mark.parametrize("syntax", [TOKENS, CallSyntax.TEXT])
def test_masked_results_are_the_results(syntax: CallSyntax) -> None:
    row = maker(syntax=syntax, mask_results=True).with_calls(ONE)
    assert codec().decode([row.ids[place] for place in sorted(row.ignored)]) == " 0.29"
    assert not maker().with_calls(ONE).ignored


def test_where_a_copy_lacks_a_call_opening_one_is_not_asked() -> None:
    row = maker().without_calls(ONE)
    (place,) = row.quiet
    assert codec().decode([*row.ids[place:-1]]) == " 29% of all."


def test_where_annotating_did_not_decide_opening_a_call_is_not_asked() -> None:
    places = {WORDS: {WORDS.index(" 400"), WORDS.index(" 29%")}}
    made = maker(undecided=places)
    row = made.with_calls(ONE)
    (place,) = row.quiet  # behind the call that is there, no other one is to be opened
    assert codec().decode([*row.ids[place:-1]]).startswith(" 400 are<API>")
    for copy in (made.without_calls(ONE), made.without_calls(PlainText(WORDS))):
        said = {codec().decode([*copy.ids[place:-1]]) for place in copy.quiet}
        assert said == {" 400 are 29% of all.", " 29% of all."}
    behind = maker(undecided={WORDS: {WORDS.index(" of all")}}).with_calls(ONE)
    assert [codec().decode([*behind.ids[place:-1]]) for place in behind.quiet] == [" of all."]


def test_what_is_too_long_is_cut_but_never_inside_a_call() -> None:
    whole = maker().with_calls(ONE)
    for most in range(16, len(whole.ids) + 1):
        made = maker(most)
        row = made.with_calls(ONE)
        said = codec().decode(row.ids)
        assert len(row.ids) <= most
        assert ("<API>" in said) == ("</API>" in said)
        assert made.cut == (most < len(whole.ids))
        assert (row.ids[-1] == 2) == (most >= len(whole.ids)), "only a whole text ends"


def test_an_encoder_reads_some_of_the_text_before_the_first_call() -> None:
    rows = [maker(decoder_start=0).with_calls(ONE, str(seed)) for seed in range(50)]
    whole = list(maker().with_calls(ONE).ids[1:])
    lengths = set()
    for row in rows:
        assert row.source is not None
        read = [] if list(row.source) == [2] else list(row.source)
        assert row.ids[0] == 0
        assert read + list(row.ids[1:]) == whole
        assert "API" not in codec().decode(read)
        lengths.add(len(read))
    assert len(lengths) > 10


def test_a_call_goes_before_the_character_that_it_stands_at() -> None:
    assert [token_at((0, 2, 2, 5), start, "abcdefg") for start in (0, 1, 2, 4, 5, 6, 7)] == [0, 0, 1, 1, 3, 3, 4]
    assert token_at((), 0, "") == 0


def test_texts_are_held_out_on_one_side_only() -> None:
    plain = [f"No call in text {n}." for n in range(40)] + [texts()[3].text]
    chosen = choose([*texts(), texts()[0]], [*plain, *plain[:20]], replace(SMALL, held_out=0.25))
    learnt, held = {example.text for example in chosen.learnt}, {example.text for example in chosen.held}
    assert len(held) >= 5
    assert not learnt & held
    assert learnt | held == {example.text for example in texts()}
    assert len(chosen.held_plain) == 10
    assert not {example.text for example in chosen.plain} & {example.text for example in chosen.held_plain}
    assert texts()[3].text not in {example.text for example in [*chosen.plain, *chosen.held_plain]}


def test_a_limit_for_each_tool() -> None:
    rare = [Text(f"rare {n}", (Placed(Call("Dates", "x", "y"), 2),)) for n in range(3)]
    chosen = choose([*texts(), *rare], [], replace(SMALL, limit_per_tool=5, held_out=0.0))
    tools = [example.calls[0].call.tool for example in chosen.learnt]
    assert (tools.count("Calculator"), tools.count("Dates")) == (5, 3)


def test_the_digest_is_of_texts_and_calls() -> None:
    same = choose(reversed(texts()), [], SMALL).digest
    assert same == choose(texts(), [], replace(SMALL, seed=1)).digest
    other = [*texts()[:-1], text("19 and 22 are 41.", (" 41.", "19 + 22", "42"))]
    assert choose(other, [], SMALL).digest != same
    assert choose(texts(), ["plain"], SMALL).digest != same
    assert choose(texts(), [], SMALL, undecided={texts()[0].text: {3}}).digest != same
    assert choose(texts(), [], SMALL, undecided={"elsewhere": {3}}).digest == same


def test_nothing_to_learn_is_said() -> None:
    with pytest.raises(DataError, match="no text with a call"):
        choose([Text("nothing", ())], ["plain"], SMALL)


def test_the_mixture() -> None:
    chosen = choose(texts(), ["a plain text", "another one"], replace(SMALL, held_out=0.0))
    mixture = make_rows(chosen, maker(), replace(SMALL, without_calls=0.5))
    called = [row for row in mixture.rows if "<API>" in codec().decode(row.ids)]
    copies = [row for row in mixture.rows if row.quiet]
    assert (len(called), len(mixture.rows)) == (20, 22 + len(copies))
    assert 4 <= len(copies) <= 16
    control = make_rows(chosen, maker(), replace(SMALL, control=True))
    assert len(control.rows) == 22
    assert not [row for row in control.rows if row.quiet or "<API>" in codec().decode(row.ids)]


def rows(number: int = 50) -> list[TrainingRow]:
    rng = random.Random(1)
    return [TrainingRow(array("i", [n % 250 + 5] * rng.randint(3, 40))) for n in range(number)]


def lengths(number: int = 50) -> list[int]:
    return [*map(len, rows(number))]


def test_a_plan_shows_every_row_once_before_one_twice() -> None:
    made = plan(lengths(), 10, 4, 1, 10, seed=3)
    assert (made.groups, made.steps) == (3, 10)
    order = [index for group in made.members for index in group]
    assert len(order) == 100
    seen = plan(lengths(), 10, 4, 1, 40, seed=3)
    counts = [index for group in seen.members for index in group]
    assert {counts.count(index) for index in range(50)} == {8}


def test_no_device_is_without_a_row_in_a_step() -> None:
    """A batch smaller than the devices grows to one row each."""
    made = plan(lengths(), 1, 2, 4, 10, seed=3)
    assert (made.groups, made.steps) == (4, 10)
    assert all(made.members)


def test_a_plan_does_not_depend_on_the_number_of_devices() -> None:
    one, two, four = (plan(lengths(), 16, 4, devices, 6, seed=3) for devices in (1, 2, 4))
    assert one == two == four
    halves = [Groups(rows(), two, device, 2) for device in (0, 1)]
    both = [half[number]["labels"].tolist() for number in range(len(halves[0])) for half in halves]
    alone = Groups(rows(), one, 0, 1)
    assert both == [alone[number]["labels"].tolist() for number in range(len(alone))]


def test_little_is_padded() -> None:
    many = rows(500)
    made = plan([*map(len, many)], 32, 8, 1, 15, seed=0)
    lengths = [[len(many[index]) for index in group] for group in made.members]
    assert 1 - sum(map(sum, lengths)) / sum(max(group) * len(group) for group in lengths) < 0.08


def test_measuring_takes_each_row_once_on_any_number_of_devices() -> None:
    for devices in (1, 2, 3):
        made = once(lengths(7), 2, devices)
        assert sorted(index for group in made.members for index in group) == list(range(7))
        assert len(made.members) % devices == 0


def test_collate() -> None:
    short = TrainingRow(array("i", [1, 5, 6, 2]), ignored=frozenset({2}), quiet=frozenset({1}))
    inputs = collate([short, TrainingRow(array("i", [1, 7, 8, 9, 10, 2]))], filler=0)
    assert inputs["input_ids"].tolist() == [[1, 5, 6, 0, 0], [1, 7, 8, 9, 10]]
    assert inputs["labels"].tolist() == [[5, IGNORED, 2, IGNORED, IGNORED], [7, 8, 9, 10, 2]]
    assert inputs["quiet"].nonzero().tolist() == [[0, 0]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    packed = collate([short, TrainingRow(array("i", [1, 7, 8, 9, 10, 2]))], filler=0, pack=9)
    assert packed["input_ids"].tolist() == [[1, 7, 8, 9, 10, 1, 5, 6]]
    assert packed["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 2]]
    assert packed["labels"].tolist() == [[7, 8, 9, 10, 2, 5, IGNORED, 2]]
    assert "attention_mask" not in packed


def test_a_texts_own_words_are_those_before_its_first_call() -> None:
    ids = array("i", [5, 6, 7, 8])
    for own, words in ((0, []), (1, []), (3, [0, 1])):  # without a start token a call may be the very first
        assert collate([TrainingRow(ids, own=own)], filler=0)["own"][0].nonzero().flatten().tolist() == words


def test_the_papers_settings() -> None:
    assert (PAPER.limit_per_tool, PAPER.max_length, PAPER.batch_size, PAPER.learning_rate) == (25_000, 1024, 128, 1e-5)
    assert (PAPER.warmup, PAPER.steps, PAPER.evaluate_every, PAPER.held_out_most) == (0.1, 2000, 500, 1000)
    PAPER.check()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0: it has to be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"steps": -1}, "steps=-1"),
        ({"held_out": 0.9}, "held_out=0.9: it has to be from 0 to 0.5"),
        ({"max_length": 3}, "max_length=3"),
        ({"how": "prompt", "pack": True}, "pack does not go with how=prompt"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        replace(TrainConfig(), **wrong).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loading", "reason"),
    [
        (Loading(quantize="nf4"), "quantize=nf4 freezes the weights: it goes with how=lora, not full"),
        (Loading(dtype="bfloat16"), "dtype=bfloat16: all weights are trained in float32"),
    ],
)
def test_ways_to_load_that_do_not_go_with_full_training(loading: Loading, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        TrainConfig(how="full").check(loading)


def test_texts_that_somebody_held_out_are_measured_on_and_no_others() -> None:
    held = Held(texts()[:3], [PlainText("a plain text")])
    chosen = choose(texts(), ["a plain text", "another one"], replace(SMALL, held_out=0.5), held)
    assert (chosen.held, chosen.held_plain) == (held.calls, held.plain)
    assert {example.text for example in chosen.learnt} == {example.text for example in texts()[3:]}
    assert [example.text for example in chosen.plain] == ["another one"]
    # A text that was held out without a call is not learnt from when it has one.
    kept_later = choose(texts(), (), SMALL, Held((), [PlainText(texts()[0].text)]))
    assert texts()[0].text not in {example.text for example in kept_later.learnt}


def test_plain_texts_are_those_that_kept_no_call_whatever_they_are_called() -> None:
    long = "The first half of it. The second half, which is 3 + 4 words: 7. And an end."
    kept = [
        Passage("a", "1 and 1 are 2.", ()),
        Passage("b#2", long[22:63], ()),
        Passage("c#1", "Not there at all, this one.", ()),
    ]
    documents = ["1 and 1 are 2.", long, "It says: 1 and 1 are 2.", "The second half", ""]
    assert list(without_calls(kept, documents)) == documents[2:]
    assert list(without_calls([], documents)) == documents


def test_a_run_learns_no_document_as_it_is_of_which_a_passage_kept_a_call() -> None:
    passage = Passage("long#2", ONE.text, ONE.calls)
    document = f"Something before. {ONE.text} And something behind."
    chosen = choose([passage, *texts(8)], [document, "Another text."], replace(SMALL, held_out=0.0))
    assert [one.text for one in chosen.plain] == ["Another text."]


def test_the_command_reads_plain_texts_from_the_column_that_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "plain.jsonl").write_text('{"text": "No.", "body": "Yes."}\n')
    monkeypatch.setattr(AnnotatedFolder, "config", lambda self: {})
    monkeypatch.setattr(AnnotatedFolder, "kept", lambda self: iter([ONE]))
    given: dict[str, Any] = {}
    monkeypatch.setattr("toolformer.finetune.train", lambda kept, out, **more: given.update(more))
    main(["train", str(tmp_path), "--out", "o", "--plain", str(tmp_path / "plain.jsonl"), "--text-column", "body"])
    assert list(given["plain"]) == ["Yes."]
