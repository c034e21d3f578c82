"""A model in this process writes the calls: it says where one would open, and goes on from there."""

from collections.abc import Iterator, Mapping, Sequence

from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Method
from toolformer.data_gen.records import Candidate, EncodedText, Rejected
from toolformer.data_gen.samplers.prompts import Prompts
from toolformer.data_gen.samplers.propose import propose
from toolformer.data_gen.samplers.sample import sample
from toolformer.lm import LanguageModel


class ModelSampler:
    """The model, with the lesson as its prompt; a finetuned one needs none."""

    def __init__(self, model: LanguageModel, method: Method) -> None:
        self.model = model
        self.ranked = False
        self.prunes = True
        self._method = method

    @property
    def identity(self) -> Mapping[str, object]:
        """See Sampler."""
        return {"model": self.model.name, "fingerprint": self.model.fingerprint}

    def room(self, lesson: Lesson) -> int:
        """See Sampler. The prompt holds the text, and the text follows it."""
        return Prompts(self.model, lesson).room()

    def calls(
        self, lessons: Sequence[Lesson], texts: Sequence[EncodedText], rejected: list[Rejected]
    ) -> Iterator[Candidate]:
        """See Sampler."""
        for proposal in propose(self.model, lessons, texts, self._method, rejected):
            yield from sample(proposal, self._method.seed, rejected)
