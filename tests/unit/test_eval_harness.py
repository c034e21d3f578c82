"""lm-eval's own command runs our model on our tasks."""

import json
import sys
from pathlib import Path

import pytest

from toolformer.commands.harness import RegisteredLM, main
from toolformer.errors import ConfigError


@pytest.mark.filterwarnings("ignore")
def test_lm_evals_command_asks_our_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [
        {"ID": f"c{n}", "Body": f"Ann had {n} eggs.", "Question": "How many?", "Answer": float(n)} for n in (1, 2)
    ]
    (tmp_path / "svamp").mkdir()
    (tmp_path / "svamp" / "SVAMP.json").write_text(json.dumps(problems), "utf-8")
    monkeypatch.setattr(sys, "argv", ["as before"])
    out = tmp_path / "out"
    main(
        [
            *("run", "--model", "toolformer", "--model_args", "pretrained=builtin,k=3,tools=calculator"),
            *("--tasks", "toolformer_svamp", "--metadata", json.dumps({"data": str(tmp_path)})),
            *("--output_path", str(out), "--log_samples"),
        ]
    )
    (found,) = out.rglob("results_*.json")
    results = json.loads(found.read_text("utf-8"))["results"]["toolformer_svamp"]
    assert 0 <= results["acc,none"] <= 1
    (samples,) = out.rglob("samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text("utf-8").splitlines()]
    assert {row["doc"]["prompt"] for row in rows} == {f"Ann had {n} eggs. How many? The answer is" for n in (1, 2)}


def test_an_argument_nobody_knows_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean tools"):
        RegisteredLM(tool="calculator")
    with pytest.raises(ConfigError, match="did you mean Calculator"):
        RegisteredLM(tools="calculato")
