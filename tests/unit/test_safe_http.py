"""One request against servers that do everything wrong: each costs an error, in bounded time and memory."""

import contextlib
import gzip
import socket
import threading
from collections.abc import Iterable

import httpcore
import pytest

from tests.bounds import bounded
from tests.misbehaving_server import Behaviour, answer, gzipped, head, repeat, reset, send, serving
from toolformer import ToolError, ToolUnavailable
from toolformer.tools.safe_http import MAX_BYTES, BrokenOffError, Deadline, GuardedBackend, Reply, is_public, request

SECONDS = 0.4
CHUNKED = head("200 OK", Transfer_Encoding="chunked")
GZIP = head("200 OK", Content_Encoding="gzip") + gzip.compress(b"")[:10]
NOTHING = b"\0\0\0\xff\xff"  # an empty block that is not the last
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


def ask(url: str, *, seconds: float = 8.0, private: bool = True) -> Reply:
    return request(url, {"User-Agent": "test"}, Deadline(seconds), private=private)


def test_a_proper_answer() -> None:
    with serving(answer(b"hello", X_Some="thing")) as server:
        reply = ask(server.url + "?a=b")
    assert (reply.status, reply.body, reply.headers["x-some"]) == (200, b"hello", "thing")
    assert server.requests[0].startswith("GET /api.php?a=b HTTP/1.1\r\n")
    assert "User-Agent: test\r\n" in server.requests[0]


def test_gzip_is_taken_up_to_the_limit() -> None:
    with serving(gzipped(b"a" * MAX_BYTES)) as server:
        assert ask(server.url).body == b"a" * MAX_BYTES


def test_the_body_of_a_failure_is_not_read() -> None:
    with serving(repeat(head("500 Oops", Transfer_Encoding="chunked"), CHUNK)) as server, bounded(4, 2):
        assert ask(server.url) == Reply(500, {"transfer-encoding": "chunked"}, b"")


TIMES_OUT = {
    "says nothing": repeat(b"", b"", 0.1),
    "drips its headers": repeat(b"HTTP/1.1 200 OK\r\nX-Long: ", b"y", 0.02),
    "drips header lines": repeat(b"HTTP/1.1 200 OK\r\n", b"X-More: y\r\n", 0.02),
    "drips its body": repeat(head("200 OK", Content_Length="100000"), b"z", 0.02),
    "drips its chunks": repeat(CHUNKED, b"1\r\nz\r\n", 0.02),
    "asks for patience for ever": repeat(b"", head("103 Early Hints"), 0.02),
    "drips gzip that holds nothing": repeat(GZIP, NOTHING, 0.02),
}


@pytest.mark.parametrize("behaviour", TIMES_OUT.values(), ids=TIMES_OUT)
def test_the_deadline_holds_against_a_server_that(behaviour: Behaviour) -> None:
    with serving(behaviour) as server, bounded(SECONDS + 4, 2):  # noqa: SIM117
        with pytest.raises(ToolUnavailable, match=r"no answer within 0\.4 s"):
            ask(server.url, seconds=SECONDS)


def test_the_deadline_holds_in_a_tls_handshake() -> None:
    with serving(repeat(b"\x16\x03\x03\x40\x00", b"\x02", 0.02)) as server, bounded(SECONDS + 4, 4):  # noqa: SIM117
        with pytest.raises(ToolUnavailable):
            ask(server.url.replace("http:", "https:"), seconds=SECONDS)


def _bomb(members: int) -> bytes:
    """A body of some kilobytes that unpacks to a megabyte for each kilobyte of it."""
    return gzip.compress(b"\0" * (members << 20))


TOO_LARGE = {
    "sends an endless body": repeat(head("200 OK"), b"x" * 65536),
    "sends endless chunks": repeat(CHUNKED, CHUNK),
    "sends one byte too many": answer(b"x" * (MAX_BYTES + 1)),
    "sends a gzip bomb": answer(_bomb(512), Content_Encoding="gzip"),
    "goes on after the end of its gzip": repeat(
        head("200 OK", Content_Encoding="gzip") + gzip.compress(b"a"), b"x" * 65536
    ),
    "sends gzip that holds nothing": repeat(GZIP, NOTHING * 13000),
}


@pytest.mark.parametrize("behaviour", TOO_LARGE.values(), ids=TOO_LARGE)
def test_memory_is_bounded_when_a_server(behaviour: Behaviour) -> None:
    with serving(behaviour) as server, bounded(8, 6), pytest.raises(ToolError, match="sends more than 1,048,576 bytes"):
        ask(server.url)


BROKEN = {
    "hangs up at once": send(b""),
    "resets at once": reset(b""),
    "resets in its headers": reset(b"HTTP/1.1 200 O"),
    "resets in its body": reset(head("200 OK", Content_Length="9") + b"12345"),
    "hangs up in its body": send(head("200 OK", Content_Length="9") + b"12345"),
    "hangs up between its chunks": send(CHUNKED + b"1\r\nz\r\n"),
    "speaks no HTTP": send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "sends endless headers": repeat(b"HTTP/1.1 200 OK\r\n", b"X-More: yyyyyyyyyyyyyyyyyyy\r\n" * 1000),
    "cuts its gzip short": answer(gzip.compress(b"abc" * 99)[:-9], Content_Encoding="gzip"),
    "calls something else gzip": answer(b"abc", Content_Encoding="gzip"),
}


@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN)
def test_no_half_answer_is_taken_from_a_server_that(behaviour: Behaviour) -> None:
    with serving(behaviour) as server, bounded(6, 4), pytest.raises(BrokenOffError):
        ask(server.url)


def test_compression_that_was_not_offered_is_refused() -> None:
    for encoding in ("br", "zstd", "deflate", "gzip, gzip", "x" * 9000):
        with serving(answer(b"abc", Content_Encoding=encoding)) as server:  # noqa: SIM117
            with pytest.raises(ToolError, match="only gzip was offered"):
                ask(server.url)


def test_a_redirect_is_an_answer_and_leads_nowhere() -> None:
    with serving(answer(b"secret")) as inner, serving(answer(b"", "302 Found", Location=inner.url)) as outer:
        assert ask(outer.url).status == 302
    assert inner.connections == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "127.1", "0x7f.0.0.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_a_private_address_is_never_connected_to(host: str) -> None:
    with serving(answer(b"secret")) as server:
        with bounded(4, 2), pytest.raises(ToolError, match="no public address; nothing was sent"):
            ask(f"http://{host}:{server.port}/", private=False)
        assert server.connections == 0


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("::ffff:93.184.215.14", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a9fe:a9fe", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


class Names:
    """A resolver whose answers were written down; each is given once."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[object, object, object, str, tuple[str, int]]]:
        return [(None, None, None, "", (address, port)) for address in self.answers.pop(0)]


class Network(httpcore.NetworkBackend):
    """Where nothing answers: it remembers what was tried."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self.tried.append(host)
        raise httpcore.ConnectError("nobody there")


def test_what_was_looked_at_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the second look-up would say 127.0.0.1, so there must be none."""
    names, network = Names(["93.184.215.14", "93.184.215.15"], ["127.0.0.1"]), Network()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    with pytest.raises(httpcore.ConnectError, match="nobody there"):
        GuardedBackend(Deadline(1), private=False, network=network).connect_tcp("rebinding.example", 80)
    assert network.tried == ["93.184.215.14", "93.184.215.15"]
    assert names.answers == [["127.0.0.1"]]


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    monkeypatch.setattr(socket, "getaddrinfo", Names(["93.184.215.14", "10.0.0.1"]))
    with pytest.raises(ToolError, match=r"mixed\.example is at 10\.0\.0\.1"):
        GuardedBackend(Deadline(1), private=False, network=network).connect_tcp("mixed.example", 80)
    assert network.tried == []


def test_a_look_up_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        over.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with bounded(SECONDS + 4, 2), pytest.raises(ToolUnavailable):
        ask("http://hanging.example/", seconds=SECONDS)
    over.set()


@pytest.mark.parametrize(
    ("host", "kind"), [("nowhere.invalid", ToolUnavailable), ("a" * 70 + ".example", ToolError), ("a..b", ToolError)]
)
def test_a_name_that_is_none(host: str, kind: type[ToolError]) -> None:
    with bounded(9, 2), pytest.raises(ToolError, match="cannot be found") as caught:
        ask(f"http://{host}/", private=False)
    assert type(caught.value) is kind  # without a network no name is found, so it is asked for again


def test_a_port_where_nobody_listens() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with bounded(4, 2), pytest.raises(ToolUnavailable, match="cannot be reached"):
        ask(f"http://127.0.0.1:{port}/")
