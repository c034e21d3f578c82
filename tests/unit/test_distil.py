"""A smaller model of a larger one: from its distribution, or from what it writes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.annotated_sample import call, kept, write_folder
from tests.finetune_texts import SMALL, Text, saved, text, texts
from tests.unit.test_cli import status
from toolformer.errors import ConfigError, DataError
from toolformer.finetune import TrainConfig, distil
from toolformer.finetune.distil_run import WRITTEN, taught_by
from toolformer.hf import load
from toolformer.lm import syntax_of
from toolformer.loading import Loading
from toolformer.tools.calculator import Calculator

# peft asks transformers in a way that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

BRIEF = TrainConfig(steps=12, batch_size=8, device_batch=8, held_out=0.2, evaluate_every=12, keep="last")


def boxes(number: int = 16) -> list[Text]:
    """Texts in which the built-in tool user calls."""
    made = []
    for n in range(3, 3 + number):
        result = str(n * 76)
        words = f"There are {n} boxes with 76 oranges in each, so there are {result} oranges in all."
        made.append(text(words, (f" {result} oranges", f"{n} * 76", result)))
    return made


def test_the_built_in_model_learns_the_distribution_of_its_tool_user(tmp_path: Path) -> None:
    done = distil("builtin-tools", boxes(), tmp_path / "out", student="builtin", config=BRIEF)
    assert done.perplexity["calls"] < 0.5 * done.before["calls"]
    about = json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))
    assert (about["teacher"], about["taught_by"], about["temperature"]) == ("builtin-tools", "distribution", 1.0)
    assert "from the distribution of `builtin-tools`" in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert syntax_of(load(str(tmp_path / "out"))).control
    again = distil("builtin-tools", boxes(), tmp_path / "out", student="builtin", config=BRIEF)
    assert again == done
    with pytest.raises(DataError, match="temperature"):
        distil("builtin-tools", boxes(), tmp_path / "out", student="builtin", config=BRIEF, temperature=2.0)


def test_a_student_with_another_vocabulary_learns_from_what_the_teacher_writes(tmp_path: Path) -> None:
    student, out = saved("llama", tmp_path / "student"), tmp_path / "out"
    assert taught_by("builtin-tools", student, "auto", SMALL, Loading()) == "texts"
    given = replace(SMALL, max_length=256)
    done = distil("builtin-tools", boxes(8), out, student=student, tools=[Calculator()], config=given)
    written = [json.loads(line) for line in (out / WRITTEN).read_text("utf-8").splitlines()]
    assert written[0]["text"].startswith("There are ")
    found = {(one["call"]["input"], one["call"]["result"]) for row in written for one in row["calls"]}
    assert found <= {(f"76 * {n}", str(76 * n)) for n in range(3, 11)} | {
        (f"{n} * 76", str(76 * n)) for n in range(3, 11)
    }
    assert found
    for row in written:
        for one in row["calls"]:
            assert row["text"][one["start"] :].startswith(f" {one['call']['result']}")
    assert "from what `builtin-tools` wrote" in (out / "README.md").read_text("utf-8")
    assert distil("builtin-tools", boxes(8), out, student=student, tools=[Calculator()], config=given) == done


def test_what_was_written_is_not_written_again_and_is_checked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = {"student": "builtin", "by": "texts", "config": replace(SMALL, max_length=256)}
    with pytest.raises(DataError, match="called no tool in the"):  # it has none
        distil("builtin", boxes(4), out, **given)  # type: ignore[arg-type]
    file = out / WRITTEN
    (call_,) = boxes(1)[0].calls
    placed = {"start": call_.start, "call": {"tool": "Calculator", "input": "3 * 76", "result": "228"}}
    file.write_text(json.dumps({"text": boxes(1)[0].text, "calls": [placed]}) + "\n", "utf-8")
    assert distil("builtin", boxes(4), out, **given).steps == SMALL.steps  # type: ignore[arg-type]
    other = tmp_path / "other"
    with pytest.raises(DataError, match="called no tool"):
        distil("builtin", boxes(4), other, **given)  # type: ignore[arg-type]
    (other / WRITTEN).write_text('{"text": 5, "calls": []}\n', "utf-8")
    with pytest.raises(DataError, match="is damaged .'text' cannot be 5.: delete it and run again"):
        distil("builtin", boxes(4), other, **given)  # type: ignore[arg-type]


def test_a_teacher_with_another_vocabulary_is_refused_in_one_line(tmp_path: Path) -> None:
    student = saved("llama", tmp_path / "student")
    with pytest.raises(
        ConfigError, match=r"^builtin-tools has another vocabulary than .* tokens\), so its distribution"
    ):
        distil("builtin-tools", texts(), tmp_path / "out", student=student, by="distribution", config=SMALL)
    assert not (tmp_path / "out").exists()
    # A learned prompt adds no call tokens to the vocabulary.
    assert taught_by("builtin-tools", "builtin", "auto", replace(SMALL, how="prompt"), Loading()) == "texts"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": 0.0}, "temperature=0.0: it has to be above 0"),
        ({"config": replace(SMALL, control=True)}, "control does not go with a teacher"),
        ({"config": replace(SMALL, anchor=True)}, "anchor does not go with a teacher"),
        ({"loading": Loading(adapter="x")}, "name the adapter itself"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    given: dict[str, object] = {"config": SMALL, "student": "builtin"} | changes
    with pytest.raises(ConfigError, match=said):
        distil("builtin-tools", texts(), tmp_path / "out", **given)  # type: ignore[arg-type]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        kept(str(n), one.text, call(one.text, f"{one.calls[0].call.result} oranges", "Calculator", *_said(one)))
        for n, one in enumerate(boxes(8))
    ]
    write_folder(tmp_path / "annotated", rows)
    brief = ("--steps", "2", "--batch-size", "4", "--out", str(tmp_path / "out"))
    assert status("distil", "builtin-tools", str(tmp_path / "annotated"), *brief) == 0
    assert "builtin-tools and builtin have one vocabulary: the student learns" in capsys.readouterr().err
    assert (tmp_path / "out" / "adapter_config.json").exists()


def _said(one: Text) -> tuple[str, str]:
    return one.calls[0].call.input, one.calls[0].call.result or ""
