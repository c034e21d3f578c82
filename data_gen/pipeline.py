"""The stages in order: sample -> execute -> match -> prune -> rank -> score -> filter -> merge.

This is the method without its files: documents in, kept calls and rejections out. `run.py` does it to a corpus.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from toolformer.data_gen.execute import Executor
from toolformer.data_gen.filter import keep_helpful
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.match import match
from toolformer.data_gen.merge import merge
from toolformer.data_gen.method import Method
from toolformer.data_gen.prune import prune
from toolformer.data_gen.rank import Ranker
from toolformer.data_gen.records import Annotated, Candidate, Document, Rejected, Text
from toolformer.data_gen.samplers import Sampler
from toolformer.data_gen.samplers.model import ModelSampler
from toolformer.data_gen.score import Scorer
from toolformer.data_gen.threshold import LEAST
from toolformer.errors import ConfigError, DataError
from toolformer.lm import LanguageModel, syntax_of
from toolformer.tool import traits_of
from toolformer.toolbox import Toolbox
from toolformer.version import __version__

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
        sampler: Sampler | None = None,
    ) -> None:
        """`model` filters, and writes the calls too unless there is a `sampler`, whose model ranks the rules' calls."""
        for lesson in lessons:
            toolbox[lesson.tool]  # an unknown tool is said now, not after hours
        self.model = model
        self.toolbox = toolbox
        self.lessons = {lesson.tool: lesson for lesson in lessons}
        self.method = method
        self.sampler = sampler or ModelSampler(model, method)
        self.syntax = syntax_of(model)
        self.scorer = Scorer(model, self.syntax, in_place=method.in_place)
        self.ranker = Ranker(self.sampler.model, self.lessons)
        if len(self.lessons) != len(lessons):
            raise ConfigError("two lessons teach the same tool; merge them, or run them one after the other")

    def longest_text(self) -> int:
        """How many tokens a text may have so that every lesson's prompt, the text twice and a call fit the models."""
        lessons = self.lessons.values()
        room = min([self.model.context - CALL_TOKENS, *(self.sampler.room(lesson) for lesson in lessons)])
        if room < MIN_TEXT:
            raise ConfigError(
                f"beside the lessons' prompts, the context of {self.model.name} ({self.model.context} tokens), or of "
                "the sampler, has no room for texts: give fewer or shorter demonstrations, or a model with a longer "
                "context"
            )
        return room

    def length(self, text: str) -> int:
        """A text's tokens, as the model or the sampler counts more of them."""
        other = self.sampler.model
        return max(len(one.encode(text).ids) for one in ([self.model] if other is self.model else [self.model, other]))

    def read(self, documents: Sequence[Document]) -> list[Text]:
        """The documents as the model sees them; if the sampler looks at all places, with L_i(ε) for each of them."""
        ids = [document.id for document in documents]
        if len(set(ids)) < len(ids):
            twice = next(one for one in ids if ids.count(one) > 1)
            raise DataError(f"two texts are called {twice!r}: give every document an id of its own, without #1, #2 ...")
        encoded = [self.model.encode(document.text) for document in documents]
        plain: list[tuple[float, ...] | None] = [None] * len(documents)
        if self.sampler.prunes:
            plain = [*map(tuple, self.model.log_probabilities([one.ids for one in encoded]))]
        rounding = self.model.rounding
        return [Text(*three, rounding) for three in zip(documents, encoded, plain, strict=True)]

    def annotate(
        self, texts: Sequence[Text], thresholds: Mapping[str, float] | None = None
    ) -> tuple[list[Annotated], list[Rejected]]:
        """All stages over some texts, taken together; by default with the lessons' own thresholds."""
        lessons = self.with_thresholds(thresholds or {})
        scored, rejected = self.scored(texts, lessons)
        helpful = keep_helpful(scored, lessons, rejected)
        return merge(helpful, texts, rejected), rejected

    def scored(self, texts: Sequence[Text], lessons: Mapping[str, Lesson]) -> tuple[list[Candidate], list[Rejected]]:
        """The stages up to the losses, which are what a threshold is found from."""
        rejected: list[Rejected] = []
        with Executor(self.toolbox) as tools:
            tools.start(self.sampler.calls([*lessons.values()], texts, rejected))
            executed = tools.finish(self.syntax, rejected)
        matching = match(executed, lessons, rejected, ranked=self.sampler.ranked, shared=self.method.match)
        hopeful = prune(matching, self.model, lessons, rejected)
        likeliest = self.ranker.rank(hopeful, rejected) if self.sampler.ranked else hopeful
        return self.scorer.score(likeliest, lessons, rejected), rejected

    def with_thresholds(self, thresholds: Mapping[str, float]) -> dict[str, Lesson]:
        """The lessons with these thresholds in the place of their own."""
        return {
            tool: replace(lesson, filtering_threshold=thresholds.get(tool, lesson.filtering_threshold))
            for tool, lesson in self.lessons.items()
        }

    def open_ended(self) -> dict[str, Lesson]:
        """The lessons with the least threshold that there is, for calls from which the right one is to be found."""
        return self.with_thresholds(dict.fromkeys(self.lessons, LEAST))

    @property
    def config(self) -> dict[str, object]:
        """Everything that decides what comes out, for `config.json`."""
        return {
            "toolformer": __version__,
            "model": self.model.name,
            "model_fingerprint": self.model.fingerprint,
            "sampler": dict(self.sampler.identity),
            "tools": {name: traits_of(self.toolbox[name]).version for name in self.lessons},
            "lessons": {name: lesson.fingerprint for name, lesson in self.lessons.items()},
            "method": vars(self.method),
        }
