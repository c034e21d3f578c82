"""A port that a command serves at."""

import socket

from toolformer.errors import ConfigError


def listen(host: str, port: int, flag: str) -> socket.socket:
    """A socket that listens there; `flag` names another port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on {host}:{port} ({error}): give another {flag}") from error
    # Otherwise an answer waits 40 ms for an acknowledgement: its head and its body are sent one by one.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
