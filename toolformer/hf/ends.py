"""Where a sample ends: at a stop, at the model's own end of text, or at a limit.

It looks at what was said so far, token by token, and knows nothing of the passes that it comes from.
"""

from dataclasses import dataclass

from toolformer.hf.encode import Codec
from toolformer.lm import Sample


@dataclass(frozen=True)
class Request:
    """How to sample, for all draws alike."""

    opening: tuple[int, ...]
    stops: tuple[str, ...]
    max_tokens: int
    temperature: float
    top_p: float


class Ends:
    """Where a draw ends. Its few tokens are decoded only when the last of them could complete a stop."""

    def __init__(self, codec: Codec, request: Request) -> None:
        self.request = request
        self._codec = codec
        self._last = {stop[-1] for stop in request.stops} | {"\ufffd"}
        self._may_stop: dict[int, bool] = {}

    def sample(self, said: tuple[int, ...], full: bool, ended: bool) -> Sample | None:
        """The sample, if it ends here. The model's own end of text is not part of it."""
        if ended:
            return Sample(self._text(said[:-1]), stopped=False, tokens=len(said))
        if self._could_stop(said[-1]):
            text = self._text(said)
            cuts = [start + len(stop) for stop in self.request.stops if (start := text.find(stop)) >= 0]
            if cuts:
                return Sample(text[: min(cuts)], stopped=True, tokens=len(said))
        if full or len(said) >= self.request.max_tokens:
            return Sample(self._text(said), stopped=False, tokens=len(said))
        return None

    def _could_stop(self, token: int) -> bool:
        if token not in self._may_stop:
            self._may_stop[token] = not self._last.isdisjoint(self._text((token,)))
        return self._may_stop[token]

    def _text(self, said: tuple[int, ...]) -> str:
        return self._codec.behind(self.request.opening, said)
