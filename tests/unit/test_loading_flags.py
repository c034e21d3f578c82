"""The flags that say how a model is loaded: on every command that loads one, and heard by it."""

from pathlib import Path
from typing import Any

import pytest

from tests.annotated_sample import call, kept, write_folder
from toolformer.cli import main, parse_any
from toolformer.hf import load, load_network
from toolformer.loading import Loading

COMMANDS = {
    "annotate": ["annotate", "TEXT", "--out", "OUT", "--tools", "calculator"],
    "train": ["train", "CORPUS", "--out", "OUT", "--steps", "1"],
    "eval": ["eval", "--out", "OUT", "--tasks", "text", "--text", "TEXT", "--tools", "none"],
    "bench annotate": ["bench", "annotate", "--texts", "1", "--plain-texts", "1", "--tools", "calculator"],
    "bench decode": ["bench", "decode", "--rounds", "1"],
    "generate": ["generate", "There are 8"],
    "chat": ["chat"],
}
FLAGS = {
    "device": "cpu",
    "dtype": "bfloat16",
    "revision": "v1",
    "quantize": "int8",
    "adapter": "someone/taught",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_loads_a_model_has_them(name: str) -> None:
    words = [word for flag, value in FLAGS.items() for word in (f"--{flag}", value)]
    parsed: Any = parse_any([*COMMANDS[name], *words, "--offline"])
    command = getattr(parsed, "command", parsed)
    assert command.loading == Loading(**FLAGS, offline=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", COMMANDS)
def test_and_hears_them(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("There are 8 boxes with 76 oranges in each, so there are 608.")
    sum_ = "There are 8 * 76 = 608 of them."
    places = {
        "TEXT": str(tmp_path / "text.txt"),
        "CORPUS": str(
            write_folder(tmp_path / "corpus", [kept("1", sum_, call(sum_, "608", "Calculator", "8 * 76", "608"))])
        ),
        "OUT": str(tmp_path / "out"),
    }
    with pytest.raises(SystemExit) as stopped:
        main([*(places.get(word, word) for word in COMMANDS[name]), "--dtype", "bfloat61"])
    assert stopped.value.code == 2
    assert "no dtype is called 'bfloat61': did you mean bfloat16" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_they_are_what_load_takes() -> None:
    assert load("builtin", **vars(Loading(dtype="bfloat16"))).precision == "bfloat16"
    network, _ = load_network("builtin", Loading(dtype="float16"))
    assert str(network.dtype) == "torch.float16"
