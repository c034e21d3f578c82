"""Models by name where the hub is far away, slow, or not there."""

import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests import tiny_models
from tests.hub import Hub, ask_at, served
from toolformer import reach
from toolformer.errors import ConfigError
from toolformer.hf import load
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
def test_without_a_network_a_wrong_name_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, asked: Callable[[], object], said: str
) -> None:
    monkeypatch.setattr(reach, "SECONDS", 60)  # who is refused does not wait so long
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


def test_a_slow_hub_is_given_time_and_its_cache_does_without_it(
    tmp_path: Path, hub_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.model("llama").save_pretrained(tmp_path / "tiny")
    tiny_models.tokenizer().save_pretrained(tmp_path / "tiny")
    hub = Hub(slow=4)
    hub.holds("someone/tiny", main=tmp_path / "tiny")
    monkeypatch.setattr(reach, "SECONDS", 2)  # less than it takes to answer, and enough to be connected
    with served(hub):
        hub_at(hub.port)
        fetched = load("someone/tiny")
    assert load("someone/tiny").fingerprint == fetched.fingerprint
