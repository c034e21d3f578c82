"""A headless Chromium for tests, driven over its debugging pipe: nothing but a page, a mouse and a keyboard.

    python -m tests.browser PAGE.html PICTURE.png

takes the picture of a report that stands in docs/, with the losses of a call shown.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class Browser:
    """One page. What it says on its console and what goes wrong in it is collected in `said`."""

    def __init__(self, ask: int, answer: int) -> None:
        self._ask, self._answer = ask, answer
        self._number, self._session, self._buffer = 0, "", b""
        self.said: list[str] = []
        target = self._command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._command(f"{domain}.enable")

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """The window's size and colours."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._command("Emulation.setEmulatedMedia", features=[scheme])
        self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def open(self, page: Path, hash_: str = "") -> None:
        """Load a file, and wait until its scripts have run."""
        self._command("Page.navigate", url="about:blank")
        self._command("Page.navigate", url=page.resolve().as_uri() + hash_)
        while self.run("location.protocol + document.readyState") != "file:complete":
            pass

    def visit(self, url: str) -> None:
        """Load a page of a server, and wait until its scripts have run."""
        self._command("Page.navigate", url=url)
        while self.run("location.protocol + document.readyState") != "http:complete":
            pass

    def type(self, text: str) -> None:
        """Write into what has the focus."""
        self._command("Input.insertText", text=text)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self._command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def mouse(self, selector: str, *, click: bool = False) -> None:
        """Put the mouse on the first element that fits, scrolled to, and perhaps click."""
        box = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{box}.scrollIntoView({{block: 'center'}}), new Promise((done) => requestAnimationFrame(done))")
        x, y = self.run(f"(r => [r.left + r.width / 2, r.top + r.height / 2])({box}.getClientRects()[0])")
        kinds = ["mouseMoved", *(["mousePressed", "mouseReleased"] if click else [])]
        for kind in kinds:
            self._command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, key: str) -> None:
        """Press a key such as Tab or Escape."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27}[key]
        for kind in ("keyDown", "keyUp"):
            self._command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, file: Path) -> None:
        """What the window shows, as PNG."""
        file.write_bytes(base64.b64decode(self._command("Page.captureScreenshot")["data"]))

    def _command(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._ask, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            if answer.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                self.said.append(json.dumps(answer["params"]))

    def _next(self) -> bytes:
        while b"\0" not in self._buffer:
            more = os.read(self._answer, 1 << 16)
            assert more, "Chromium has gone"
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        return message


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile, which ends with the block."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    # Chromium reads commands from descriptor 3 and answers on 4. A plain sh knows descriptors of one digit only.
    command = ["bash", "-c", f'exec "$@" 3<&{their_in} 4>&{their_out}', "bash", "chromium", *FLAGS]
    process = subprocess.Popen(
        [*command, f"--user-data-dir={profile}"],
        pass_fds=(their_in, their_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(their_in)
    os.close(their_out)
    try:
        yield Browser(our_out, our_in)
    finally:
        # The end of its commands is the end of Chromium.
        os.close(our_out)
        process.wait(timeout=20)
        os.close(our_in)


def main(page: Path, picture: Path) -> None:
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        browser.size(1200, 1560)
        browser.open(page)
        # By script and not by mouse: that would scroll to it.
        browser.run("showTip(document.querySelectorAll('#list .call')[2] ?? document.querySelector('#list .call'))")
        browser.screenshot(picture)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
