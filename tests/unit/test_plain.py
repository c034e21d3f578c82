"""The pipeline, with all its ways to be fast, keeps the calls that a plain rendering of the method keeps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import toolformer.builtin
from toolformer import Toolbox, load
from toolformer.data_gen.corpus import read_corpus
from toolformer.data_gen.lessons import builtin_lessons
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.plain import PlainMethod
from toolformer.data_gen.records import Annotated
from toolformer.hf.encode import Codec
from toolformer.tools.calculator import Calculator
from toolformer.tools.dates import Dates

BUILTIN = Path(toolformer.builtin.__file__).parent


def test_the_same_calls_are_kept_with_the_same_gains() -> None:
    documents = list(read_corpus(BUILTIN / "corpus.jsonl", limit=4))
    lessons = [replace(builtin_lessons()[name], positions=3, samples=2) for name in ("Calculator", "Dates")]
    model = load("builtin")
    with Toolbox([Calculator(), Dates()]) as box:
        annotator = Annotator(model, box, lessons)
        records = list(annotator.annotate(annotator.read(documents)))
        module = AutoModelForCausalLM.from_pretrained(BUILTIN / "model", dtype=torch.float32)
        module.train(False)
        plain = PlainMethod(annotator, module, Codec(AutoTokenizer.from_pretrained(BUILTIN / "model"), "builtin"))
        expected = plain.annotate(documents)
    kept = [(a.document.id, one) for a in records if isinstance(a, Annotated) for one in a.calls]
    assert kept
    assert [(id_, one.place.start, one.call) for id_, one in kept] == [(k.document, k.start, k.call) for k in expected]
    assert [one.losses.gain for _, one in kept] == pytest.approx([k.gain for k in expected], abs=1e-3)
    assert model.counter.tokens < plain.tokens / 4
