"""What a server that samples calls is asked, and what is read of its replies.

One request asks for one sample, since servers ignore or refuse everything beyond that. A seed is sent with every
request; whether the same seed gives the same sample is up to the server.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from toolformer.data_gen.samplers.server import By, Server
from toolformer.remote.asking import MAX_BYTES, Asker, Question, Refused

_LONGEST_TOKEN = 64
"""Characters for each token that was asked for: more, and the server does not heed how many those are."""
_HELLO: Mapping[By, Mapping[str, object]] = {
    "completions": {"prompt": "Hello"},
    "chat": {"messages": [{"role": "user", "content": "Hello"}]},
}
THEN = "What was written is kept: when it answers again, run the same to go on"
"""What a server that is given up means for a run."""


@dataclass(frozen=True)
class Reply:
    """What the model behind the server wrote."""

    text: str
    cut: bool = False
    """Whether it ran into its limit."""
    refusal: str | None = None
    """Why the server would not answer this one request, if so; then there is no text."""


class Client:
    """A connection to a server. Use it in a `with` statement."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._asker = Asker(server.url, parallel=server.parallel, seconds=server.seconds, then=THEN)

    def __enter__(self) -> Self:
        self._asker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._asker.__exit__(kind, error, trace)

    def check(self) -> None:
        """Ask for one word before hours are spent: ServerError if even that cannot be answered."""
        hello = {**_HELLO[self.server.by], "max_tokens": 1, "temperature": 1.0, "top_p": 1.0, "seed": 0}
        self._asker.need(self._question(hello))

    def ask(self, questions: Sequence[Mapping[str, object]]) -> list[Reply]:
        """A reply to each question, which is the body of a request without the model; ServerError ends them all."""
        answers = self._asker.ask([self._question(one) for one in questions])
        return [Reply("", refusal=one.why) if isinstance(one, Refused) else one for one in answers]

    def _question(self, body: Mapping[str, object]) -> Question[Reply]:
        server = self.server
        other = "chat" if server.by == "completions" else "completions"
        missing = f"look at the URL and the model's name, {server.model}, or ask it by {other}"
        read = partial(_read, server.by, _most_characters(body))
        return Question(server.endpoint, {"model": server.model, **body}, read, server.by, missing)


def _most_characters(body: Mapping[str, object]) -> int:
    """How many the tokens that were asked for can have."""
    tokens = body.get("max_tokens")
    return _LONGEST_TOKEN * tokens if isinstance(tokens, int) else MAX_BYTES


def _read(by: By, most: int, content: Any) -> Reply:
    """The text of a reply, each part of it of the type it must have. What is behind `most` characters is cut off."""
    choice = content["choices"][0]
    text = choice["text"] if by == "completions" else choice["message"]["content"] or ""
    if not isinstance(text, str):
        raise TypeError(type(text))
    cut = choice.get("finish_reason") == "length" or len(text) > most
    return Reply(text[:most].encode("utf-8", "replace").decode(), cut=cut)
