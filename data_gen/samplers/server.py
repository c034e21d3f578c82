"""Which server writes the calls, where that is not a model in this process, and how it is asked.

    Server("http://localhost:8000/v1", "Qwen/Qwen3-8B")                  asked to go on with a text
    Server("https://api.example.org/v1", "gpt-x", by="chat")             asked to write a text again, with calls

Any OpenAI-compatible one will do. It is asked by `server_client.py`; here is only what people say of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from toolformer.errors import ConfigError
from toolformer.remote.asking import base_of

By = Literal["completions", "chat"]
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
        base_of(self.url)
        if not self.model.strip():
            raise ConfigError(f"which of the models of {self.url}? Name one as its model")
        if self.by not in PATHS:
            raise ConfigError(f"a server is asked by {' or '.join(PATHS)}, not by {self.by!r}")
        if self.parallel < 1 or not self.seconds > 0:
            raise ConfigError(f"parallel={self.parallel}, seconds={self.seconds}: both must be more than 0")

    @property
    def endpoint(self) -> str:
        """The address that is asked."""
        return base_of(self.url) + PATHS[self.by]
