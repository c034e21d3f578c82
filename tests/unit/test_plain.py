"""The pipeline, with all its ways to be fast, keeps the calls that a plain rendering of the method keeps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import toolformer.builtin
from toolformer import Toolbox, load
from toolformer.calls import Call
from toolformer.data_gen.documents import read_corpus
from toolformer.data_gen.lessons import builtin_lessons
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.plain import PlainMethod
from toolformer.data_gen.records import Place
from toolformer.hf.encode import Codec
from toolformer.tools.calculator import Calculator
from toolformer.tools.dates import Dates

BUILTIN = Path(toolformer.builtin.__file__).parent


def _key(place: Place, call: Call) -> tuple[str, int, str, str]:
    return place.text.document.id, place.start, call.tool, call.input


def test_the_same_calls_are_kept_with_the_same_gains() -> None:
    documents = list(read_corpus(BUILTIN / "corpus.jsonl", limit=4))
    lessons = [replace(builtin_lessons()[name], positions=3, samples=2) for name in ("Calculator", "Dates")]
    model = load("builtin")
    with Toolbox([Calculator(), Dates()]) as box:
        annotator = Annotator(model, box, lessons)
        annotated, rejected = annotator.annotate(annotator.read(documents))
        module = AutoModelForCausalLM.from_pretrained(BUILTIN / "model", dtype=torch.float32)
        module.train(False)
        plain = PlainMethod(annotator, module, Codec(AutoTokenizer.from_pretrained(BUILTIN / "model"), "builtin"))
        expected = plain.annotate(documents)
    kept = {_key(one.place, one.call): one.losses for text in annotated for one in text.calls}
    passed = {_key(one.place, one.call): one.losses for one in rejected if one.stage == "merge" and one.call}
    assert kept
    found = kept | passed
    assert sorted(found) == [(k.document, k.start, k.call.tool, k.call.input) for k in expected]
    gains = [losses.gain for _, losses in sorted(found.items()) if losses is not None]
    assert gains == pytest.approx([k.gain for k in expected], abs=1e-3)
    assert model.counter.tokens < plain.tokens / 4
