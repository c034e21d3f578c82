"""`toolformer mcp`: the tools for clients of the Model Context Protocol."""

import signal
from dataclasses import dataclass, field

from toolformer.catalog import ALONE, ToolSettings, make_tools
from toolformer.commands.listening import listen
from toolformer.commands.stopping import stopping
from toolformer.commands.tools import Settings
from toolformer.errors import ConfigError
from toolformer.version import DISTRIBUTION


@dataclass(frozen=True)
class Mcp:
    """Offer the tools to other programs, over MCP.

    By default over standard input and output, for a client that starts this command: docs/mcp.md.
    """

    tools: str = ",".join(ALONE)
    """Names of the tools, with commas, as `toolformer tools` lists them."""
    http: int | None = None
    """Serve over HTTP instead, at this port of this machine and only for it; 0 takes a free one."""
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Serve until the client closes standard input; over HTTP, until SIGTERM or Ctrl-C."""
        try:
            import anyio

            from toolformer.mcp.server import mcp_server, serve_http, serve_stdio
        except ImportError as error:
            raise ConfigError(f"mcp is not installed: pip install '{DISTRIBUTION}[mcp]'") from error
        from toolformer.toolbox import Toolbox

        names = [name for name in self.tools.split(",") if name.strip()]
        with Toolbox(make_tools(self.settings, names), memory=self.settings.memory()) as box:
            server = mcp_server(box)
            if self.http is None:
                # A thread waits for the next line, and would hold up the end of the process.
                with stopping("nothing is kept between requests"):
                    anyio.run(serve_stdio, server)
                return
            with listen("127.0.0.1", self.http, "--http") as listening:
                print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
                # uvicorn raises the signal once more when it has stopped; a clean stop is a success.
                signal.signal(signal.SIGTERM, lambda *_: None)
                anyio.run(serve_http, server, listening)
