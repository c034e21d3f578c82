"""Who proposes calls: the model itself, another model, a server, or rules. Whoever it is, the model's loss decides.

model.py    a model in this process says where a call might open, and goes on from there (propose.py, sample.py)
rules.py    rules read the text and say what could be asked (lessons/proposals.py); ranking them is rank.py's task
by_server.py    an OpenAI-compatible server, asked by server_client.py
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.records import Candidate, EncodedText, Rejected
from toolformer.lm import LanguageModel


class Sampler(Protocol):
    """Writes calls of lessons' tools into texts."""

    @property
    def model(self) -> LanguageModel:
        """The model in this process that it asks, or at least counts by."""

    @property
    def prunes(self) -> bool:
        """Whether it drops hopeless places by itself, for which the texts must have been read."""

    @property
    def ranked(self) -> bool:
        """Whether its calls are only proposals, of which the model has to choose."""

    @property
    def identity(self) -> Mapping[str, object]:
        """What decides its calls, for `config.json`."""

    def room(self, lesson: Lesson) -> int:
        """How many tokens of that model a text may have, so that the lesson's prompt and a call fit beside it."""

    def calls(
        self, lessons: Sequence[Lesson], texts: Sequence[EncodedText], rejected: list[Rejected]
    ) -> Iterator[Candidate]:
        """Calls at places in these texts, each different one once; all that is none goes to `rejected`."""


class Several:
    """More than one sampler; each writes its calls, and equal ones count once."""

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        """The first one's model is asked to rank."""
        self.samplers = samplers
        self.model = samplers[0].model
        self.ranked = any(one.ranked for one in samplers)
        self.prunes = any(one.prunes for one in samplers)

    @property
    def identity(self) -> Mapping[str, object]:
        """See Sampler."""
        return {"several": [dict(one.identity) for one in self.samplers]}

    def room(self, lesson: Lesson) -> int:
        """See Sampler."""
        return min(one.room(lesson) for one in self.samplers)

    def calls(
        self, lessons: Sequence[Lesson], texts: Sequence[EncodedText], rejected: list[Rejected]
    ) -> Iterator[Candidate]:
        """See Sampler. Of equal calls at a place, the first sampler's counts."""
        seen: set[tuple[str, int, tuple[str, str]]] = set()
        for sampler in self.samplers:
            for one in sampler.calls(lessons, texts, rejected):
                key = (one.place.text.document.id, one.place.position, one.call.gist)
                if key in seen:
                    rejected.append(Rejected(one.place, "sample", "the same call was proposed before", one.call))
                else:
                    seen.add(key)
                    yield one
