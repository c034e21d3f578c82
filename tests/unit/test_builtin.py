"""What ships as the built-in model: a corpus that is large enough, a tokenizer that loses nothing, small weights."""

import time
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from toolformer.builtin import corpus
from toolformer.calls import CallSyntax

MODEL = Path(str(files("toolformer.builtin"))) / "model"


def test_the_corpus_is_as_large_and_as_varied_as_promised() -> None:
    train_, held = corpus.load("train"), corpus.load("held")
    assert len(train_) >= 800
    assert len(held) == 400
    for entries in (train_, held):
        assert len({entry.text for entry in entries}) == len(entries)
        assert {entry.kind for entry in entries} == {"sum", "fact", "date", "today", "plain"}
        assert all(bool(entry.truth) == (entry.kind != "plain") for entry in entries)


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


def test_the_shipped_model_is_small_and_loads_quickly() -> None:
    from transformers import AutoModelForCausalLM

    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 24e6
    AutoModelForCausalLM.from_pretrained(MODEL)
    began = time.process_time()
    AutoModelForCausalLM.from_pretrained(MODEL)
    assert time.process_time() - began < 2
