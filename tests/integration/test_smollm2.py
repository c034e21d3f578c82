"""The real small model, whichever of the two is here: it answers as a language model that has learnt something."""

import sys
from pathlib import Path

import pytest
import torch

from toolformer import Toolformer
from toolformer.catalog import ToolSettings, make_tools
from toolformer.expert import PLACE, Expert
from toolformer.hf import load, load_network
from toolformer.hf.smollm2 import FOUR_BITS, ORIGINAL, SMOLLM2
from toolformer.lm import LanguageModel
from toolformer.mcp import mcp_tools
from toolformer.tools.expert_reader import ExpertReader
from toolformer.tools.memory_index import MemoryIndex
from toolformer.tools.passages import Passage
from toolformer.tools.qa import QA

pytestmark = pytest.mark.needs("smollm2")


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load(SMOLLM2, offline=True)


def test_it_says_which_of_the_two_it_is(model: LanguageModel) -> None:
    assert model.name in (ORIGINAL, FOUR_BITS)
    assert model.context == 8191
    assert model.decode([*model.ends]) == "<|im_end|>"


def test_it_knows_what_follows(model: LanguageModel) -> None:
    right, wrong = (model.encode(f"The capital of France is {name}.").ids for name in ("Paris", "Berlin"))
    assert sum(model.log_probabilities([right])[0]) > sum(model.log_probabilities([wrong])[0]) + 2


def test_its_tokenizer_cuts_numbers_into_digits(model: LanguageModel) -> None:
    ids = model.encode("There are 1234 boxes").ids
    assert [model.decode([id_]) for id_ in ids] == ["There", " are", " ", "1", "2", "3", "4", " boxes"]


def test_it_has_the_template_of_a_chat(model: LanguageModel) -> None:
    framed = model.frame_turns(["user"])
    assert framed is not None
    assert model.decode(framed[-1]).endswith("<|im_start|>assistant\n")


def test_the_checkpoint_is_in_bfloat16_and_its_fingerprint_does_not_mind(model: LanguageModel) -> None:
    half = load(model.name, dtype="bfloat16", offline=True)
    assert (half.fingerprint, half.precision) == (model.fingerprint, "bfloat16")
    network, _ = load_network(model.name)
    assert all(torch.equal(one, one.bfloat16().to(one.dtype)) for one in network.state_dict().values())


def test_the_adapter_that_ships_asks_the_tool_that_a_text_needs() -> None:
    """None of these texts is in its corpus; the film is, in other words."""
    with Toolformer.from_pretrained("smollm2-tools", offline=True) as tf:
        made = tf.generate(
            [
                "Emma has 48 apples and gives 19 to her brother. How many apples does she have left? The answer is",
                "The shop opened on March 1, 2020 and closed 45 days later, on",
                "The film Pulp Fiction was directed by",
            ],
            max_new_tokens=12,
        )
    calls = [(one.calls[0].tool, one.calls[0].result) for one in made]
    assert calls == [("Calculator", "29"), ("Dates", "April 15, 2020"), ("QA", "Quentin Tarantino")]
    assert made[0].text.strip().startswith("29")


def test_its_calculator_may_be_another_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (calculator,) = make_tools(ToolSettings(), ["calculator"])
    with Toolformer.from_pretrained("smollm2-tools", [calculator], offline=True) as tf:
        monkeypatch.setenv("TOOLFORMER_CACHE", str(tmp_path))
        served = mcp_tools(f"{sys.executable} -m toolformer.cli mcp --tools calculator")
        with Toolformer(tf.model, served) as other:
            text = "Emma has 48 apples and gives 19 to her brother. How many apples does she have left? The answer is"
            made = other.generate(text, max_new_tokens=12)
            assert made == tf.generate(text, max_new_tokens=12)
    assert [call.result for call in made.calls] == ["29"]


def test_the_reader_that_ships_answers_from_passages() -> None:
    """None of these is in its pairs, and the first passage that says it counts."""
    reader = ExpertReader(Expert("Reader", "smollm2-reader"))
    passages = [
        Passage("Harbour Lights", "Harbour Lights is a 1971 Canadian drama film directed by Ellen Marchetti."),
        Passage("Tolvik", "Tolvik is a village in Norway. The population was 1,204 in 2011."),
    ]
    qa = QA(MemoryIndex("pages", passages), reader)
    with Toolformer.from_pretrained("smollm2-tools", [qa], offline=True) as tf:
        assert tf.toolbox.run("QA", "Who directed Harbour Lights?") == "Ellen Marchetti"
        assert tf.toolbox.run("QA", "What is the population of Tolvik?") == "1,204"


def test_the_reader_is_one_by_its_name_alone() -> None:
    (qa,) = make_tools(ToolSettings(reader="smollm2-reader"), ["qa"])
    assert isinstance(qa, QA)
    assert isinstance(qa.reader, ExpertReader)
    assert f"{PLACE}\nAnswer:" in qa.traits.version
