"""As much of a hub as loading asks for, on this machine: repositories are folders, in one revision or several."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import transformers.utils.hub
from huggingface_hub import HfApi, constants


@dataclass
class Hub:
    """A hub that is served, and what it was asked for."""

    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    """For each name, folders by revision."""
    asked: list[str] = field(default_factory=list)
    port: int = 0
    bare: bool = False
    """It does not say of which commit it is that a file is missing, as mirrors may not: that cannot be cached."""
    broken: bool = False
    """It answers that it cannot."""
    slow: float = 0.0
    """Seconds that it takes over the question whether it is there."""
    server: ThreadingHTTPServer | None = None

    def stop(self) -> None:
        """From now on nobody answers."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def holds(self, name: str, **revisions: Path) -> None:
        """Put a repository there, by keyword: `main=folder`."""
        self.repositories[name] = revisions

    def asked_for(self, name: str, file: str = "") -> list[str]:
        """The questions about a repository's file."""
        return [one for one in self.asked if name in one and one.endswith(file)]


def commit(folder: Path) -> str:
    """What stands for the state of a folder."""
    return hashlib.sha1(str(folder).encode()).hexdigest()


class _Answers(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        if self.hub.broken:
            return self.say(503, {})
        if self.path == "/":
            time.sleep(self.hub.slow)
        parts = self.path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        owner, name, what, revision, *file = [*(parts[2:] if api else parts), "", "", "", "", ""][:5]
        revisions = self.hub.repositories.get(f"{owner}/{name}")
        if revisions is None:
            return self.say(404, {"X-Error-Code": "RepoNotFound"})
        by_commit = {commit(folder): folder for folder in revisions.values()}
        folder = revisions.get(revision or "main") or by_commit.get(revision)
        if folder is None:
            return self.say(404, {"X-Error-Code": "RevisionNotFound"})
        at = {"X-Repo-Commit": commit(folder)}
        if api and what != "tree":
            content = json.dumps({"id": f"{owner}/{name}", "sha": commit(folder), "siblings": []}).encode()
            return self.say(200, at | {"Content-Type": "application/json"}, content, body=body)
        if api or not (wanted := folder / file[0]).is_file():
            return self.say(404, ({} if self.hub.bare else at) | {"X-Error-Code": "EntryNotFound"})
        content = wanted.read_bytes()
        return self.say(200, at | {"ETag": f'"{hashlib.sha1(content).hexdigest()}"'}, content, body=body)

    def say(self, status: int, headers: dict[str, str], content: bytes = b"", *, body: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


def ask_at(port: int, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client asks a port of this machine, with a cache of its own."""
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # transformers remembers whom it asked first.
    monkeypatch.setattr(transformers.utils.hub, "_hf_api", HfApi(endpoint=address))


@contextmanager
def served(hub: Hub) -> Iterator[None]:
    """Within the block it answers, until it is stopped."""
    hub.server = ThreadingHTTPServer(("127.0.0.1", hub.port), type("Answers", (_Answers,), {"hub": hub}))
    hub.port = hub.server.server_port
    threading.Thread(target=hub.server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield
    finally:
        hub.stop()
