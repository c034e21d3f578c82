"""What one request may ask for. Importing this loads nothing heavy."""

from dataclasses import dataclass

from toolformer.errors import ConfigError


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many may wait."""

    body_bytes: int = 262_144
    """Maximum size of a request's body."""
    prompt_tokens: int = 4_096
    """Maximum length of a prompt, if the model's context is not shorter."""
    answer_tokens: int = 2_048
    """Maximum number of tokens that a request may ask for."""
    queue: int = 64
    """Texts that may wait for a place. Beyond, requests are refused with status 429."""
    seconds: float = 120.0
    """Time for a request. A text that is not finished then ends where it is."""

    def __post_init__(self) -> None:
        for name in ("body_bytes", "prompt_tokens", "answer_tokens", "seconds"):
            if not 0 < getattr(self, name) <= 10**9:
                raise ConfigError(f"{name} must be above 0 and at most 10^9, not {getattr(self, name)}")
        if not 0 <= self.queue <= 10**6:
            raise ConfigError(f"queue must be between 0 and 10^6, not {self.queue}")
