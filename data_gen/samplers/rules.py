"""Rules write the calls: what the lesson's own rule proposes, at the places that it names. No model is asked here."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from toolformer.calls import Call
from toolformer.data_gen.chain import with_results
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.lessons.places import word_start
from toolformer.data_gen.records import Candidate, EncodedText, Place, Rejected
from toolformer.data_gen.samplers.prompts import Prompts
from toolformer.lm import LanguageModel


class RuleSampler:
    """The lessons' rules. The model is the one that will rank what they propose."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.ranked = True
        self.prunes = False

    @property
    def identity(self) -> Mapping[str, object]:
        """See Sampler."""
        return {"rules": 2, "model": self.model.name, "fingerprint": self.model.fingerprint}

    def room(self, lesson: Lesson) -> int:
        """See Sampler. To rank a call, the model reads the demonstrations, the text up to there, and the call."""
        live = Prompts(self.model, lesson).showing("").prompted
        return self.model.context - len(live.head) - len(live.tail) - lesson.max_tokens

    def calls(
        self,
        lessons: Sequence[Lesson],
        texts: Sequence[EncodedText],
        rejected: list[Rejected],  # noqa: ARG002 - what a rule does not propose was never anything
    ) -> Iterator[Candidate]:
        """See Sampler."""
        for lesson, text in itertools.product(lessons, texts):
            document, stands = with_results(text)
            if not lesson.wants(document):
                continue
            for one in dict.fromkeys(lesson.proposed(document)):
                word = stands[one.word]
                place = None if word is None else place_before(text, lesson.tool, word)
                if place is not None and text.takes_call(place.position):
                    yield Candidate(place, Call(lesson.tool, one.input))


def place_before(text: EncodedText, tool: str, word: int) -> Place | None:
    """Before the word and what belongs to it, such as a space and a sign of money; None if a token lies across."""
    whole, starts = text.document.text, text.encoded.starts
    position = text.encoded.token_at(word)
    while position >= 0 and word_start(whole, starts[position]) != word:
        position -= 1
        if word - starts[max(0, position)] > 4:
            return None
    while position > 0 and word_start(whole, starts[position - 1]) == word:
        position -= 1
    return Place(text, tool, position, None) if position >= 0 else None
