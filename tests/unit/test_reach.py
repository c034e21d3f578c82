"""Models by name where the hub is far away, slow, or not there."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests import tiny_models
from tests.hub import ask_at
from toolformer.errors import ConfigError
from toolformer.hf import load, reach
from toolformer.tools.embedding import Embedder
from toolformer.tools.pretrained import Pretrained


@pytest.fixture
def hub_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], None]:
    """The hub's client asks a port of this machine, with an empty cache."""
    return partial(ask_at, cache=tmp_path / "cache", monkeypatch=monkeypatch)


@pytest.fixture
def no_hub(hub_at: Callable[[int], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hub_at(port)


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (partial(load, "buildin"), "no model is called 'buildin': did you mean builtin or builtin-tools?"),
        (partial(load, "builtin", adapter="someone/nothing"), "someone/nothing is no adapter for this model"),
        (lambda: Pretrained("someone/nothing", "text-to-text").loaded, "model 'someone/nothing' cannot be loaded"),
        (lambda: Embedder("someone/nothing"), "model 'someone/nothing' cannot be loaded"),
    ],
    ids=["model", "adapter", "a tool's model", "embedding"],
)
def test_without_a_network_a_wrong_name_is_told_at_once(asked: Callable[[], object], said: str) -> None:
    for library in ("peft", "sentence_transformers"):  # they take their time, and are not what is timed
        __import__(library)
    begun = time.monotonic()
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        asked()
    assert time.monotonic() - begun < 10  # its own client asks for 23 s


def test_a_connection_that_never_comes_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, hub_at: Callable[[int], None]
) -> None:
    """Lost packets; a name server that does not answer."""
    never = threading.Event()
    hub_at(9)
    monkeypatch.setattr(reach, "SECONDS", 0.1)
    monkeypatch.setattr(reach, "get_session", lambda: never.wait(20))
    begun = time.monotonic()
    assert reach.out_of_reach("someone/tiny")
    assert time.monotonic() - begun < 10
    never.set()


@pytest.mark.parametrize("name", [None, ".", "./nothing", "/nothing", "~/nothing"])
def test_for_what_is_here_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(reach, "get_session", lambda: pytest.fail("it was asked"))
    assert not reach.out_of_reach(name)


@pytest.mark.usefixtures("no_hub")
def test_who_says_offline_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not reach.out_of_reach("someone/tiny")


class SlowHub(BaseHTTPRequestHandler):
    """It holds one model, and takes its time over the first question."""

    folder: Path

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        if self.path == "/":
            time.sleep(4)
        file = self.folder / self.path.rpartition("/")[2]
        if not self.path.startswith("/someone/tiny/resolve/") or not file.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{file.name}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def slow_hub(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    SlowHub.folder = tmp_path / "tiny"
    tiny_models.model("llama").save_pretrained(SlowHub.folder)
    tiny_models.tokenizer().save_pretrained(SlowHub.folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_slow_hub_is_given_time_and_its_cache_does_without_it(
    slow_hub: ThreadingHTTPServer, hub_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_at(slow_hub.server_port)
    monkeypatch.setattr(reach, "SECONDS", 2)  # less than it takes to answer, and enough to be connected
    fetched = load("someone/tiny")
    slow_hub.shutdown()
    slow_hub.server_close()
    assert load("someone/tiny").fingerprint == fetched.fingerprint
