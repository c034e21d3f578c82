"""Which server writes the calls, where that is not a model in this process, and how it is asked.

    Server("http://localhost:8000/v1", "Qwen/Qwen3-8B")                  asked to go on with a text
    Server("https://api.example.org/v1", "gpt-x", by="chat")             asked to write a text again, with calls

Any OpenAI-compatible one will do. It is asked by `server_client.py`; here is only what people say of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from toolformer.errors import ConfigError
from toolformer.tools.safe_http import address

By = Literal["completions", "chat"]
KEY = "OPENAI_API_KEY"
"""The variable that holds the key of a server that wants one."""
PATHS: Mapping[By, str] = {"completions": "/completions", "chat": "/chat/completions"}


@dataclass(frozen=True)
class Server:
    """Where calls are sampled instead of by a model in this process. The filter stays the model that is finetuned."""

    url: str
    """As the `openai` client takes it, with /v1; where there is no path, /v1 is meant."""
    model: str
    """Which of the server's models."""
    by: By = "completions"
    """How it is asked: to go on with a text, or, for servers with nothing else, by chat."""
    parallel: int = 8
    """Requests at a time."""
    seconds: float = 300.0
    """How long one answer may take."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            address(self.url)
            if parts.query or parts.fragment:
                raise ValueError("a query or a fragment has no place there")
        except ValueError as error:
            raise ConfigError(
                f"{self.url[:100]!r} is no server ({error}): give a URL such as http://localhost:8000/v1"
            ) from None
        if parts.username is not None:
            raise ConfigError(f"the URL of {parts.hostname} holds a password: put the server's key into ${KEY} instead")
        if not self.model.strip():
            raise ConfigError(f"which of the models of {self.url}? Name one as its model")
        if self.by not in PATHS:
            raise ConfigError(f"a server is asked by {' or '.join(PATHS)}, not by {self.by!r}")
        if self.parallel < 1 or not self.seconds > 0:
            raise ConfigError(f"parallel={self.parallel}, seconds={self.seconds}: both must be more than 0")

    @property
    def endpoint(self) -> str:
        """The address that is asked."""
        base = self.url.rstrip("/")
        return (base if urlsplit(base).path else f"{base}/v1") + PATHS[self.by]
