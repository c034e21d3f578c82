"""The stages in order: propose -> sample -> execute -> score -> filter -> merge.

This is the method without its files: documents in, kept calls and rejections out. `run.py` does it to a corpus.
"""

import itertools
from collections.abc import Iterator, Sequence

import toolformer
from toolformer.calls import CallSyntax, Part
from toolformer.data_gen.execute import Executor
from toolformer.data_gen.filter import keep_helpful
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.merge import merge
from toolformer.data_gen.method import Method
from toolformer.data_gen.propose import propose
from toolformer.data_gen.records import Annotated, Candidate, Document, Rejected, Text
from toolformer.data_gen.sample import sample
from toolformer.data_gen.score import score
from toolformer.errors import ConfigError
from toolformer.lm import LanguageModel
from toolformer.tool import traits_of
from toolformer.toolbox import Toolbox

SLACK = 8
"""Tokens by which a text in its prompt may be longer than by itself: words at its ends may be cut otherwise."""
CALL_TOKENS = 128
"""Room for a call with its result before a text."""
MIN_TEXT = 32
"""With room for less, there is nothing to annotate."""


class Annotator:
    """The stages, ready for documents. Holds no state between them but the models and the tools."""

    def __init__(
        self,
        model: LanguageModel,
        toolbox: Toolbox,
        lessons: Sequence[Lesson],
        method: Method = Method(),
        *,
        sampler: LanguageModel | None = None,
        syntax: CallSyntax = CallSyntax.TEXT,
    ) -> None:
        """`model` filters, and samples too unless there is a `sampler`; `syntax` is the model's spelling of calls."""
        for lesson in lessons:
            toolbox[lesson.tool]  # an unknown tool is said now, not after hours
        self.model = model
        self.toolbox = toolbox
        self.lessons = {lesson.tool: lesson for lesson in lessons}
        self.method = method
        self.sampler = sampler or model
        self.syntax = syntax
        if len(self.lessons) != len(lessons):
            raise ConfigError("two lessons teach the same tool; merge them, or run them one after the other")

    def longest_text(self) -> int:
        """How many tokens a text may have so that every lesson's prompt, the text twice and a call fit the models."""
        room = self.model.context
        for lesson in self.lessons.values():
            head = len(self.sampler.encode_parts(lesson.head(self.syntax)))
            frame = len(self.sampler.encode_parts([Part(lesson.tail(""))])) + SLACK
            room = min(room, (self.sampler.context - head - frame - lesson.max_tokens) // 2)
        room = min(room, self.model.context - CALL_TOKENS)
        if room < MIN_TEXT:
            raise ConfigError(
                f"beside the lessons' prompts, the context of {self.sampler.name} ({self.sampler.context} tokens) has "
                "no room for texts: give fewer or shorter demonstrations, or a model with a longer context"
            )
        return room

    def read(self, documents: Sequence[Document]) -> list[Text]:
        """The documents as the model sees them. One plain pass gives L_i(ε) for all places of all tools."""
        encoded = [self.model.encode(document.text) for document in documents]
        plain = self.model.log_probabilities([one.ids for one in encoded])
        return [Text(*three) for three in zip(documents, encoded, map(tuple, plain), strict=True)]

    def annotate(self, texts: Sequence[Text]) -> Iterator[Annotated | Rejected]:
        """All stages over some texts, taken together."""
        with Executor(self.toolbox) as executor:
            proposed = itertools.chain.from_iterable(self._sampled(lesson, texts) for lesson in self.lessons.values())
            executed = executor.execute(proposed, self.syntax)
            scored = score(executed, self.lessons, self.model, self.syntax, in_place=self.method.in_place)
            yield from merge(keep_helpful(scored, self.lessons), texts)

    def _sampled(self, lesson: Lesson, texts: Sequence[Text]) -> Iterator[Candidate | Rejected]:
        proposals = propose(self.sampler, lesson, texts, self.syntax, prune=self.method.prune)
        return sample(proposals, lesson, self.syntax, self.method.seed)

    @property
    def config(self) -> dict[str, object]:
        """Everything that decides what comes out, for `config.json`."""
        return {
            "toolformer": toolformer.__version__,
            "model": self.model.name,
            "model_fingerprint": self.model.fingerprint,
            "sampler": self.sampler.name,
            "sampler_fingerprint": self.sampler.fingerprint,
            "tools": {name: traits_of(self.toolbox[name]).version for name in self.lessons},
            "lessons": {name: lesson.fingerprint for name, lesson in self.lessons.items()},
            "method": vars(self.method),
        }
