"""A model that judges calls on a server, where the same weights are: what it says is held to what they say here."""

from collections.abc import Iterator, Sequence

from toolformer.errors import ConfigError, ServerError
from toolformer.hf.encode import Codec
from toolformer.hf.precision import ROUNDING
from toolformer.hf.scoring import Question, log_probabilities, window_losses
from toolformer.lm import Ids, LanguageModel, Window
from toolformer.remote.asking import Asker, Refused
from toolformer.remote.reading import reader_of

TOLERANCE = ROUNDING
"""How far the loss of a window may be off, in nats, which is what half precision costs. Where that could decide about a
call, the model here is asked, in fp32."""
WINDOWS = 50
"""Windows that are asked for in both places before a run begins."""
_PREFIX = 16
"""Tokens of another text before every second one of them."""


class RemoteJudge:
    """`lm.Judge`. Texts that are asked about together are asked for at the same time, as many as the asker allows."""

    def __init__(self, asker: Asker, model: LanguageModel, codec: Codec) -> None:
        """The asker is open, and stays so for as long as the judge is used; the codec is that of the model here."""
        if model.reads_apart:
            raise ConfigError(f"{model.name} has an encoder: only models without one can judge on a server")
        self._asker, self._model = asker, model
        self._start = () if codec.start is None else (codec.start,)
        self._reader = reader_of(asker)
        self.context = min(model.context, self._reader.context - len(self._start))
        self.rounding = TOLERANCE
        self.precision = f"{self._reader.name}, within {TOLERANCE} nats of {model.precision}"

    def log_probabilities(self, texts: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """See `lm.Judge`."""
        return log_probabilities(self._ask, self._begin, texts)

    def window_losses(self, windows: Sequence[Window], *, exact: bool = False) -> list[float]:
        """See `lm.Judge`. Exact losses are computed here."""
        if exact:
            return self._model.window_losses(windows, exact=True)
        return window_losses(self._ask, self._begin, windows)

    def check(self, texts: Sequence[tuple[int, ...]]) -> None:
        """Refuse a server with other weights: the losses of some windows in these texts must be those of the model."""
        windows = list(_some_windows(texts))
        here, there = self.window_losses(windows, exact=True), self.window_losses(windows)
        off = max((abs(one - other) for one, other in zip(here, there, strict=True)), default=0.0)
        if not off <= TOLERANCE:
            raise ConfigError(
                f"{self._asker.url} judges otherwise than {self._model.name}: of {len(windows)} windows, the loss of "
                f"one is off by {off:.2f} nats, and {TOLERANCE} are allowed. Serve the weights that are loaded here, "
                "the adapter among them"
            )

    def _begin(self, prefix: Ids) -> tuple[Ids, tuple[int, ...]]:
        return (), (*self._start, *prefix)

    def _ask(self, questions: Sequence[Question]) -> list[list[float]]:
        """See `hf.scoring.Ask`. What is behind the last wanted token is not sent."""
        rows = [one.row[: max(one.places, default=-1) + 1] for one in questions]
        asked = [n for n, one in enumerate(questions) if one.places]
        self._model.counter.tokens += sum(len(rows[n]) for n in asked)
        replies = self._asker.ask([self._reader.read(rows[n], min(questions[n].places)) for n in asked])
        answers: list[list[float]] = [[] for _ in questions]
        for n, reply in zip(asked, replies, strict=True):
            if isinstance(reply, Refused):
                raise ServerError(f"{self._asker.url} refuses to read {len(rows[n]):,} tokens: {reply.why}")
            places = questions[n].places
            answers[n] = [reply[place - min(places)] for place in places]
        return answers


def _some_windows(texts: Sequence[tuple[int, ...]]) -> Iterator[Window]:
    """Windows from all over the texts, every second one behind the beginning of another text."""
    places = [(text, at) for text, ids in enumerate(texts) for at in range(len(ids))]
    for number in range(min(WINDOWS, len(places))):
        text, at = places[number * len(places) // min(WINDOWS, len(places))]
        yield Window(texts[text - 1][:_PREFIX] if number % 2 else (), texts[text], at)
