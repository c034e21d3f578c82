"""Experts: a LoRA of the model's base as a tool, trained on inputs and outputs, and asked by many at a time."""

import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.fakes import END, ScriptedLM, script
from tests.finetune_texts import saved, trained
from tests.unit.test_finetune_run import in_a_process
from toolformer import Expert, Toolbox, Toolformer
from toolformer.catalog import ToolSettings, make_tools
from toolformer.cli import main
from toolformer.data_gen import Document, Method, annotate
from toolformer.data_gen.annotators import make_annotators
from toolformer.data_gen.lessons import builtin_lessons
from toolformer.decode.desk import Desk
from toolformer.decode.options import Options
from toolformer.errors import ConfigError, DataError, ToolBroken, ToolError, ToolNothing
from toolformer.eval.evaluating import evaluate
from toolformer.eval.settings import Settings
from toolformer.expert import AsksModel, with_model
from toolformer.finetune import Exchange, ExpertConfig, read_exchanges, train_expert
from toolformer.finetune.exchanges import ExchangeRows, hold_out
from toolformer.hf import load
from toolformer.hf.encode import Codec
from toolformer.lm import LanguageModel
from toolformer.loading import Loading
from toolformer.tool import Traits
from toolformer.tools.expert_reader import ExpertReader
from toolformer.tools.passages import Passage
from toolformer.tools.qa import QA

# peft asks transformers in a way that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SMALL = ExpertConfig(rank=4, learning_rate=1e-2, steps=4, batch_size=4, device_batch=2, max_length=64, held_out=0.2)
EXCHANGES = [Exchange(f"{n} and {n}", f"{2 * n}") for n in range(20)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved("llama", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def expert(base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An expert of the base, and far from it."""
    out = tmp_path_factory.mktemp("expert") / "run"
    train_expert(EXCHANGES, out, model=base, prompt="{input} =", config=replace(SMALL, steps=20, learning_rate=5e-2))
    return str(out)


@pytest.fixture(scope="module")
def run(base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that calls: another adapter of the base, with tokens of its own."""
    out = tmp_path_factory.mktemp("caller") / "run"
    trained(base, out)
    return str(out)


def logits(model: LanguageModel, text: str) -> torch.Tensor:
    return model.rows([model.encode(text).ids]).logits


def test_only_outputs_are_learnt_behind_the_prompt_as_it_is_asked(base: str) -> None:
    model = load(base)
    codec: Codec = model._codec  # type: ignore[attr-defined]
    (row,) = ExchangeRows(codec, "Q: {input}\nA:", 64).rows([Exchange(" two and two ", "four")])
    asked = [codec.start, *model.encode("Q: two and two\nA:").ids] if codec.start is not None else []
    assert [*row.ids[: len(asked)]] == asked
    assert row.ignored == frozenset(range(1, len(asked)))
    assert codec.decode(row.ids[len(asked) : -1]) == " four"
    assert row.ids[-1] == codec.tokenizer.eos_token_id


def test_what_is_too_long_is_left_out_and_counted(base: str) -> None:
    maker = ExchangeRows(load(base)._codec, "{input}", 20)  # type: ignore[attr-defined]
    assert len(maker.rows([Exchange("a", "b"), Exchange("word " * 30, "b")])) == 1
    assert maker.cut == 1


def test_no_input_is_on_both_sides() -> None:
    parts = hold_out([Exchange(str(n % 10), str(n)) for n in range(40)], 0.3, seed=1)
    learnt, held = ({one.input for one in some} for some in (parts.learnt, parts.held))
    assert len(held) == 3
    assert not learnt & held
    assert len(parts.learnt) + len(parts.held) == 40


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"input": "a"}', "no output"),
        ('{"input": "a", "output": " "}', "no output"),
        ('{"input": 3, "output": "b"}', "no input"),
        ("[]", "a list where an object belongs"),
    ],
)
def test_pairs_that_are_none_are_said_with_their_line(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"input": "a", "output": "b"}\n' + line + "\n")
    with pytest.raises(DataError, match=f"pairs.jsonl:2: {said}"):
        read_exchanges(file)


def test_a_file_without_pairs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no pair"):
        read_exchanges(tmp_path / "pairs.jsonl")


def test_a_prompt_without_a_place_for_the_input_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs \{input\} once"):
        train_expert(EXCHANGES, tmp_path / "out", model="nothing", prompt="Answer:")


def test_training_stopped_goes_on_and_ends_with_the_same_weights(base: str, tmp_path: Path) -> None:
    config = replace(SMALL, evaluate_every=2)

    def stop() -> None:
        train_expert(EXCHANGES, tmp_path / "run", model=base, config=config, on_progress=_end_at(3))

    assert in_a_process(stop) == 3
    train_expert(EXCHANGES, tmp_path / "run", model=base, config=config)
    train_expert(EXCHANGES, tmp_path / "whole", model=base, config=config)
    weights = [load_file(tmp_path / name / "adapter_model.safetensors") for name in ("run", "whole")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    card = (tmp_path / "run" / "README.md").read_text()
    assert "on 16 inputs" in card
    assert '`"Input: {input}\\nOutput:"`' in card


def _end_at(step: int):  # type: ignore[no-untyped-def]
    import os

    return lambda progress: os._exit(3) if progress.step == step else None


def test_of_an_adapter_the_base_is_trained(run: str, base: str, tmp_path: Path) -> None:
    train_expert(EXCHANGES, tmp_path / "out", model=run, config=replace(SMALL, steps=1))
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"] == base


def test_each_pass_is_under_its_own_adapter_and_the_base_is_there_once(base: str, expert: str, run: str) -> None:
    model, alone = load(run), load(base, adapter=expert)
    before = logits(model, "3 and 3")
    under = model.under(expert)
    torch.testing.assert_close(logits(model, "3 and 3"), before)  # its LoRA no longer stands in the weights
    before = logits(model, "3 and 3")
    size = alone._network.vocabulary  # type: ignore[attr-defined]
    torch.testing.assert_close(logits(under, "3 and 3")[:, :size], logits(alone, "3 and 3"))
    assert not torch.allclose(logits(under, "3 and 3"), before, atol=1e-2)
    assert torch.equal(logits(model, "3 and 3"), before)
    assert under._network.model is model._network.model  # type: ignore[attr-defined]


def test_a_model_without_an_adapter_stays_as_it_was(base: str, expert: str) -> None:
    model = load(base)
    before = logits(model, "3 and 3")
    under = model.under(expert)
    assert not torch.allclose(logits(under, "3 and 3"), before, atol=1e-2)
    assert torch.equal(logits(model, "3 and 3"), before)


def test_the_same_adapter_is_loaded_once(base: str, expert: str) -> None:
    model = load(base)
    model.under(expert)
    size = sum(one.numel() for one in model._network.model.parameters())  # type: ignore[attr-defined]
    model.under(expert)
    assert sum(one.numel() for one in model._network.model.parameters()) == size  # type: ignore[attr-defined]


def test_two_threads_take_turns_and_get_their_own_answers(run: str, expert: str) -> None:
    model = load(run)
    under = model.under(expert)
    wanted = logits(model, "3 and 3"), logits(under, "3 and 3")
    right = []

    def ask(number: int) -> None:
        got = [logits((model, under)[number], "3 and 3") for _ in range(20)]
        right.append(all(torch.allclose(one, wanted[number], atol=1e-5) for one in got))

    threads = [threading.Thread(target=ask, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True, True]


def test_an_adapter_of_another_base_is_refused_by_name(expert: str, base: str, tmp_path: Path) -> None:
    other = saved("gpt2", tmp_path / "gpt2")
    with pytest.raises(ConfigError, match=f"{expert} is an expert of {base}, and this model is {other}"):
        load(other).under(expert)


def test_the_same_base_in_another_folder_is_the_same(expert: str, tmp_path: Path) -> None:
    again = saved("llama", tmp_path / "copy")
    assert load(again).under(expert)


def test_an_adapter_with_tokens_of_its_own_is_no_expert(run: str, base: str) -> None:
    with pytest.raises(ConfigError, match="trains tokens of its own"):
        load(base).under(run)


def test_a_folder_without_an_adapter_is_no_expert(base: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no expert: no adapter_config.json"):
        load(base).under(str(tmp_path))


@pytest.mark.parametrize("harm", ["missing", "shape", "rank", "table"])
def test_settings_or_weights_that_lie_are_one_line_and_the_model_goes_on(
    harm: str, expert: str, base: str, tmp_path: Path
) -> None:
    weights = load_file(Path(expert) / "adapter_model.safetensors")
    settings = json.loads((Path(expert) / "adapter_config.json").read_text())
    first = sorted(weights)[0]
    if harm == "missing":
        del weights[first]
    elif harm == "shape":
        weights[first] = torch.zeros(3, 5)
    elif harm == "table":
        weights["base_model.model.model.embed_tokens.weight"] = torch.zeros(3, 5)
    else:
        settings["r"] = 10**9
    save_file(weights, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    model = load(base)
    before = logits(model, "3 and 3")
    with pytest.raises(ConfigError, match="is no expert of this model") as told:
        model.under(str(tmp_path))
    assert "\n" not in str(told.value)
    assert torch.equal(logits(model, "3 and 3"), before)
    under = model.under(narrow(expert, tmp_path / "narrow"))
    assert not torch.equal(logits(under, "3 and 3"), before)


def narrow(expert: str, folder: Path) -> str:
    """The expert with a LoRA in one kind of layer only."""
    folder.mkdir()
    weights = load_file(Path(expert) / "adapter_model.safetensors")
    save_file({key: held for key, held in weights.items() if "q_proj" in key}, folder / "adapter_model.safetensors")
    settings = json.loads((Path(expert) / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(settings | {"target_modules": ["q_proj"]}))
    return str(folder)


def asked(follows: str, **more: str) -> Expert:
    """An expert that goes on with this behind its prompt."""
    model = ScriptedLM(experts={"reader": ScriptedLM(follows=script(follows))})
    return Expert("Reader", "reader", prompt="{input}?").with_model(model)


def test_an_expert_answers_behind_its_prompt() -> None:
    assert asked("six?  6 of them " + END)(" six ") == "6 of them"


def test_an_expert_that_says_nothing_has_no_answer() -> None:
    with pytest.raises(ToolNothing, match="the expert has no answer"):
        asked("six?" + END)("six")


def test_an_expert_without_an_end_is_one_line() -> None:
    with pytest.raises(ToolError, match="wrote 64 tokens and did not come to an end: 'lalala"):
        asked("six?" + "la" * 100)("six")


def test_an_expert_never_says_a_control_token() -> None:
    written = asked("six?<API>x" + END).written(["six"])
    assert "<API>" not in written[0].text


def test_an_empty_input_is_refused() -> None:
    with pytest.raises(ToolError, match="the input is empty"):
        asked("?" + END)(" ")


def test_an_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ToolError, match="4,097 tokens with the prompt leave no room in a context of 4,096"):
        asked("?")("x" * 4_096)


def test_an_answer_that_fills_the_context_is_one_line() -> None:
    with pytest.raises(ToolError, match="the context has no room for an answer"):
        asked("x" * 4_090 + "?" + "la" * 9)("x" * 4_090)


def test_without_a_model_it_says_what_it_needs() -> None:
    with Toolbox([Expert("Reader", "reader", prompt="{input}")]) as box, pytest.raises(ToolError, match="it has none"):
        box.run("Reader", "six")


def test_calls_that_come_together_are_answered_together() -> None:
    """Eight threads ask at once; the model's passes are those of the longest answer, and of the one that came first."""
    says = script(*(f"{n}?" + "la" * n + END for n in range(1, 9)))
    together: list[int] = []

    def follows(said: str) -> Mapping[str, float]:
        while not together and len(desk._new) + len(desk._in) < 8:
            time.sleep(0.001)  # until the others are there
        together.append(len(desk._in))
        return says(said)

    desk = Desk(ScriptedLM(follows=follows), Options(k=0))
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda n: desk.ask([f"{n}?"])[0].text, range(1, 9)))
    assert written == ["la" * n for n in range(1, 9)]
    assert max(together) == 8


def test_an_error_in_one_answer_reaches_all_that_were_written_with_it_and_the_next_are_answered() -> None:
    broken = True

    def follows(said: str) -> dict[str, float]:
        if broken and said.endswith("?la"):
            raise RuntimeError("no more")
        return {END: 0.9} if said.endswith("la") else {"l": 0.9} if said.endswith("?") else {"a": 0.9}

    desk = Desk(ScriptedLM(follows=follows), Options(k=0))

    def ask(text: str) -> str:
        try:
            return desk.ask([text])[0].text
        except (RuntimeError, ToolBroken) as error:
            return f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(ask, ["a?", "b?"]))
    assert {one.partition(":")[0] for one in said} <= {"RuntimeError", "ToolBroken"}
    assert all("no more" in one for one in said)
    broken = False
    assert ask("c?") == "la"


def test_qa_reads_all_passages_and_takes_the_first_that_says() -> None:
    known = ["Peru: Lima is its capital.\nQuestion: What?? Lima" + END, "Q: x.\nQuestion: What?? unknown" + END]
    known.append("R: y.\nQuestion: What?? Quito" + END)
    model = ScriptedLM(experts={"reader": ScriptedLM(follows=script(*known))})
    source = Shelf([Passage("Q", "x."), Passage("Peru", "Lima is its capital."), Passage("R", "y.")])
    qa = QA(source, ExpertReader(Expert("Reader", "reader", prompt="{input}?")))
    assert isinstance(qa, AsksModel)
    (ready,) = with_model([qa], model)
    assert ready("What?") == "Lima"
    (nothing,) = with_model([replace(qa, retriever=Shelf([Passage("Q", "x.")]))], model)
    with pytest.raises(ToolNothing, match="no answer to 'What\\?' in the passages"):
        nothing("What?")


class Shelf:
    identity = "shelf"

    def __init__(self, passages: list[Passage]) -> None:
        self._passages = passages

    def search(self, query: str, limit: int) -> list[Passage]:
        return self._passages[:limit]


def test_an_expert_takes_the_place_of_a_tool_of_its_name() -> None:
    tools = make_tools(ToolSettings(expert=("QA=runs/reader", "Critic=runs/critic")), ["calculator", "qa", "Critic"])
    assert [(tool.name, type(tool).__name__) for tool in tools] == [
        ("Calculator", "Calculator"),
        ("QA", "Expert"),
        ("Critic", "Expert"),
    ]


@pytest.mark.parametrize("given", ["QA", "=runs", "QA=", "Q A=runs"])
def test_what_names_no_expert_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="write NAME=ADAPTER"):
        make_tools(ToolSettings(expert=(given,)), ["calculator"])


def test_two_experts_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two experts are called QA"):
        make_tools(ToolSettings(expert=("QA=a", "QA=b")), [])


def test_a_reader_that_is_an_adapter_is_an_expert(expert: str) -> None:
    (qa,) = make_tools(ToolSettings(reader=expert), ["qa"])
    assert isinstance(qa, QA)
    assert isinstance(qa.reader, ExpertReader)


def test_a_toolformer_calls_its_experts(run: str, expert: str) -> None:
    with Toolformer.from_pretrained(run, experts={"Sum": expert}) as tf:
        sums = tf.toolbox["Sum"]
        assert isinstance(sums, Expert)
        assert "Sum" in tf.toolbox.names
        assert sums.desk is not None
        assert sums.traits.version.endswith("{input} =")
        tf.generate("3 and 3", max_new_tokens=4)


class Needy:
    """A tool that says which model it was given, by not taking it."""

    name = "QA"
    description = "Answers."
    traits = Traits(in_process=True)

    def with_model(self, model: LanguageModel) -> "Needy":
        raise ConfigError(f"given {model.name}")

    def __call__(self, text: str, /) -> str:
        return text


def test_whoever_uses_tools_with_a_model_gives_it_to_those_that_ask_it(tmp_path: Path) -> None:
    model = ScriptedLM(name="this one")
    with pytest.raises(ConfigError, match="given this one"):
        Toolformer(model, [Needy()])
    with pytest.raises(ConfigError, match="given this one"):
        annotate([Document("1", "The capital of Peru is Lima.")], [Needy()], tmp_path / "out", model=model)
    with pytest.raises(ConfigError, match="given this one"):
        evaluate(model, [Needy()], Settings(tasks=("svamp",), k=(0,), data=tmp_path), tmp_path / "results")


@dataclass(frozen=True)
class Asking:
    """A tool that knows which model it answers with."""

    name = "QA"
    description = "Answers."
    traits = Traits(in_process=True)
    model: object = None

    def with_model(self, model: object) -> "Asking":
        return Asking(model)

    def __call__(self, text: str, /) -> str:
        return text


def test_each_worker_of_an_annotator_answers_with_its_own_model(base: str) -> None:
    with Toolbox([Asking()]) as box:
        made = [*make_annotators(base, Loading(), None, box, [builtin_lessons()["QA"]], Method(), 2)]
    tools = [one.toolbox["QA"] for one in made]
    assert made[0].model is not made[1].model
    assert all(isinstance(tool, Asking) and tool.model is one.model for tool, one in zip(tools, made, strict=True))


def test_from_the_command_line(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(vars(one)) + "\n" for one in EXCHANGES))
    out = str(tmp_path / "out")
    flags = ["--steps", "2", "--batch-size", "4", "--max-length", "64", "--prompt", "{input}\\n"]
    main(["expert", "train", str(pairs), "--model", base, "--out", out, *flags])
    assert json.loads((tmp_path / "out" / "training.json").read_text())["prompt"] == "{input}\n"
    with pytest.raises(SystemExit) as ended:
        main(["expert", "ask", out, "3 and 3"])
    assert ended.value.code == 2
    assert "toolformer: the context has no room for an answer\n" in capsys.readouterr().err
