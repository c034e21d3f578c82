"""`prefer`: which pairs it trains on, that it begins at the model it is given, and what it writes."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from tests import tiny_models
from tests.annotated_sample import call, kept, write_folder
from tests.finetune_texts import SMALL, saved, text, texts, trained
from toolformer.calls import CallSyntax, Part
from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.preference import Preference
from toolformer.data_gen.records import Document
from toolformer.errors import ConfigError, DataError
from toolformer.finetune import PreferConfig, TrainConfig, prefer
from toolformer.finetune.mixture import PlainText
from toolformer.finetune.own_calls import Mistake, own_mistakes
from toolformer.finetune.pairs import PLACES, Pair, PairMaker, draw
from toolformer.finetune.prepare import Prepared, prepare, show_bias
from toolformer.finetune.training_folder import TrainingFolder
from toolformer.hf import load
from toolformer.loading import Loading
from toolformer.tools.calculator import Calculator

pytestmark = [
    # peft asks transformers in a way that is on its way out, and TRL uses what transformers is about to rename.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:trl"),
]
QUICK = PreferConfig(steps=4, batch_size=4, device_batch=2, k=10_000, save_every=2, learning_rate=1e-2, held_out=0.3)
PLAIN = [Document(str(n), f"The {word} is not far from here, and it is old.") for n, word in enumerate("abcdefgh")]


def annotated(folder: Path) -> AnnotatedFolder:
    """The texts that the tiny model was finetuned on, as an annotated folder."""
    records = []
    for n, one in enumerate(texts()):
        (placed,) = one.calls
        said = placed.call
        records.append(kept(str(n), one.text, call(one.text, one.text[placed.start :], *vars(said).values())))
    return AnnotatedFolder(write_folder(folder, records))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that was finetuned to call."""
    folder = tmp_path_factory.mktemp("prefer")
    trained(saved("llama", folder / "llama"), folder / "run", SMALL)
    return folder / "run"


def made(run: Path, config: PreferConfig = QUICK) -> tuple[Prepared, PairMaker]:
    prepared = prepare(str(run), TrainConfig(), Loading(dtype="float32"))
    return prepared, PairMaker(prepared, config)


def said(prepared: Prepared, ids: tuple[int, ...]) -> str:
    return prepared.codec.decode(ids)


def test_a_kept_call_is_better_opened_than_passed_over(run: Path) -> None:
    prepared, maker = made(run)
    (opening,) = prepared.codec.encode_parts([Part("<API>", control=True)])
    one = text("3 and 4 are 7, and 2 more are 9.", (" 7,", "3 + 4", "7"), (" 9.", "7 + 2", "9"))
    first, second = maker.kept(one)
    assert (first.kind, first.chosen) == ("call", (opening,))
    assert said(prepared, first.prompt[-3:]).endswith("are")
    assert first.rejected == prepared.codec.encode(one.text).ids[len(first.prompt) - 1 :][:1]
    assert second.prompt.count(opening) == 1


def test_in_plain_texts_it_learns_where_it_wants_to_call_and_not_where_nothing_was_decided(run: Path) -> None:
    prepared, maker = made(run)
    words = "Ten men went home."
    ids = prepared.codec.encode(words).ids
    found = [*maker.needless([PlainText(words)], {})]
    assert len(found) == min(PLACES, len(ids))
    assert all(pair.chosen == ids[len(pair.prompt) - 1 :][:1] for pair in found)
    at = words.index(" went")
    spared = [*maker.needless([PlainText(words)], {words: range(at, len(words))})]
    assert all(len(said(prepared, pair.prompt[1:])) < at for pair in spared)
    assert not [*made(run, PreferConfig(k=1))[1].needless([PlainText(words)], {words: range(len(words))})]


def test_no_text_becomes_a_control_token(run: Path) -> None:
    prepared, maker = made(run)
    end = prepared.tokenizer.eos_token
    (pair,) = maker.compared("", Preference(f"A {end} b", " c", "<API> Calculator(1)→ 1</API> c"))
    assert prepared.tokenizer.eos_token_id not in pair.prompt[1:]
    control = prepared.codec.encode_parts([Part(one, control=True) for one in CallSyntax.TOKENS.control_tokens])
    assert [id_ for id_ in pair.rejected if id_ in control] == [*control]
    assert pair.kind == "no call"
    (other,) = maker.compared("", Preference("A", "<API> Calculator(1)→ 1</API>", "<API> Calculator(2)→ 2</API>"))
    assert other.kind == "which call"


def test_of_its_own_call_the_model_learns_what_it_writes_and_no_result(run: Path, tmp_path: Path) -> None:
    prepared, maker = made(run)
    first, *_ = annotated(tmp_path / "corpus").kept()
    (pair,) = maker.own(first, Mistake(0, 0, "Calculator", "9 + 9"))
    (expected,) = maker.kept(first)
    assert (pair.kind, pair.prompt) == ("own call", expected.prompt)
    assert said(prepared, pair.chosen) == "<API> Calculator(0 + 3)→"
    assert said(prepared, pair.rejected) == "<API> Calculator(9 + 9)→"
    assert not [*made(run, PreferConfig(max_length=16))[1].own(first, Mistake(0, 0, "Calculator", "9 + 9" * 9))]


def test_an_own_call_with_another_result_than_the_kept_one_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "There are {} boxes with 76 oranges in each, so there are 608 oranges."
    rows = [kept(n, one := words.format(n), call(one, " 608", "Calculator", "76 * 8", "608")) for n in ("8", "9")]
    texts = [*AnnotatedFolder(write_folder(tmp_path / "corpus", rows)).kept()]
    asked = (tmp_path, "builtin-tools", Loading(), [Calculator()], texts, 1, 0)
    found = own_mistakes(*asked)
    assert found == [Mistake(1, 0, "Calculator", "76 * 9")]
    monkeypatch.setattr("toolformer.finetune.own_calls.load", None)  # it is not asked again
    assert own_mistakes(*asked) == found
    (tmp_path / "own_calls.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"own_calls.jsonl is damaged .*: delete it and run again"):
        own_mistakes(*asked)


def test_it_learns_from_its_own_calls(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, tools = replace(QUICK, own_calls=2, pairs=8), [Calculator()]
    # The tiny model writes no whole calls.
    written = [Mistake(n, 0, "Calculator", "9 + 9") for n in range(20)]
    monkeypatch.setattr("toolformer.finetune.prefer_run.own_mistakes", lambda *_: written)
    done = prefer(annotated(tmp_path / "corpus"), tmp_path / "out", model=str(run), tools=tools, config=config)
    assert (done.pairs["own call"], done.held["own call"]) == (8, 2)
    with pytest.raises(ConfigError, match="own_calls=2: give the tools that answer them"):
        prefer(annotated(tmp_path / "same"), tmp_path / "other", model=str(run), config=config)


def test_some_texts_are_held_out_whole_and_calls_are_no_more_than_places_without() -> None:
    found = [Pair("call", str(n % 10), (n,), (1,), (2,)) for n in range(50)]
    found += [Pair("no call", str(n % 10), (n,), (2,), (1,)) for n in range(20)]
    drawn = draw(found, PreferConfig(held_out=0.2, pairs=15))
    assert {one.text for one in drawn.learnt}.isdisjoint({one.text for one in drawn.held})
    assert len({one.text for one in drawn.held}) == 2
    assert [sum(one.kind == kind for one in drawn.learnt) for kind in ("call", "no call")] == [15, 15]
    assert [sum(one.kind == kind for one in drawn.held) for kind in ("call", "no call")] == [3, 3]


def test_it_begins_at_the_model_it_is_given_and_goes_on_with_its_adapter_and_its_tokens(
    run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "better"
    done = prefer(annotated(tmp_path / "corpus"), out, model=str(run), plain=PLAIN, config=QUICK)
    record = json.loads((out / "training.json").read_text())
    # The reference is the model itself: the first loss is that of a coin, and of the better ways.
    assert record["log"][0]["loss"] > math.log(2)
    assert record["log"][0]["rewards/margins"] == pytest.approx(0, abs=1e-3)
    assert record["results"]["before"] == done.before
    assert sorted(path.name for path in out.iterdir()) == sorted({*(path.name for path in run.iterdir())})
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (run, out))
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("trainable_tokens" in name for name in moved)
    assert any("lora_B" in name for name in moved)
    assert load(str(out)).encode_parts([CallSyntax.TOKENS.opening])
    assert "trained on preferences" in (out / "README.md").read_text("utf-8")
    assert prefer(annotated(tmp_path / "same"), out, model=str(run), plain=PLAIN, config=QUICK) == done


def test_it_learns_where_not_to_call(run: Path, tmp_path: Path) -> None:
    config = PreferConfig(steps=20, batch_size=8, device_batch=8, k=10_000, learning_rate=1e-2, held_out=0.3)
    done = prefer(annotated(tmp_path / "corpus"), tmp_path / "out", model=str(run), plain=PLAIN, config=config)
    log = json.loads((tmp_path / "out" / "training.json").read_text())["log"]
    assert log[-1]["rewards/margins"] > 0.3
    assert log[-1]["rewards/accuracies"] > 0.9
    assert done.accuracy["no call"] >= done.before["no call"]
    assert done.accuracy["call"] >= done.before["call"]


def test_the_better_way_does_not_become_unlikely(run: Path, tmp_path: Path) -> None:
    """Where both ways begin alike, making one less likely costs the other, unless that is learnt, too."""
    config = PreferConfig(steps=20, batch_size=8, device_batch=8, learning_rate=1e-2, beta=1.0, own_calls=1)
    corpus = annotated(tmp_path / "corpus")
    rows = []
    for better in (0.0, 1.0):
        out = tmp_path / str(better)
        with pytest.MonkeyPatch.context() as patched:
            written = [Mistake(n, 0, "Calculator", "9 + 9") for n in range(20)]
            patched.setattr("toolformer.finetune.prefer_run.own_mistakes", lambda *_: written)  # noqa: B023
            prefer(corpus, out, model=str(run), tools=[Calculator()], config=replace(config, better=better))
        log = json.loads((out / "training.json").read_text())["log"]
        rows.append([log[0]["logps/chosen"], log[-1]["logps/chosen"], log[-1]["rewards/margins"]])
    (alone_before, alone, alone_margin), (before, after, margin) = rows
    assert after - before > max(0.0, alone - alone_before)
    assert min(alone_margin, margin) > 0
    with pytest.raises(ConfigError, match="better=-1: it has to be at least 0"):
        replace(config, better=-1).check()


def test_stopped_it_goes_on_and_ends_with_the_same_weights(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = annotated(tmp_path / "corpus")
    prefer(corpus, tmp_path / "whole", model=str(run), plain=PLAIN, config=QUICK)
    complete = TrainingFolder.complete

    def stopped(folder: TrainingFolder, checkpoint: Path, best: int | None) -> None:
        complete(folder, checkpoint, best)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingFolder, "complete", stopped)
        with pytest.raises(KeyboardInterrupt):
            prefer(corpus, tmp_path / "stopped", model=str(run), plain=PLAIN, config=QUICK)
    assert [path.name for path in (tmp_path / "stopped" / "checkpoints").iterdir()] == ["checkpoint-2"]
    prefer(corpus, tmp_path / "stopped", model=str(run), plain=PLAIN, config=QUICK)
    whole, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(whole[name], other[name]) for name in whole)
    with pytest.raises(DataError, match="beta was 0.1 and is 0.2"):
        prefer(corpus, tmp_path / "stopped", model=str(run), plain=PLAIN, config=PreferConfig(beta=0.2))


def test_what_cannot_be_is_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = annotated(tmp_path / "corpus")
    with pytest.raises(ConfigError, match="beta=0: it has to be above 0"):
        prefer(corpus, tmp_path / "a", model=str(run), config=PreferConfig(beta=0))
    with pytest.raises(ConfigError, match="has not learnt to call"):
        prefer(corpus, tmp_path / "b", model=saved("llama", tmp_path / "llama"), config=QUICK)
    with pytest.raises(DataError, match="wants to call nowhere"):
        prefer(corpus, tmp_path / "c", model=str(run), config=QUICK)
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(ConfigError, match=r"trl is not installed: pip install 'toolformer-kit\[rl\]'"):
        prefer(corpus, tmp_path / "d", model=str(run), config=QUICK)


def test_a_wrapped_heads_bias_is_seen() -> None:
    inner = torch.nn.Linear(2, 3)
    wrapped = SimpleNamespace(original_module=inner)
    show_bias(wrapped)
    assert wrapped.bias is inner.bias
    bare = SimpleNamespace(original_module=tiny_models)
    show_bias(bare)
    assert bare.bias is None
