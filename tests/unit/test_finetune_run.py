"""Training as a run: killed, on a full disk, on two devices, from the command line, for another round, to a hub."""

import base64
import json
import multiprocessing
import os
import random
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from tests.annotated_sample import Record, call, kept, write_folder
from tests.finetune_texts import SMALL, saved, texts, trained
from toolformer.calls import CallSyntax
from toolformer.cli import main
from toolformer.commands.train import Train
from toolformer.data_gen import annotate
from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.records import Document
from toolformer.errors import ConfigError, DataError
from toolformer.finetune import PAPER, train
from toolformer.finetune.hub import push_to_hub
from toolformer.finetune.model_card import model_card
from toolformer.finetune.train_display import Display, Progress
from toolformer.finetune.training_folder import TrainingFolder
from toolformer.hf import load
from toolformer.lm import Openings, Prompted
from toolformer.tools.calculator import Calculator

# peft asks transformers in a way that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def in_a_process(work: Callable[[], object], seconds: float | None = None) -> int | None:
    """Do it in a process of its own, which is killed after so long; its exit status."""

    def child() -> None:
        torch.set_num_threads(1)  # the parent's threads do not survive a fork
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode


def written(out: Path) -> tuple[bytes, list[dict[str, float]]]:
    """The weights, and the losses on the way."""
    return (out / "adapter_model.safetensors").read_bytes(), json.loads((out / "training.json").read_text())["log"]


def test_killed_at_any_moment_it_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    """GPT-2 has dropout, so the random numbers must go on too."""
    base = saved("gpt2", tmp_path / "gpt2")
    config = replace(SMALL, steps=16, evaluate_every=3, learning_rate=1e-2, keep="last")
    begun = time.monotonic()
    assert in_a_process(lambda: trained(base, tmp_path / "whole", config)) == 0
    took = time.monotonic() - begun
    rng = random.Random(5)
    ends = [in_a_process(lambda: trained(base, tmp_path / "killed", config), rng.uniform(0.5, 0.9) * took)]
    ends += [in_a_process(lambda: trained(base, tmp_path / "killed", config), rng.uniform(0.4, 0.7) * took)]
    ends += [in_a_process(lambda: trained(base, tmp_path / "killed", config))]
    assert ends[0] == -signal.SIGKILL
    assert ends[-1] == 0
    assert written(tmp_path / "killed") == written(tmp_path / "whole")


def test_killed_while_a_checkpoint_is_written_the_one_before_counts(tmp_path: Path) -> None:
    base, out = saved("llama", tmp_path / "llama"), tmp_path / "run"
    config = replace(SMALL, steps=6, keep="last")

    def stop() -> None:
        complete = TrainingFolder.complete

        def killed(folder: TrainingFolder, checkpoint: Path, best: int | None) -> None:
            if checkpoint.name == "checkpoint-4":
                (checkpoint / "optimizer.pt").write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
            complete(folder, checkpoint, best)

        TrainingFolder.complete = killed  # type: ignore[method-assign, assignment]
        trained(base, out, config)

    assert in_a_process(stop) == -signal.SIGKILL
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["checkpoint-2", "checkpoint-4"]
    assert in_a_process(lambda: trained(base, out, config)) == 0
    assert in_a_process(lambda: trained(base, tmp_path / "whole", config)) == 0
    assert written(out) == written(tmp_path / "whole")


def test_a_second_run_on_the_folder_is_refused_while_the_first_is_alive(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "llama")
    with TrainingFolder(tmp_path / "run", {}), pytest.raises(ConfigError, match="another run is writing to"):
        trained(base, tmp_path / "run")


@pytest.mark.parametrize(("most", "where"), [(10, tempfile.gettempdir()), (2_000, "run"), (30_000, "run")])
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(most: int, where: str, tmp_path: Path) -> None:
    """A real full disk: files of this process may not grow beyond so many bytes. The texts are written down first."""
    base, out = saved("llama", tmp_path / "llama"), tmp_path / "run"

    def cramped() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        try:
            trained(base, out)
        except DataError as error:
            as_it_should = str(error).startswith(f"cannot write to {tmp_path / where}") and "\n" not in str(error)
            os._exit(7 if as_it_should else 8)

    assert in_a_process(cramped) == 7
    assert in_a_process(lambda: trained(base, out)) == 0


def record(number: int) -> Record:
    n = texts()[number]
    placed = n.calls[0]
    words = n.text[placed.start :]
    return kept(str(number), n.text, call(n.text, words, "Calculator", placed.call.input, str(placed.call.result)))


def folder(tmp_path: Path, mark: str | None = None) -> Path:
    made = write_folder(tmp_path / "annotated", [record(number) for number in range(20)])
    if mark:
        (made / "config.json").write_text(json.dumps({"model": "tiny", "model_fingerprint": mark}))
    return made


FLAGS = shlex.split(
    "--steps 4 --batch-size 4 --device-batch 2 --max-length 64 --held-out 0.2 --rank 4 --evaluate-every 2"
)


def test_two_processes_get_the_losses_of_one(tmp_path: Path) -> None:
    base, corpus = saved("llama", tmp_path / "llama"), folder(tmp_path)
    alone, both = tmp_path / "alone", tmp_path / "both"
    train(AnnotatedFolder(corpus).kept(), alone, model=base, config=SMALL)
    launch = shlex.split(
        f"{Path(sys.executable).with_name('accelerate')} launch --multi_gpu --num_processes 2 --num_machines 1 "
        "--mixed_precision no --dynamo_backend no --main_process_port 0 -m toolformer.cli"
    )
    flags = ["train", str(corpus), "--out", str(both), "--model", base, *FLAGS]
    done = subprocess.run(
        [*launch, *flags],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((out / "training.json").read_text()) for out in (alone, both))
    assert two["settings"] == one["settings"]
    for apart, together in zip(one["log"], two["log"], strict=True):
        assert together == pytest.approx(apart, rel=1e-4)


def status(*arguments: str) -> int:
    """Run a command in this process and return its exit status."""
    try:
        main(arguments)
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, out = saved("llama", tmp_path / "llama"), tmp_path / "run"
    plain = tmp_path / "corpus.jsonl"
    words = [one.text for one in texts()] + ["A text that kept no call.", "Another one."]
    plain.write_text("".join(json.dumps({"text": one}) + "\n" for one in words))
    corpus = str(folder(tmp_path, mark="of-another"))
    asked = ["train", corpus, "--out", str(out), "--model", base, "--plain", str(plain), *FLAGS]
    assert status(*asked) == 2
    assert "\ntoolformer: the corpus was made with another model" in capsys.readouterr().err
    assert status(*asked, "--any-corpus") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step")]
    assert lines[0].startswith("step 0 of 4, perplexity without calls ")
    assert lines[-1].startswith("step 4 of 4, loss ")
    about = json.loads((out / "training.json").read_text())
    assert about["texts"]["plain"] + about["texts"]["held_out_plain"] == 2
    assert load(str(out)).name == str(out)


def test_the_papers_preset_changes_defaults_and_flags_change_it() -> None:
    assert Train.defaults(["train", "x"]).config.how == "lora"
    assert Train.defaults(["train", "x", "--preset", "paper"]).config == PAPER
    assert Train.defaults(["train", "x", "--preset=paper", "--how", "lora"]).config == PAPER


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.show(Progress(10, perplexities={"without calls": 5.0}, first={"without calls": 5.0}, measured=True))
        display.show(Progress(10, step=1, tokens=50, loss=2.5))
        display.show(Progress(10, 5, 0, 500, 2.0, {"without calls": 4.5}, {"without calls": 5.0}, measured=True))
    first, second = capsys.readouterr().err.splitlines()
    assert first == "step 0 of 10, perplexity without calls 5"
    assert second.startswith("step 5 of 10, loss 2.0000, perplexity without calls 4.5 (-10.0%), ")
    assert second.endswith(" left")


def test_a_finetuned_model_annotates_another_round(tmp_path: Path) -> None:
    """It needs no lesson: it reads the text alone, and says how likely its own token is."""
    base, out = saved("llama", tmp_path / "llama"), tmp_path / "run"
    trained(base, out, replace(SMALL, learning_rate=1e-2, keep="last"))
    model = load(str(out))
    model.context = 4096  # a call beside a text is longer than this tiny model's context
    seen: list[Prompted] = []
    opened = model.open

    def note(
        prompted: Sequence[Prompted], opening: tuple[int, ...], places: Sequence[Sequence[int]] | None = None
    ) -> Openings:
        seen.extend(prompted)
        assert opening == model.encode_parts([CallSyntax.TOKENS.opening])
        return opened(prompted, opening, places)

    model.open = note  # type: ignore[method-assign]
    documents = [Document(str(n), one.text) for n, one in enumerate(texts(4))]
    progress = annotate(documents, [Calculator()], tmp_path / "again", model=model)
    assert progress.documents == 4
    assert {(one.head, one.tail) for one in seen} == {((), ())}
    assert {one.text for one in seen} <= {model.encode(one.text).ids for one in documents}


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as an upload asks for. It remembers the files of the commit."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        address = f"http://127.0.0.1:{self.server.server_port}/someone/taught"  # type: ignore[attr-defined]
        if self.path == "/api/repos/create":
            return self.answer({"url": address, "id": "someone/taught", "name": "someone/taught"})
        if "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            return self.answer(
                {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]}
            )
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return self.answer({"success": True, "commitOid": "0" * 40, "commitUrl": f"{address}/commit/0"})
        return self.answer({"valid": True})  # its check of the model card

    def do_GET(self) -> None:
        self.answer({"id": "someone/taught", "siblings": [], "sha": "0" * 40})

    def answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_pushed_to_a_hub_it_is_the_folder_as_it_lies(tmp_path: Path) -> None:
    """The real client, against a hub on this machine."""
    base, out = saved("llama", tmp_path / "llama"), tmp_path / "run"
    trained(base, out)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = "from pathlib import Path; from toolformer.finetune.hub import push_to_hub; "
    code += f"print(push_to_hub(Path({str(out)!r}), 'someone/taught'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_TOKEN": "nobody's",
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_OFFLINE": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("/someone/taught")
    assert f"someone/taught names its base model as {base}, which nobody else has: push that too" in done.stderr
    lying = {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}
    assert {name: content for name, content in Hub.files.items() if name != ".gitattributes"} == lying


def test_a_card_names_a_base_model_of_the_hub_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    settings = {"how": "lora", "control": True, "max_length": 1024}
    results = {"before": {}, "perplexity": {}, "step": 1, "steps": 1, "tokens_per_second": 1, "padding": 0, "cut": 0}

    def named(model: str) -> bool:
        about = {"toolformer": "0", "model": model, "tools": [], "texts": {"learnt": 1}, "settings": settings}
        return f'base_model: "{model}"' in model_card(about, results, "run")

    assert [named(one) for one in ("someone/tiny", "models/here", "./tiny", "/tiny", "builtin")] == [True] + [False] * 4


def test_only_a_finished_run_is_pushed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no finished run"):
        push_to_hub(tmp_path, "someone/taught")
