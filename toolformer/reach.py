"""Whether the Hugging Face hub can be reached, asked once before something is fetched from it.

Its own client tries again and again for half a minute, and for many where packets are lost on the way: so long a
misspelt name, or a model that is in the cache anyway, would take on a machine without network.
"""

import os
import threading
from concurrent.futures import Future

from huggingface_hub import constants, errors, get_session, is_offline_mode

HTTPError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
"""The base of whatever the hub's client raises, whichever its library has: httpx, or from version 2 on httpx2."""
SECONDS = 5.0
"""How long it may take to be connected. For its answers a slow hub has as long as its own client gives it."""


def is_path(name: str) -> bool:
    """Whether a name can only mean a file or folder of this machine."""
    return name.startswith((".", "/", "~")) or os.path.exists(name)


def out_of_reach(*names: str | None) -> bool:
    """Whether any of these would have to come from the hub, and cannot. What is in its cache can still be loaded."""
    if is_offline_mode() or all(name is None or is_path(name) for name in names):
        return False
    try:
        return Asked().connected.exception(SECONDS) is not None
    except TimeoutError:
        return True


class Asked:
    """The hub, asked for nothing in particular: what comes of it is there when it comes."""

    def __init__(self) -> None:
        self.connected: Future[None] = Future()
        """Done with the connection, to the hub or to the proxy that leads there, or the reason why there is none."""
        self.status: Future[int] = Future()
        """Its answer's status, or the reason why there is none."""
        # A name server that does not answer keeps to no time limit; a thread of this kind stops nobody from leaving.
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        try:
            # The hub's own session knows the user's proxies and certificates.
            answer = get_session().head(constants.ENDPOINT, timeout=60, extensions={"trace": self._heard})
        except Exception as error:  # noqa: BLE001 - whatever a network, a proxy or an address does is for who asks
            self.status.set_exception(error)
            if not self.connected.done():
                self.connected.set_exception(error)
        else:
            self.status.set_result(answer.status_code)

    def _heard(self, event: str, _: object) -> None:
        # The first thing that can be completed is a connection.
        if event.endswith(".complete") and not self.connected.done():
            self.connected.set_result(None)
