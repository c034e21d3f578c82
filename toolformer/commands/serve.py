"""`toolformer serve`: a model that uses its tools, over HTTP."""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from toolformer.catalog import ToolSettings
from toolformer.commands.flags import LoadingFlags, Often
from toolformer.commands.listening import listen
from toolformer.commands.talk import Who
from toolformer.commands.tools import Settings
from toolformer.decode.options import Options
from toolformer.errors import ConfigError
from toolformer.loading import Loading
from toolformer.serve.limits import Limits
from toolformer.text_file import whole
from toolformer.version import DISTRIBUTION

_KEY = "TOOLFORMER_API_KEY"
_OWN = ("127.0.0.1", "localhost", "[::1]")
"""This machine's names for itself, as requests say them."""


@dataclass(frozen=True)
class Serve:
    """Serve a model with its tools over HTTP, and a page to chat on.

    It speaks as OpenAI's servers do. Requests can change every option below: docs/serve.md.
    """

    host: str = "127.0.0.1"
    """Address to listen on; others need a key."""
    port: int = 8000
    """Port; 0 takes a free one."""
    name: str = ""
    """The model's name in requests."""
    api_key_file: Path | None = None
    """File with the key that requests need."""
    origin: tuple[str, ...] = ()
    """Web pages that may ask, by origin."""
    tool_items: Literal["mcp", "function"] = "mcp"
    """What responses tell a call as: an mcp_call, or a function_call with its output, as Open WebUI shows them."""
    limits: Annotated[Limits, Often()] = field(default_factory=Limits)
    who: Who = field(default_factory=Who)
    loading: LoadingFlags = field(default_factory=Loading)
    options: Annotated[Options, Often("k", "calls", "max_new_tokens")] = field(default_factory=Options)
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; answers that have begun may end."""
        try:
            import fastapi  # noqa: F401
            import uvicorn
        except ImportError as error:
            raise ConfigError(f"fastapi or uvicorn is not installed: pip install '{DISTRIBUTION}[serve]'") from error
        from toolformer.serve.app import application

        key = self._key()
        if key is None and self.host not in ("127.0.0.1", "localhost", "::1"):
            raise ConfigError(f"everybody who reaches {self.host} could ask: give --api-key-file, or set {_KEY}")
        name = self.name or self.who.model.rstrip("/").rpartition("/")[2]
        with listen(self.host, self.port, "--port") as listening:
            toolformer = self.who.toolformer(self.loading, self.settings)
            # Without a key, no page of another site may reach the server by giving this machine a name of its own.
            hosts = () if key else _OWN
            app = application(
                toolformer,
                name,
                self.options,
                self.limits,
                key=key,
                origins=self.origin,
                hosts=hosts,
                tool_items=self.tool_items,
            )
            shown = f"[{self.host}]" if ":" in self.host else self.host
            print(f"{name} at http://{shown}:{listening.getsockname()[1]}", flush=True)
            # uvicorn raises the signal once more when it has stopped; a clean stop is a success.
            signal.signal(signal.SIGTERM, lambda *_: None)
            patience = int(self.limits.seconds) + 1
            # httptools, which uvicorn takes where it finds it, keeps a head of any size; h11 refuses one of 64 KB.
            config = uvicorn.Config(
                app, http="h11", log_level="warning", timeout_graceful_shutdown=patience, lifespan="on"
            )
            uvicorn.Server(config).run(sockets=[listening])

    def _key(self) -> str | None:
        if self.api_key_file is None:
            return os.environ.get(_KEY) or None
        key = whole(self.api_key_file).strip()
        if not key.isascii() or not key.isprintable() or len(key) < 8:
            raise ConfigError(f"{self.api_key_file} should hold one line: a key of at least 8 printable characters")
        return key
