"""`toolformer doctor`: what works is ok, what is optional and not there is missing, what is needed and broken fails."""

import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError

import pytest
from huggingface_hub import constants

from tests.unit.test_cli import status
from toolformer import reach, worker
from toolformer.commands import checks, doctor
from toolformer.commands.checks import Finding


def test_here_everything_that_is_needed_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("doctor", "--json") == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert list(found)[:3] == ["python", "packages", "extra datatrove"]
    assert "extra eval" in found
    assert found["extra datatrove"]["says"].startswith("datatrove 0."), "also one that is asked for with an extra"
    assert {"device", "bf16", "quantize", "disk", "cache", "memory", "hub", "sandbox", "model"} < set(found)
    assert {one["state"] for name, one in found.items() if name != "hub"} == {"ok"}
    assert found["hub"]["state"] in ("ok", "missing")
    assert "torch 2." in found["packages"]["says"]
    assert found["model"]["says"].startswith("builtin-tools answers: ")


def test_each_finding_is_a_line_and_what_failed_decides_the_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterator[Finding]:
        raise OSError("libcudart.so: cannot open shared object file")

    def optional() -> Iterator[Finding]:
        yield Finding("hub", "missing", "not here", "do without")

    monkeypatch.setattr(doctor, "CHECKS", {"device": broken, "hub": optional, "python": checks.python})
    assert status("doctor") == 2
    out, error = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "failed  device      OSError: libcudart.so: cannot open shared object file"
    assert lines[2] == "missing hub         not here"
    assert lines[3].split() == ["do", "without"]
    assert lines[4].startswith("ok      python      3.")
    assert error == "toolformer: not everything that is needed works: device; see above what to do\n"
    monkeypatch.setattr(doctor, "CHECKS", {"hub": optional})
    assert status("doctor") == 0


def test_packages_that_are_not_there_or_too_old_are_named_with_what_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("sympy", "lm-eval"):
            raise PackageNotFoundError(name)
        return "4.9.1" if name == "transformers" else real(name)

    monkeypatch.setattr(checks, "version", version)
    found = {one.name: one for one in checks.packages()}
    assert found["packages"].state == "failed"
    assert found["packages"].says == "sympy is not installed; transformers 4.9.1 is not >=5.0"
    assert found["packages"].advice == "pip install 'sympy>=1.13' 'transformers>=5.0'"
    assert found["extra eval"] == Finding(
        "extra eval", "missing", "lm-eval is not installed", "pip install 'toolformer-kit[eval]'"
    )


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Answers(BaseHTTPRequestHandler):
        status = 200

        def do_HEAD(self) -> None:
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("code", "state"), [(200, "ok"), (404, "ok"), (503, "missing")])
def test_the_hub_is_asked(server: HTTPServer, monkeypatch: pytest.MonkeyPatch, code: int, state: str) -> None:
    server.RequestHandlerClass.status = code  # type: ignore[attr-defined]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    (found,) = checks.hub()
    assert (found.name, found.state) == ("hub", state)


def test_a_hub_that_is_not_there_is_missing_and_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "HUB_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes the connection and never says a word
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        (found,) = checks.hub()
        assert time.monotonic() - begun < 3
    assert found.state == "missing"
    assert "cannot be reached" in found.says
    assert "HTTPS_PROXY" in found.advice
    (refused,) = checks.hub()
    assert (refused.state, "refused" in refused.says) == ("missing", True)


def test_a_name_server_that_never_answers_does_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(checks, "HUB_SECONDS", 0.1)
    monkeypatch.setattr(reach, "get_session", lambda: never.wait(20))
    (found,) = checks.hub()
    never.set()
    assert found.says.endswith("no answer within 0.1 s")


def test_offline_the_hub_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(reach, "get_session", lambda: pytest.fail("it was asked"))
    (found,) = checks.hub()
    assert (found.state, found.says.split(":")[0]) == ("ok", "not asked")


def test_a_worker_that_cannot_start_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    monkeypatch.setattr(doctor, "CHECKS", {"sandbox": checks.sandbox})
    (found,) = doctor.findings()
    assert found.state == "failed"
    assert "its worker process died" in found.says


def test_a_worker_that_outlives_its_time_limit_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    real, spared = worker._kill, list[subprocess.Popen[bytes]]()
    monkeypatch.setattr(worker, "_kill", spared.append)
    (found,) = checks.sandbox()
    assert found.state == "failed"
    assert f"{spared[0].pid} lived on" in found.says
    os.killpg(spared[0].pid, signal.SIGKILL)
    for process in spared:
        real(process)


def test_too_little_room_and_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_GB", 1e6)
    assert {one.name: one.state for one in checks.room()} == dict.fromkeys(("disk", "cache", "memory"), "failed")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    disk, cache, _ = checks.room()
    assert (disk.state, cache.state) == ("missing", "missing")
    assert "$HF_HOME" in cache.advice


def test_what_the_device_cannot_do_can_be_done_without() -> None:
    def cannot() -> None:
        raise RuntimeError("no kernel image is available\nfor execution on the device")

    found = checks._tried("bf16", cannot, "fine")
    assert (found.state, found.says) == ("missing", "not possible here: RuntimeError: no kernel image is available")


def test_trying_to_quantize_says_nothing_of_its_own() -> None:
    """Imported before toolformer.hf, bitsandbytes would tell of kernels that it has not got."""
    tried = [sys.executable, "-c", "from toolformer.commands.checks import _quantize; _quantize()"]
    assert subprocess.run(tried, capture_output=True, text=True, check=True).stderr == ""
