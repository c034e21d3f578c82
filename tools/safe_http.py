"""One request to a server nobody has checked: `request` gives its answer within a deadline, or raises.

A server that cannot be found or reached, or that does not answer in time, is ToolUnavailable: it may be there later.

Whatever the server does, it holds up neither the caller nor the memory: the deadline covers the look-up, the connection
and every read, and no more than MAX_BYTES are taken, counted after decompression. Only public addresses are connected
to, unless the operator has named the host. Redirects are not followed and proxies not used: both would choose an
address for us.
"""

import functools
import ipaddress
import queue
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpcore

from toolformer.errors import ToolError, ToolUnavailable

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 1 << 20
"""A longer answer is refused."""


def address(url: str) -> "httpx.URL":
    """The URL, if a server can be asked at it: a ValueError says what is wrong with its host or its port."""
    import httpx

    try:
        found = httpx.URL(url)
        host, port = found.host, urlsplit(url).port
        if ":" not in host:
            host.encode("idna")  # as whoever looks the name up does: no part of it is empty or too long
    except (httpx.InvalidURL, ValueError) as error:
        raise ValueError(" ".join(str(error).split())[:100]) from None
    if found.scheme not in ("http", "https") or not host:
        raise ValueError("it has no host" if found.scheme in ("http", "https") else "it is neither http nor https")
    if port == 0:
        raise ValueError("there is no port 0")
    return found


class Deadline:
    """A point in time that a whole call has to keep."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left, more than 0; ToolUnavailable if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.missed()
        return left

    def missed(self) -> ToolUnavailable:
        """What to raise when it is over."""
        return ToolUnavailable(f"no answer within {self._seconds:g} s")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What the block takes is not the call's time."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._end += time.monotonic() - began


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    """Decompressed; not read, and empty, unless the status is 200."""


class BrokenOffError(Exception):
    """The connection ended in the middle of an answer, or what came is no HTTP."""


def request(url: str, headers: Mapping[str, str], deadline: Deadline, *, private: bool = False) -> Reply:
    """Ask once, over a connection of its own.

    `private` is for a host that the operator has named: only that may be at a private or a loopback address.
    """
    host = urlsplit(url).netloc
    sent = [("Accept-Encoding", "gzip"), ("Connection", "close"), *headers.items()]
    backend = GuardedBackend(deadline, private)
    with httpcore.ConnectionPool(ssl_context=_ssl_context(), network_backend=backend) as pool:
        try:
            with pool.stream("GET", url, headers=sent) as response:
                received = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
                body = _read(response.iter_stream(), received, host) if response.status == 200 else b""
                return Reply(response.status, received, body)
        except httpcore.TimeoutException as error:
            raise deadline.missed() from error
        except httpcore.ConnectError as error:
            raise ToolUnavailable(f"{host} cannot be reached ({error})") from error
        except (httpcore.NetworkError, httpcore.RemoteProtocolError, zlib.error) as error:
            raise BrokenOffError(str(error)[:200]) from error


def _read(chunks: Iterable[bytes], headers: Mapping[str, str], host: str) -> bytes:
    """The body, decompressed, with never more of it in memory than MAX_BYTES and a chunk."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise ToolError(f"{host} compresses its answer with {encoding[:40]!r}; only gzip was offered")
    unzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS) if encoding == "gzip" else None
    received, body = 0, bytearray()
    for chunk in chunks:
        received += len(chunk)
        body += unzip.decompress(chunk, MAX_BYTES + 1 - len(body)) if unzip else chunk
        # What was received counts too: gzip can go on for ever and hold nothing.
        if max(received, len(body)) > MAX_BYTES:
            raise ToolError(f"{host} sends more than {MAX_BYTES:,} bytes")
    if unzip and not unzip.eof:
        raise zlib.error("the end of the compressed data is missing")
    return bytes(body)


class GuardedBackend(httpcore.NetworkBackend):
    """Connects only to addresses it has looked at, and lets nothing last longer than the deadline."""

    def __init__(self, deadline: Deadline, private: bool, network: httpcore.NetworkBackend | None = None) -> None:
        self._deadline = deadline
        self._private = private
        self._network = network or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the deadline takes its place
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Look the name up once and connect to what was found: a second look-up could find something else."""
        addresses = _addresses(host, port, self._deadline)
        inner = [address for address in addresses if not is_public(address)]
        if inner and not self._private:
            raise ToolError(f"{host} is at {inner[0]}, which is no public address; nothing was sent there")
        problem: Exception = httpcore.ConnectError("it has no address")
        for place, address in enumerate(addresses):
            share = self._deadline.left() / (len(addresses) - place)
            try:
                stream = self._network.connect_tcp(address, port, share, local_address, socket_options)
                return _GuardedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem


class _GuardedStream(httpcore.NetworkStream):
    """A connection on which no read lasts longer than the deadline, however slowly the bytes drip."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        return _GuardedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet, also when an IPv4 address hides in an IPv6 one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in _NAT64 else None
        ip = ip.ipv4_mapped or ip.sixtofour or nat64 or ip
    return ip.is_global and not ip.is_multicast


def _addresses(host: str, port: int, deadline: Deadline) -> list[str]:
    """What a name resolves to. The look-up has no time limit of its own, so it is left behind when time is up."""
    found: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put([str(info[4][0]) for info in infos])
        except (OSError, UnicodeError) as error:  # UnicodeError: what is no name at all
            found.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        addresses = found.get(timeout=deadline.left())
    except queue.Empty:
        raise deadline.missed() from None
    if isinstance(addresses, OSError):  # without a network, no name can be found
        raise ToolUnavailable(f"{host} cannot be found ({addresses})") from addresses
    if isinstance(addresses, UnicodeError):
        raise ToolError(f"{host} cannot be found ({addresses})") from addresses
    return addresses


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpcore.default_ssl_context()
