"""The model as lm-eval sees it: with tools, without them, and against lm-eval's own model."""

import copy
import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from tests import tiny_models
from tests.fakes import END, ScriptedLM, ScriptedRows, script
from toolformer import load
from toolformer.decode.options import Options
from toolformer.errors import ConfigError
from toolformer.eval.likelihood import encode_pair, roll, score
from toolformer.eval.tasks import bbh, mmlu, word_problems
from toolformer.eval.tool_lm import ToolLM
from toolformer.hf.encode import Codec
from toolformer.hf.transformers_model import CausalModel, Seq2SeqModel
from toolformer.lm import Ids, LanguageModel
from toolformer.tools.calculator import Calculator
from toolformer.tools.dates import Calendar


def request(kind: str, *arguments: object, doc: dict[str, Any] | None = None) -> Instance:
    return Instance(kind, doc or {}, tuple(arguments), 0)


def generate(prompt: str, doc: dict[str, Any] | None = None, **settings: object) -> Instance:
    return request("generate_until", prompt, {"until": ["\n"], "max_gen_toks": 60, **settings}, doc=doc)


SUM = script("2 plus 3 is<API> Calculator(2 + 3)→ 5</API> five.", "2 plus 3 is five.")


def test_a_call_is_made_its_result_fed_and_all_of_it_told() -> None:
    with ToolLM(ScriptedLM(follows=SUM), [Calculator()], Options(k=1)) as lm:
        (answer,) = lm.answers([generate("2 plus 3 is")])
        assert lm.generate_until([generate("2 plus 3 is")]) == [" five."]
    (call,) = answer.calls
    assert (answer.text, answer.raw) == (" five.", "<API> Calculator(2 + 3) → 5 </API> five.")
    assert call.call is not None
    assert (call.call.tool, call.call.result, call.start) == ("Calculator", "5", 0)
    assert answer.rank == 0
    assert answer.probability == pytest.approx(0.9, rel=0.01)


def test_a_tool_that_a_task_forbids_is_not_there() -> None:
    with ToolLM(ScriptedLM(follows=SUM), [Calculator()], Options(k=1)) as lm:
        (answer,) = lm.answers([generate("2 plus 3 is", {"without": ["Calculator"]})])
    assert not answer.calls


class Counting(ScriptedLM):
    """Counts how often texts are begun."""

    batches = 0

    def rows(self, prompts: Sequence[Ids]) -> ScriptedRows:
        self.batches += 1
        return super().rows(prompts)


def test_a_tool_knows_the_day_of_its_example_also_among_others() -> None:
    texts = [
        f"It is<API> Calendar()→ Today is {day}.</API> now." for day in ("Monday, March 2, 2020", "Sunday, May 5, 2019")
    ]
    model = Counting(follows=script(*texts))
    with ToolLM(model, [Calendar()], Options(k=1)) as lm:
        first, second = lm.answers([generate("It is", {"date": day}) for day in ("2020-03-02", "2019-05-05")])
    assert model.batches == 1
    assert [one.calls[0].call.result for one in (first, second) if one.calls[0].call] == [
        "Today is Monday, March 2, 2020.",
        "Today is Sunday, May 5, 2019.",
    ]


def test_a_failed_call_is_undone_and_told() -> None:
    model = ScriptedLM(follows=script("1 / 0 is<API> Calculator(1 / 0)→", "1 / 0 is nothing."))
    with ToolLM(model, [Calculator()], Options(k=1)) as lm:
        (answer,) = lm.answers([generate("1 / 0 is")])
    assert (answer.calls, len(answer.undone)) == ((), 1)
    assert "division by zero" in answer.undone[0].reason


def test_an_answer_behind_an_empty_line_is_found_in_our_tasks_alone() -> None:
    blank = "It is\n\nParis.\n\nIt was"
    lm = ToolLM(ScriptedLM(follows=script(blank)))
    asked = [generate("It is", doc, until=["\n\n"]) for doc in ({"rule": "qa"}, {})]
    ours, theirs = lm.generate_until(asked)
    assert ours == "\n\nParis."
    assert theirs == ""  # as lm-eval's own models end it


def test_where_no_call_was_made_it_says_how_near_one_was() -> None:
    def follows(said: str) -> dict[str, float]:
        following = {"It": {" ": 0.6, "<API>": 0.1}, "It ": {"i": 0.5, "<API>": 0.3}, "It i": {"s": 0.9}}
        return following.get(said, {END: 0.9})

    with ToolLM(ScriptedLM(follows=follows), [Calculator()], Options(k=0)) as lm:
        (answer,) = lm.answers([generate("It")])
    assert (answer.text, answer.rank) == (" is", 1)
    assert answer.probability == pytest.approx(0.3, rel=0.01)


def test_a_long_prompt_loses_its_beginning_and_that_is_told() -> None:
    lm = ToolLM(ScriptedLM(follows=lambda said: {"x": 0.9}, context=100))
    (answer,) = lm.answers([generate("p" * 90, max_gen_toks=20)])
    assert (answer.cut, answer.text) == (10, "x" * 20)


def test_what_a_task_asks_and_nobody_knows_is_named() -> None:
    with pytest.raises(ConfigError, match="num_beams"):
        ToolLM(ScriptedLM()).answers([generate("x", num_beams=4)])


def test_two_samples_of_one_prompt_differ_and_come_again() -> None:
    lm = ToolLM(ScriptedLM(follows=lambda said: {"a": 0.5, "b": 0.4, "\n": 0.1}))
    asked = [generate("x", do_sample=True, temperature=1.0)] * 4
    texts = lm.generate_until(asked)
    assert len(set(texts)) > 1
    assert lm.generate_until(asked) == texts


# Against lm-eval's own model.


def big(kind: str) -> PreTrainedModel:
    """A tiny model with a context for five questions and more."""
    seq2seq = kind in tiny_models.SEQ2SEQ
    config = copy.deepcopy(tiny_models.SEQ2SEQ[kind] if seq2seq else tiny_models.CONFIGS[kind])
    config.max_position_embeddings = config.n_positions = 4096
    make: Any = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    return tiny_models._random(make.from_config(config))


def port(network: PreTrainedModel, kind: str) -> LanguageModel:
    codec = Codec(tiny_models.own_tokenizer(), kind)
    made = Seq2SeqModel if kind in tiny_models.SEQ2SEQ else CausalModel
    return made(network, codec, kind, "fingerprint")


def theirs(network: PreTrainedModel, *, seq2seq: bool = False, starts: bool = True) -> HFLM:
    """With a tokenizer that writes the start token, as the port always does, or without: lm-eval rolls over a text with
    a start token of its own, and would put two."""
    tokenizer = tiny_models.own_tokenizer()
    if starts and not seq2seq:
        from tokenizers.processors import TemplateProcessing

        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
        )
    backend = "seq2seq" if seq2seq else "causal"
    return HFLM(network, tokenizer=tokenizer, backend=backend, batch_size=1, device="cpu", add_bos_token=None)


def examples(folder: Path) -> list[dict[str, Any]]:
    """Some of GSM8K, BBH and MMLU, in their publishers' formats."""
    texts = {
        "gsm8k/test.jsonl": "\n".join(
            json.dumps({"question": f"Ann has {n} eggs and {m} hens. How many?", "answer": f"#### {n + m}"})
            for n, m in ((2, 3), (10, 4), (7, 7))
        ),
        "bbh/bbh/t.json": json.dumps({"examples": [{"input": "Is it (A) or (B)?", "target": "(A)"}]}),
        "bbh/cot-prompts/t.txt": "X\n-----\nSay." + "\n\nQ: a\nA: Let's think step by step.\nSo the answer is (B)." * 3,
        "mmlu/dev/a_dev.csv": "What is 2 + 2?,1,2,3,4,D\n" * 5,
        "mmlu/test/a_test.csv": "What is 2 + 1?,1,2,3,4,C\nWhy is it so?,a,b,c,d,A\n",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    readers = (word_problems.gsm8k, bbh.direct, bbh.chain_of_thought, mmlu.mmlu)
    return [doc for reader in readers for doc in reader(str(folder))["test"]]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.filterwarnings("ignore")
def test_a_plain_model_says_and_scores_what_lm_evals_own_does(kind: str, tmp_path: Path) -> None:
    network = big(kind)
    ours, reference = ToolLM(port(network, kind)), theirs(network)
    docs = examples(tmp_path)
    asked = [generate(doc["prompt"], max_gen_toks=12, do_sample=False) for doc in docs]
    assert ours.generate_until(asked) == reference.generate_until(asked, disable_tqdm=True)
    pairs = [request("loglikelihood", doc["prompt"], f" {letter}") for doc in docs for letter in ("A", "B", "True no")]
    mine, expected = ours.loglikelihood(pairs), reference.loglikelihood(pairs, disable_tqdm=True)
    assert [one.greedy for one in mine] == [sure for _, sure in expected]
    assert [one.log_probability for one in mine] == pytest.approx([value for value, _ in expected], rel=1e-4)
    texts = [request("loglikelihood_rolling", doc["prompt"]) for doc in docs]
    rolled = theirs(network, starts=False).loglikelihood_rolling(texts, disable_tqdm=True)
    assert ours.loglikelihood_rolling(texts) == pytest.approx(rolled, rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_an_encoder_decoder_too(tmp_path: Path) -> None:
    network = big("t5")
    ours, reference = ToolLM(port(network, "t5")), theirs(network, seq2seq=True)
    docs = examples(tmp_path)
    asked = [generate(doc["prompt"], max_gen_toks=12, do_sample=False) for doc in docs]
    said = ours.generate_until(asked)
    assert len(said) == len(docs)
    pairs = [request("loglikelihood", doc["prompt"], f" {letter}") for doc in docs for letter in ("A", "True no")]
    mine, expected = ours.loglikelihood(pairs), reference.loglikelihood(pairs, disable_tqdm=True)
    assert [one.log_probability for one in mine] == pytest.approx([value for value, _ in expected], rel=1e-4)


def test_a_text_longer_than_the_context_is_scored_token_by_token_once() -> None:
    model = ScriptedLM(loss=lambda prefix, text, position: 1.0, context=10)
    for length in (1, 10, 11, 12, 21, 22, 40):
        rolled = roll(model, "x" * length)
        assert rolled.log_probability == pytest.approx(-length)
        assert rolled.tokens == length
    assert roll(model, "") == (0, 0)


def test_spaces_at_a_contexts_end_belong_to_what_follows() -> None:
    model = ScriptedLM()
    before, behind = encode_pair(model, "It is ", "so")
    assert (model.decode(before), model.decode(behind)) == ("It is", " so")


def test_choices_share_the_context_they_stand_behind() -> None:
    model = ScriptedLM(follows=lambda said: {"A": 0.6, "B": 0.3} if said == "Q:" else {"x": 0.9})
    pairs = [encode_pair(model, "Q:", letter) for letter in ("A", "B", "Ax", "")]
    first, second, third, nothing = score(model, pairs)
    assert model.counter.tokens == len("Q:") + 1
    assert first.greedy
    assert third.greedy
    assert not second.greedy
    assert first.log_probability > second.log_probability > third.log_probability - 1
    assert nothing == (0.0, True)


@pytest.mark.needs("data")
@pytest.mark.filterwarnings("ignore")
def test_the_built_in_model_too_on_the_publishers_examples() -> None:
    model = load("builtin")
    folder = str(files("toolformer.builtin") / "model")
    reference = HFLM(folder, dtype="float32", device="cpu", batch_size=1, add_bos_token=True)
    readers = (word_problems.gsm8k, bbh.direct, mmlu.mmlu)
    found = [list(reader(os.environ["TOOLFORMER_DATA"])["test"])[5::90] for reader in readers]
    docs = [doc for some in found for doc in some if len(model.encode(doc["prompt"]).ids) < 800]
    asked = [generate(doc["prompt"], max_gen_toks=16, do_sample=False) for doc in docs]
    ours = ToolLM(model)
    assert ours.generate_until(asked) == reference.generate_until(asked, disable_tqdm=True)
    pairs = [request("loglikelihood", doc["prompt"], f" {letter}") for doc in docs for letter in "ABCD"]
    mine, expected = ours.loglikelihood(pairs), reference.loglikelihood(pairs, disable_tqdm=True)
    assert [one.log_probability for one in mine] == pytest.approx([value for value, _ in expected], abs=1e-3)
