"""Who writes the calls: a model in this process, by propose.py and sample.py; for servers see server_samplers.py."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from toolformer.calls import Part
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Method
from toolformer.data_gen.propose import propose
from toolformer.data_gen.records import Candidate, Rejected, Text
from toolformer.data_gen.sample import sample
from toolformer.lm import LanguageModel, syntax_of

SLACK = 8
"""Tokens by which a text in its prompt may be longer than by itself: words at its ends may be cut otherwise."""


class Sampler(Protocol):
    """Writes calls of a lesson's tool into texts."""

    @property
    def model(self) -> LanguageModel:
        """The model in this process that it asks, or at least counts by."""
        ...

    @property
    def identity(self) -> Mapping[str, object]:
        """What decides its calls, for `config.json`."""
        ...

    def room(self, lesson: Lesson) -> int:
        """How many tokens of that model a text may have, so that the lesson's prompt and a call fit beside it."""
        ...

    def calls(self, lesson: Lesson, texts: Sequence[Text]) -> Iterator[Candidate | Rejected]:
        """Calls at places in these texts, each different one once; and a Rejected for all that is none."""
        ...


class ModelSampler:
    """A model in this process: it says where a call would open, and goes on from there."""

    def __init__(self, model: LanguageModel, method: Method) -> None:
        self.model = model
        self._method = method
        self._syntax = syntax_of(model)

    @property
    def identity(self) -> Mapping[str, object]:
        """See Sampler."""
        return {"model": self.model.name, "fingerprint": self.model.fingerprint}

    def room(self, lesson: Lesson) -> int:
        """See Sampler. The prompt holds the text, and the text follows it."""
        head = len(self.model.encode_parts(lesson.head(self._syntax)))
        frame = len(self.model.encode_parts([Part(lesson.tail(""))])) + SLACK
        return (self.model.context - head - frame - lesson.max_tokens) // 2

    def calls(self, lesson: Lesson, texts: Sequence[Text]) -> Iterator[Candidate | Rejected]:
        """See Sampler."""
        proposals = propose(self.model, lesson, texts, self._syntax, prune=self._method.prune)
        return sample(proposals, lesson, self._syntax, self._method.seed)
