"""A whole evaluation: asked once, kept, counted; stopped and gone on with; the same in lm-eval's own hands."""

import copy
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from tests import tiny_models
from tests.fakes import CountingCalculator, ScriptedLM
from toolformer.calls import CallSyntax
from toolformer.errors import ConfigError, DataError
from toolformer.eval.carried import same
from toolformer.eval.eval_display import Progress, line
from toolformer.eval.evaluating import evaluate, load_tasks, odd_sizes
from toolformer.eval.outcomes import read_outcomes, write_outcomes
from toolformer.eval.results import costs, results, write_results
from toolformer.eval.settings import ALONE, GROUPS, TASKS, Settings
from toolformer.eval.tables import grids
from toolformer.eval.tool_lm import ToolLM
from toolformer.hf.encode import Codec
from toolformer.hf.transformers_model import Seq2SeqModel
from toolformer.lock import sole_writer
from toolformer.toolbox import ResultMemory
from toolformer.tools.calculator import Calculator

PROBLEMS = [
    {"ID": f"c{n}", "Body": f"Ann had {n} eggs and found 3.", "Question": "How many?", "Answer": float(n + 3)}
    for n in range(1, 7)
]


def follows(said: str) -> dict[str, float]:
    """Says 4 to everything; a call is its second thought, and with its result it says that."""
    _, _, asked = said.rpartition("The answer is")
    eggs = said.partition("Ann had ")[2][:1]
    text = f"<API> Calculator({eggs} + 3)→ {int(eggs or 0) + 3}</API>"
    if asked and text.startswith(asked) and asked != text:
        rest = text[len(asked) :]
        return {next((t for t in ("<API>", "→", "</API>") if rest.startswith(t)), rest[0]): 0.9}
    if asked.endswith("</API>"):
        return {" ": 0.9}
    if asked.endswith("</API> "):
        return {str(int(eggs) + 3): 0.9}
    return {"": {" ": 0.5, "<API>": 0.3}, " ": {"4": 0.9}}.get(asked, {"\n": 0.9})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "svamp").mkdir(parents=True)
    (tmp_path / "data" / "svamp" / "SVAMP.json").write_text(json.dumps(PROBLEMS), "utf-8")
    return tmp_path / "data"


def settings(data: Path, **more: Any) -> Settings:
    given: dict[str, Any] = {"tasks": ("svamp",), "k": (0, 1, 3), "data": data} | more
    return Settings(**given)


def bytes_of(out: Path) -> dict[str, bytes]:
    """Everything but the cost, which differs from day to day."""
    return {path.name: path.read_bytes() for path in sorted(out.rglob("*.json*")) if path.name != "cost.jsonl"}


def test_disabled_at_one_and_at_three(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    seen: list[tuple[int, int]] = []
    model = ScriptedLM(follows=follows)
    evaluate(model, [Calculator()], settings(data), out, on_progress=lambda p: seen.append((p.done, p.total)))
    assert seen[0] == (1, 18)
    assert seen[-1] == (18, 18)
    found = write_results(out)["tasks"]["svamp"]
    accuracy = {k: (made["accuracy"]["value"], made["called"]["value"]) for k, made in found["k"].items()}
    assert accuracy == {"0": (0.166667, 0), "1": (0.166667, 0), "3": (1.0, 1.0)}
    assert found["k"]["3"]["called_by_tool"] == {"Calculator": 1.0}
    assert found["decisions"]["1"]["cases"]["undecided"] == 5
    assert found["decisions"]["3"]["oracle"] == {"mendable": 5, "called": 6, "precision": 0.833333, "recall": 1.0}
    assert found["decisions"]["calibration"]["bins"][0]["mended"]["value"] == 0.833333
    _, outcomes = read_outcomes(out / "examples" / "svamp-k3-000.jsonl")
    assert outcomes[1].raw == "<API> Calculator(2 + 3) → 5 </API> 5"
    assert (outcomes[1].prompt, outcomes[1].answer) == ("Ann had 2 eggs and found 3. How many? The answer is", "5")


def at_ranks(said: str) -> dict[str, float]:
    """As `follows`, but a call is the first thought about 1 and 2 eggs, the third about 3 and 4, none about more."""
    found = follows(said)
    if "<API>" not in found or len(found) == 1:
        return found
    eggs = int(said.partition("Ann had ")[2][:1])
    if eggs > 4:
        return {" ": 0.5}
    return {" ": 0.2, "<API>": 0.5} if eggs < 3 else {" ": 0.5, "?": 0.3, "<API>": 0.1}


def asked_at(out: Path) -> dict[int, int]:
    return {k: one.asked for (_, k), one in costs(out).items()}


def test_what_a_larger_k_has_answered_is_not_asked_again(tmp_path: Path, data: Path) -> None:
    together, tools = tmp_path / "together", [Calculator()]
    evaluate(ScriptedLM(follows=at_ranks), tools, settings(data, k=(0, 1, 3)), together)
    assert asked_at(together) == {3: 6, 1: 2, 0: 2}
    for k in (0, 1, 3):
        alone = tmp_path / f"alone{k}"
        evaluate(ScriptedLM(follows=at_ranks), tools, settings(data, k=(k,)), alone)
        assert asked_at(alone) == {k: 6}
        name = f"examples/svamp-k{k}-000.jsonl"
        assert (together / name).read_bytes() == (alone / name).read_bytes()
    sure = ScriptedLM(follows=lambda said: {"4": 1.0} if said.endswith(("is", " ")) else {"\n": 1.0})
    evaluate(sure, tools, settings(data, k=(0, 3), vote=2), tmp_path / "voted")
    assert asked_at(tmp_path / "voted") == {3: 6, 0: 6}


@pytest.mark.parametrize(
    ("ranks", "k", "expected"),
    [((), 1, True), ((0,), 1, True), ((1,), 1, False), ((2, 0), 3, True), ((0, 3), 3, False)],
)
def test_a_text_is_the_same_at_a_smaller_k_if_all_its_calls_open_there(
    ranks: tuple[int, ...], k: int, expected: bool
) -> None:
    assert same(ranks, k, CallSyntax.TOKENS) is expected
    assert same(ranks, k, CallSyntax.TEXT) is expected


def test_disabled_calls_leave_an_opening_that_is_text_to_be_written() -> None:
    assert same((), 0, CallSyntax.TOKENS)
    assert not same((), 0, CallSyntax.TEXT)
    assert not same((0,), 0, CallSyntax.TOKENS)


def test_a_run_goes_on_where_it_was_and_ends_with_the_same_bytes(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data), out)
    write_results(out)
    whole = bytes_of(out)
    (out / "examples" / "svamp-k1-000.jsonl").unlink()
    model = ScriptedLM(follows=follows)
    totals: list[int] = []
    evaluate(model, [Calculator()], settings(data), out, on_progress=lambda p: totals.append(p.total))
    assert set(totals) == {6}
    write_results(out)
    assert bytes_of(out) == whole
    asked = model.counter.tokens
    evaluate(model, [Calculator()], settings(data), out)
    assert model.counter.tokens == asked


@pytest.mark.parametrize("answers", [1, 8, 12])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, data: Path, answers: int) -> None:
    def kill(progress: Progress) -> None:
        if progress.done == answers:
            os.kill(os.getpid(), signal.SIGKILL)

    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data), tmp_path / "whole")
    out = tmp_path / "out"
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # the parent's threads do not survive a fork
        evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data), out, on_progress=kill)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data), out)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_a_large_task_is_kept_in_parts_and_an_unfinished_one_is_not_counted(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data), tmp_path / "whole")
    monkeypatch.setattr("toolformer.eval.plan.PART", 4)
    out = tmp_path / "parts"
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data), out)
    names = [path.name for path in sorted((out / "examples").iterdir())]
    assert names[:2] == ["svamp-k0-000.jsonl", "svamp-k0-001.jsonl"]
    assert results(out)["tasks"] == results(tmp_path / "whole")["tasks"]
    (out / "examples" / "svamp-k1-001.jsonl").unlink()
    with pytest.raises(DataError, match="is not finished: 4 of 6 examples of svamp at k = 1 are there"):
        results(out)


def test_a_file_that_lost_lines_is_named_and_not_gone_on_with(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data, k=(0,)), out)
    path = out / "examples" / "svamp-k0-000.jsonl"
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:-2]), "utf-8")
    with pytest.raises(DataError, match=r"svamp-k0-000\.jsonl does not hold the 6 examples that were asked, but 4"):
        evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data, k=(0,)), out)


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path, data: Path) -> None:
    with sole_writer(tmp_path / "out"), pytest.raises(ConfigError, match="another run is writing to"):
        evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data), tmp_path / "out")


def test_how_much_of_a_set_was_there_is_said(tmp_path: Path, data: Path) -> None:
    assert odd_sizes(load_tasks(settings(data))) == "not the published sets: svamp 6 of 1,000 published problems"
    assert odd_sizes({}) is None
    evaluate(ScriptedLM(follows=follows), [], settings(data, k=(0,), limit=2), tmp_path / "out")
    found = results(tmp_path / "out")
    assert found["tasks"]["svamp"]["size"] == {"read": 6, "published": 1000, "unit": "problems", "left_out": {}}
    (rows,) = (grid.rows for grid in grids([found, found]) if grid.title == "Data")
    assert [row.cells for row in rows] == [("svamp", "2", "6 of 1,000 published problems", "")]


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    write_outcomes(tmp_path / "examples" / "svamp-k0-000.jsonl", {"task": "svamp", "k": 0}, [])
    with pytest.raises(DataError, match="does not say its model: another version made it"):
        results(tmp_path)


def test_damaged_weights_are_no_answer(tmp_path: Path) -> None:
    rows = "What?,1,2,3,4,D\n" * 5
    for name in ("mmlu/dev/a_dev.csv", "mmlu/test/a_test.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(rows, "utf-8")
    model = ScriptedLM(follows=lambda _: {"A": float("nan")})
    with pytest.raises(DataError, match="scripted scores a-0 with nan: its weights are damaged"):
        evaluate(model, [], Settings(("mmlu_letters",), (0,), data=tmp_path), tmp_path / "out")


def test_what_it_took_is_kept_apart(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data, k=(3,)), out)
    with (out / "cost.jsonl").open("a") as file:
        file.write("torn {")
    (cost,) = costs(out).values()
    assert cost.waited > 0
    assert cost.tokens > 6 * len("Ann had 1 eggs and found 3.")


def test_a_folder_holds_one_model_with_its_tools(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    evaluate(ScriptedLM(), [Calculator()], settings(data, k=(0,)), out)
    with pytest.raises(DataError, match='fingerprint was "scripted" and is "other"'):
        evaluate(ScriptedLM(fingerprint="other"), [Calculator()], settings(data, k=(1,)), out)
    with pytest.raises(DataError, match='precision was "float32" and is "bfloat16"'):
        evaluate(ScriptedLM(precision="bfloat16"), [Calculator()], settings(data, k=(1,)), out)
    with pytest.raises(DataError, match="tools was"):
        evaluate(ScriptedLM(), [], settings(data, k=(1,)), out)
    with pytest.raises(DataError, match="data was"):
        evaluate(ScriptedLM(), [Calculator()], settings(data, k=(0,), limit=2), out)


def test_a_limit_draws_the_same_examples_and_not_the_first(data: Path, tmp_path: Path) -> None:
    drawn = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        evaluate(ScriptedLM(), [], settings(data, k=(0,), limit=3, seed=seed), tmp_path / name)
        drawn.append([one.id for one in read_outcomes(tmp_path / name / "examples" / "svamp-k0-000.jsonl")[1]])
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 3


def test_a_vote_takes_the_answer_given_most_often(data: Path, tmp_path: Path) -> None:
    def unsure(said: str) -> dict[str, float]:
        return {" ": 1.0} if said.endswith("is") else {"4": 0.85, "9": 0.15} if said[-1] == " " else {"\0END": 1.0}

    evaluate(ScriptedLM(follows=unsure), [], settings(data, k=(0,), vote=9), tmp_path / "out")
    _, outcomes = read_outcomes(tmp_path / "out" / "examples" / "svamp-k0-000.jsonl")
    assert [one.answer for one in outcomes] == ["4"] * 6
    assert all(5 <= one.votes <= 9 for one in outcomes)


def wavering(said: str) -> dict[str, float]:
    """As `follows`, but its second thought is to add 2 or 4 instead of 3."""
    found = follows(said)
    asked = said.rpartition("The answer is")[2]
    if asked.endswith(" + "):
        return {"3": 0.5, "2": 0.25, "4": 0.25 - 1e-9}
    if "<API>" in asked and asked.endswith(("+ 2", "+ 4")):
        return {")": 1.0}
    return dict.fromkeys(found, 1.0) if len(found) == 1 else found


def test_sampled_calls_are_other_calls_and_the_folder_says_so(data: Path, tmp_path: Path) -> None:
    def inputs(name: str, **more: Any) -> set[str]:
        out = tmp_path / name
        evaluate(ScriptedLM(follows=wavering), [Calculator()], settings(data, k=(3,), **more), out)
        _, outcomes = read_outcomes(out / "examples" / "svamp-k3-000.jsonl")
        return {call.input for one in outcomes for call in one.calls}

    assert inputs("greedy") == {f"{eggs} + 3" for eggs in range(1, 7)}
    assert inputs("sampled", calls_sampled=9) > inputs("greedy")
    assert inputs("warm", call_temperature=1.0) - inputs("greedy")
    with pytest.raises(DataError, match="calls"):
        inputs("greedy", calls_sampled=9)
    assert costs(tmp_path / "sampled")["svamp", 3].tokens > costs(tmp_path / "greedy")["svamp", 3].tokens


def test_what_tools_answered_once_is_asked_of_them_no_more(data: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    for out in ("one", "two"):
        memory = ResultMemory(tmp_path / "memory")
        model, tool = ScriptedLM(follows=follows), CountingCalculator(asked)
        evaluate(model, [tool], settings(data, k=(3,)), tmp_path / out, memory=memory)
    assert sorted(asked) == [f"{eggs} + 3" for eggs in range(1, 7)]


def test_names_settings_and_folders_that_cannot_be_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean svamp"):
        Settings(("svmp",)).names()
    with pytest.raises(ConfigError, match="name at least one task or group: lama, math"):
        Settings(())
    for wrong in ({"k": ()}, {"k": (1, 1)}, {"k": (-1,)}, {"limit": 0}, {"vote": 0}, {"calls_sampled": 0}):
        with pytest.raises(ConfigError):
            Settings(("svamp",), **wrong)
    with pytest.raises(DataError, match="holds no outcomes"):
        results(tmp_path)
    assert set(Settings((*GROUPS, *ALONE)).names()) == set(TASKS)
    assert Settings(("math",)).names() == ["asdiv", "svamp", "mawps", "gsm8k"]  # mawps_all holds mawps


def test_every_task_has_its_yaml_and_no_other() -> None:
    from toolformer.eval.evaluating import FOLDER

    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(TASKS)


def test_perplexity_and_pairs(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("abcd efgh", "utf-8")
    (tmp_path / "p.jsonl").write_text('{"prompt": "Say it:", "references": ["a b c d"]}\n', "utf-8")

    def say(said: str) -> dict[str, float]:
        text = "Say it: a b c d"
        return {text[len(said)]: 0.9} if text.startswith(said) and said != text else {"\0END": 0.9}

    model = ScriptedLM(follows=say, loss=lambda prefix, text, position: 2.0)
    chosen = Settings(("text", "pairs"), (0,), text=tmp_path / "t.txt", pairs=tmp_path / "p.jsonl")
    evaluate(model, [], chosen, tmp_path / "out")
    found = results(tmp_path / "out")["tasks"]
    assert found["text"]["perplexity"]["tokens"] == 9
    assert found["text"]["perplexity"]["perplexity"] == pytest.approx(7.38906)
    assert found["text"]["perplexity"]["bits_per_byte"] == pytest.approx(2.88539)
    tables = {grid.title: grid.rows for grid in grids([results(tmp_path / "out")])}
    assert tables["Perplexity, calls disabled"][0].cells[:4] == ("scripted", "text", "9", "7.38906")
    assert tables["Overlap with the references"][0].cells == ("scripted", "0", "100.0", "100.0", "100.0", "100.0")
    assert found["pairs"]["overlap"]["0"] == {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0, "bleu": 100.0}


@pytest.mark.filterwarnings("ignore")
def test_lm_eval_itself_says_the_same(tmp_path: Path, data: Path) -> None:
    from lm_eval.evaluator import evaluate as theirs

    model = ScriptedLM(follows=follows)
    evaluate(model, [Calculator()], settings(data, k=(3,)), tmp_path / "out")
    ours = results(tmp_path / "out")["tasks"]["svamp"]["k"]["3"]["accuracy"]["value"]
    from toolformer.decode.options import Options

    with ToolLM(model, [Calculator()], Options(k=3)) as lm:
        (task,) = load_tasks(settings(data)).values()
        found = theirs(lm, {"toolformer_svamp": task}, bootstrap_iters=0)
    assert found is not None
    assert found["results"]["toolformer_svamp"]["acc,none"] == ours == 1.0


@pytest.mark.filterwarnings("ignore")
def test_an_answer_behind_an_empty_line_is_right_here_and_in_lm_eval(tmp_path: Path, data: Path) -> None:
    from lm_eval.evaluator import evaluate as theirs

    def late(said: str) -> dict[str, float]:
        blank = said.find("\n\n")
        if blank < 0:
            return {"\n": 0.9}
        return follows(said[:blank] + said[blank + 2 :])

    model = ScriptedLM(follows=late)
    evaluate(model, [], settings(data, k=(0,)), tmp_path / "out")
    ours = results(tmp_path / "out")["tasks"]["svamp"]["k"]["0"]["accuracy"]["value"]
    (task,) = load_tasks(settings(data)).values()
    found = theirs(ToolLM(model), {"toolformer_svamp": task}, bootstrap_iters=0)
    assert found is not None
    assert found["results"]["toolformer_svamp"]["acc,none"] == pytest.approx(ours, abs=1e-6)
    assert ours > 0


@pytest.mark.filterwarnings("ignore")
def test_a_random_encoder_decoder_runs_bbh_and_mmlu(tmp_path: Path) -> None:
    files = {
        "bbh/bbh/t.json": json.dumps({"examples": [{"input": "Which?\n(A) x\n(B) y", "target": "(A)"}] * 2}),
        "bbh/cot-prompts/t.txt": "X\n-----\nSay." + "\n\nQ: a\nA: Let's think step by step.\nSo the answer is (B)." * 3,
        "mmlu/dev/a_dev.csv": "What?,1,2,3,4,D\n" * 5,
        "mmlu/test/a_test.csv": "What now?,1,2,3,4,C\n" * 2,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    config = copy.deepcopy(tiny_models.SEQ2SEQ["t5"])
    config.n_positions = 1024
    network = tiny_models._random(AutoModelForSeq2SeqLM.from_config(config))  # type: ignore[no-untyped-call]
    model = Seq2SeqModel(network, Codec(tiny_models.own_tokenizer(), "t5"), "t5", "f")
    evaluate(model, [Calculator()], Settings(("bbh", "mmlu"), (0, 3), data=tmp_path), tmp_path / "out")
    found = write_results(tmp_path / "out")["tasks"]
    assert {name: made["examples"] for name, made in found.items()} == {
        "bbh_direct": 2,
        "bbh_cot": 2,
        "mmlu_text": 2,
        "mmlu_letters": 2,
    }
    assert found["mmlu_letters"]["k"].keys() == {"0"}
    assert found["bbh_cot"]["k"]["0"]["normalised"] is not None


def test_progress_says_how_much_longer() -> None:
    assert line(Progress(100, 25, "svamp, k = 1"), 50.0).strip() == (
        "25 of 100 answered, 0.5/s, 2 min 30 s left, svamp, k = 1"
    )
    assert line(Progress(10), 0.0).strip() == "0 of 10 answered, 0.0/s"
    assert line(Progress(10, 10, finished=True), 5.0).strip() == "10 of 10 answered, 2.0/s"
