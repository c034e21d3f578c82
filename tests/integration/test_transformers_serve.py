"""`transformers serve`, a real OpenAI-compatible server: it samples calls, and serves exported models with tools."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from transformers import AutoTokenizer

from tests.unit.test_run import content
from toolformer.data_gen import Server, annotate, read_corpus
from toolformer.data_gen.lessons import builtin_lessons
from toolformer.data_gen.samplers.server import By
from toolformer.errors import ServerError
from toolformer.export_model import export_model
from toolformer.hf import load_network
from toolformer.tools.calculator import Calculator

ROOT = Path(__file__).parents[2]
LESSON = replace(builtin_lessons()["Calculator"], positions=2, samples=2)
TEMPLATE = (  # the lesson as the built-in model has learnt it
    "{% for m in messages %}{{ 'Input: ' if m['role'] == 'user' else 'Output: ' }}{{ m['content'] }}"
    "{{ '\\n' if m['role'] == 'user' else '\\n\\n' }}{% endfor %}{{ 'Output:' }}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model as a folder that can chat, and that samples unless told otherwise."""
    folder = tmp_path_factory.mktemp("served")
    network, tokenizer = load_network("builtin")
    network.generation_config.do_sample = True
    network.save_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with served(model) as url:
        yield url


@contextmanager
def served(model: Path, *flags: str) -> Iterator[str]:
    """The server's address, for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    transformers = str(Path(sys.executable).with_name("transformers"))
    command = [transformers, "serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(model / "code")}
    with (model / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_exported_model_is_served_with_its_tools(tmp_path: Path) -> None:
    folder = export_model("builtin-tools", tmp_path / "merged").folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    prompt = "There are 8 boxes with 76 oranges in each, so there are"
    turns: Any = [{"role": "user", "content": prompt}]
    with served(folder, "--trust-remote-code") as url:
        client = OpenAI(base_url=url, api_key="none")
        made = client.completions.create(model=str(folder), prompt=prompt, max_tokens=8)
        chunks = client.chat.completions.create(model=str(folder), messages=turns, max_tokens=8, stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert (made.choices[0].text, made.choices[0].finish_reason) == (" 608 oranges.", "stop")
    assert said == " 608 oranges."


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "transformers serve ended at once; its log is beside the model"
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("transformers serve did not start within a minute")


def run(out: Path, server: Server) -> list[dict[str, object]]:
    """Annotate a few texts; every record that came of it."""
    corpus = (one for one in read_corpus(ROOT / "toolformer" / "builtin" / "corpus.jsonl") if LESSON.wants(one))
    annotate(corpus, [Calculator()], out, sampler=server, lessons=[LESSON], limit=4)
    rows = [json.loads(line) for line in (out / "rejected" / "00000.jsonl").read_text().splitlines()]
    kept = [json.loads(line) for line in (out / "kept" / "00000.jsonl").read_text().splitlines()]
    return [*rows, *(call for text in kept for call in text["calls"])]


def test_by_completions(model: Path, url: str, tmp_path: Path) -> None:
    # One request at a time: the server has one random state, which each request seeds.
    server = Server(url, str(model), parallel=1)
    records = run(tmp_path / "one", server)
    tried = [record for record in records if record.get("stage") != "propose"]
    assert len(tried) <= 4 * LESSON.positions * LESSON.samples
    assert any(record["input"] for record in tried), "not one call in all of its samples"
    assert not [record for record in records if "refuses" in str(record.get("reason"))]
    run(tmp_path / "two", server)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_by_chat(model: Path, url: str, tmp_path: Path) -> None:
    records = run(tmp_path / "out", Server(url, str(model), by="chat", parallel=2))
    assert len(records) >= 4 * LESSON.samples
    assert all(record.get("stage") != "sample" or record["reason"] for record in records)
    assert not [record for record in records if "refuses" in str(record.get("reason"))]


@pytest.mark.parametrize("by", ["completions", "chat"])
def test_another_model_is_refused_at_once(url: str, tmp_path: Path, by: By) -> None:
    with pytest.raises(ServerError, match="refuses to be asked: 400 .*pinned to"):
        run(tmp_path / "out", Server(url, "another", by=by))
