"""Whether the Hugging Face hub can be reached, asked once before something is fetched from it.

Its own client tries again and again for half a minute, and for many where packets are lost on the way: so long a
misspelt name, or a model that is in the cache anyway, would take on a machine without network.
"""

import contextlib
import os
import threading
from concurrent.futures import Future

from huggingface_hub import constants, get_session, is_offline_mode

SECONDS = 5.0
"""How long it may take to be connected. For its answers a slow hub has as long as its own client gives it."""


def is_path(name: str) -> bool:
    """Whether a name can only mean a file or folder of this machine."""
    return name.startswith((".", "/", "~")) or os.path.exists(name)


def out_of_reach(*names: str | None) -> bool:
    """Whether any of these would have to come from the hub, and cannot. What is in its cache can still be loaded."""
    if is_offline_mode() or all(name is None or is_path(name) for name in names):
        return False
    connected: Future[bool] = Future()
    # A name server that does not answer keeps to no time limit; a thread of this kind stops nobody from leaving.
    threading.Thread(target=_connect, args=[connected], daemon=True).start()
    try:
        return not connected.result(SECONDS)
    except TimeoutError:
        return True


def _connect(connected: Future[bool]) -> None:
    def heard(event: str, _: object) -> None:
        # The first thing that can be completed is a connection: to the hub, or to the proxy that leads there.
        if event.endswith(".complete") and not connected.done():
            connected.set_result(True)

    # Whatever a network, a proxy or an address does: who loads says what it means.
    with contextlib.suppress(Exception):
        # The hub's own session knows the user's proxies and certificates.
        get_session().head(constants.ENDPOINT, timeout=60, extensions={"trace": heard})
    if not connected.done():
        connected.set_result(False)
