"""A loopback server that does what it is told, HTTP or not: a behaviour for each connection, the last for the rest."""

import gzip
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Client:
    """Who is being served, and what it asked for."""

    connection: socket.socket
    request: str
    over: threading.Event
    """Set when the server is closed."""


Behaviour = Callable[[Client], None]


class MisbehavingServer:
    """Counts the connections and keeps the requests it got."""

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behaviours = list(behaviours)
        self.connections = 0
        self._tls = tls
        self.requests: list[str] = []
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api.php"

    def _accept(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError):
                connection, _ = self._listener.accept()
                behaviour = self.behaviours[min(self.connections, len(self.behaviours) - 1)]
                self.connections += 1
                self._threads.append(threading.Thread(target=self._serve, args=(connection, behaviour)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket, behaviour: Behaviour) -> None:
        with suppress(OSError):  # the client may hang up at any time, or not like the certificate
            connection.settimeout(10)
            with connection, self._secured(connection) as stream:
                request = b""
                while b"\r\n\r\n" not in request and (more := stream.recv(65536)):
                    request += more
                    if request[:1] == b"\x16":  # the beginning of TLS, which only a behaviour can answer
                        break
                head, _, body = request.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
                while length and len(body) < int(length[1]) and (more := stream.recv(65536)):
                    request, body = request + more, body + more
                text = request.decode("latin-1")
                self.requests.append(text)
                behaviour(Client(stream, text, self._stop))

    def _secured(self, connection: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(connection, server_side=True) if self._tls else connection

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@contextmanager
def serving(*behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[MisbehavingServer]:
    server = MisbehavingServer(*behaviours, tls=tls)
    try:
        yield server
    finally:
        server.close()


def head(status: str, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def send(data: bytes) -> Behaviour:
    """These bytes, then the end."""
    return lambda client: client.connection.sendall(data)


def answer(body: bytes, status: str = "200 OK", **headers: str) -> Behaviour:
    """A proper answer."""
    return send(head(status, Content_Length=str(len(body)), **headers) + body)


def gzipped(body: bytes) -> Behaviour:
    return answer(gzip.compress(body), Content_Encoding="gzip")


def reset(data: bytes) -> Behaviour:
    """These bytes, then a reset instead of an end."""

    def behave(client: Client) -> None:
        client.connection.sendall(data)
        client.over.wait(0.05)  # so that the client reads them before the reset
        client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def repeat(first: bytes, piece: bytes, pause: float = 0.0) -> Behaviour:
    """The first bytes, then a piece again and again, for as long as anybody listens."""

    def behave(client: Client) -> None:
        client.connection.sendall(first)
        while not client.over.wait(pause):
            client.connection.sendall(piece)

    return behave
