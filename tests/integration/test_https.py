"""Requests over TLS, to a server whose certificate is right, unknown, or for another name."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bounds import bounded
from tests.misbehaving_server import answer, head, repeat, serving
from toolformer import ToolError, ToolUnavailable
from toolformer.tools import safe_http
from toolformer.tools.safe_http import Deadline, request

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for localhost, signed by itself."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    options = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = ["openssl", *options.split(), "-keyout", str(file), "-out", str(file.with_suffix(".crt"))]
    subprocess.run(command, check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + file.with_suffix(".crt").read_bytes())
    return file


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def _trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    safe_http._ssl_context.cache_clear()
    yield
    safe_http._ssl_context.cache_clear()


def ask(host: str, port: int, seconds: float = 5.0) -> bytes:
    return request(f"https://{host}:{port}/", {}, Deadline(seconds), private=True).body


@pytest.mark.usefixtures("_trusted")
def test_a_certificate_that_is_right(tls: ssl.SSLContext) -> None:
    with serving(answer(b"hello"), tls=tls) as server:
        assert ask("localhost", server.port) == b"hello"


@pytest.mark.usefixtures("_trusted")
def test_a_certificate_for_another_name(tls: ssl.SSLContext) -> None:
    with serving(answer(b"hello"), tls=tls) as server:
        with pytest.raises(ToolError, match="cannot be reached .*certificate is not valid for '127.0.0.1'"):
            ask("127.0.0.1", server.port)
        assert server.requests == []


def test_a_certificate_nobody_knows(tls: ssl.SSLContext) -> None:
    with serving(answer(b"hello"), tls=tls) as server:
        with pytest.raises(ToolError, match="cannot be reached .*self-signed certificate"):
            ask("localhost", server.port)
        assert server.requests == []


@pytest.mark.usefixtures("_trusted")
def test_the_deadline_holds_over_tls(tls: ssl.SSLContext) -> None:
    with serving(repeat(head("200 OK", Content_Length="9999"), b"z", 0.1), tls=tls) as server:  # noqa: SIM117
        with bounded(5, 4), pytest.raises(ToolUnavailable):
            ask("localhost", server.port, seconds=0.5)
