"""A real MediaWiki on loopback, made from Debian's packages in a few seconds, with the pages it is given."""

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

CODE = Path("/usr/share/mediawiki")


@dataclass(frozen=True)
class Page:
    """A page in wikitext, or a redirect to another."""

    title: str
    text: str = ""
    redirect: str | None = None


@contextmanager
def running(folder: Path, pages: Iterable[Page]) -> Iterator[str]:
    """Install a wiki in the folder, fill it, and serve it until the block ends. Gives the URL of its api.php."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "data").mkdir()
    (folder / "dump.xml").write_text(dump(pages), "utf-8")
    install(folder, host)
    maintain(folder, "importDump.php", "--no-updates", str(folder / "dump.xml"))
    maintain(folder, "rebuildall.php")
    with (folder / "server.log").open("ab") as log:
        command = ["php", "-S", host, "-t", str(CODE)]
        server = subprocess.Popen(command, env=environment(folder), stdout=log, stderr=log)
    try:
        wait_for(host)
        yield f"http://{host}/api.php"
    finally:
        server.terminate()
        server.wait(10)


def install(folder: Path, host: str) -> None:
    options = {
        "confpath": str(folder),
        "dbtype": "sqlite",
        "dbpath": str(folder / "data"),
        "dbname": "wiki",
        "scriptpath": "",
        "server": f"http://{host}",
        "pass": "A-long-passw0rd",
        "extensions": "TextExtracts",
        "skins": "Vector",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    maintain(folder, "install.php", *flags, "Demo", "Admin")


def maintain(folder: Path, script: str, *arguments: str) -> None:
    """Run one of MediaWiki's maintenance scripts."""
    command = ["php", str(CODE / "maintenance" / script), *arguments]
    done = subprocess.run(
        command, env=environment(folder), capture_output=True, text=True, errors="replace", timeout=120, check=False
    )
    assert done.returncode == 0, f"{script} failed: {(done.stdout + done.stderr)[-2000:]}"


def environment(folder: Path) -> dict[str, str]:
    """This wiki's settings, not those of a wiki that the machine may have already."""
    return {**os.environ, "MW_CONFIG_FILE": str(folder / "LocalSettings.php")}


def wait_for(host: str, seconds: float = 30.0) -> None:
    name, port = host.split(":")
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((name, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end, f"php -S does not answer at {host}"
            time.sleep(0.05)
        else:
            return


def dump(pages: Iterable[Page]) -> str:
    """The pages as MediaWiki's own export format."""
    body = "".join(_page(number, page) for number, page in enumerate(pages, start=100))
    return (
        f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">{body}</mediawiki>'
    )


def _page(number: int, page: Page) -> str:
    redirect = f"<redirect title={quoteattr(page.redirect)}/>" if page.redirect else ""
    text = f"#REDIRECT [[{page.redirect}]]" if page.redirect else page.text
    return (
        f"<page><title>{escape(page.title)}</title><ns>0</ns><id>{number}</id>{redirect}"
        f"<revision><id>{number}</id><timestamp>2026-01-01T00:00:00Z</timestamp>"
        "<contributor><username>Admin</username><id>1</id></contributor>"
        "<model>wikitext</model><format>text/x-wiki</format>"
        f'<text xml:space="preserve">{escape(text)}</text></revision></page>'
    )
