"""The stages in order: sample -> execute -> match -> prune -> rank -> score -> filter -> merge.

This is the method without its files: documents in, kept calls and rejections out. `annotating.py` does it to a corpus.
With `Method.chain`, texts that kept a call go through the stages again with it in place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from toolformer.data_gen.chain import latest, with_calls
from toolformer.data_gen.execute import Executor
from toolformer.data_gen.filter import keep_helpful
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.match import match
from toolformer.data_gen.merge import merge
from toolformer.data_gen.method import Method
from toolformer.data_gen.prune import prune
from toolformer.data_gen.rank import Ranker
from toolformer.data_gen.records import Annotated, Candidate, Document, EncodedText, Rejected
from toolformer.data_gen.samplers import Sampler
from toolformer.data_gen.samplers.by_model import ModelSampler
from toolformer.data_gen.score import Scorer
from toolformer.data_gen.threshold import LEAST
from toolformer.errors import ConfigError, DataError
from toolformer.lm import Encoded, Judge, LanguageModel, syntax_of
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
        judge: Judge | None = None,
    ) -> None:
        """`model` filters, and writes the calls too unless there is a `sampler`, whose model ranks the rules' calls.

        Losses are asked of a `judge` with the same weights, where there is one.
        """
        for lesson in lessons:
            toolbox[lesson.tool]  # an unknown tool is said now, not after hours
        self.model = model
        self.judge: Judge = judge or model
        self.toolbox = toolbox
        self.lessons = {lesson.tool: lesson for lesson in lessons}
        self.method = method
        self.sampler = sampler or ModelSampler(model, method)
        self.syntax = syntax_of(model)
        self.scorer = Scorer(model, self.syntax, in_place=method.in_place, judge=self.judge)
        self.ranker = Ranker(self.sampler.model, self.lessons)
        if method.chain < 1:
            raise ConfigError(f"chain={method.chain}: the rounds over a text are 1 at least")
        if len(self.lessons) != len(lessons):
            raise ConfigError("two lessons teach the same tool; merge them, or run them one after the other")

    def longest_text(self) -> int:
        """How many tokens a text may have so that every lesson's prompt, the text twice and a call fit the models."""
        lessons = self.lessons.values()
        room = min(
            [
                min(self.model.context, self.judge.context) - CALL_TOKENS,
                *(self.sampler.room(lesson) for lesson in lessons),
            ]
        )
        if room < MIN_TEXT:
            raise ConfigError(
                f"beside the lessons' prompts, the context of {self.model.name} ({self.model.context} tokens), or of "
                "the sampler, has no room for texts: give fewer or shorter demonstrations, or a model with a longer "
                "context"
            )
        return room

    def length(self, text: str, calls: Sequence[Candidate] = ()) -> int:
        """The tokens of a text with some calls in place, as the model or the sampler counts more of them."""
        other = self.sampler.model
        models = [self.model] if other is self.model else [self.model, other]
        return max(len(_read(one, text, calls).ids) for one in models)

    def read(self, documents: Sequence[Document]) -> list[EncodedText]:
        """The documents as the model sees them; if the sampler looks at all places, with L_i(ε) for each of them."""
        ids = [document.id for document in documents]
        if len(set(ids)) < len(ids):
            twice = next(one for one in ids if ids.count(one) > 1)
            raise DataError(f"two texts are called {twice!r}: give every document an id of its own, without #1, #2 ...")
        return self._texts([Annotated(document, ()) for document in documents])

    def read_again(self, annotated: Sequence[Annotated]) -> list[EncodedText]:
        """The documents with the calls that they kept in place; without those that have no room for another one."""
        room = self.longest_text()
        return self._texts([one for one in annotated if self.length(one.document.text, one.calls) <= room])

    def _texts(self, annotated: Sequence[Annotated]) -> list[EncodedText]:
        encoded = [_read(self.model, one.document.text, one.calls) for one in annotated]
        plain: list[tuple[float, ...] | None] = [None] * len(annotated)
        if self.sampler.prunes:
            plain = [*map(tuple, self.judge.log_probabilities([one.ids for one in encoded]))]
        rounding = self.judge.rounding
        return [
            EncodedText(one.document, ids, said, rounding, one.calls)
            for one, ids, said in zip(annotated, encoded, plain, strict=True)
        ]

    def annotate(
        self, texts: Sequence[EncodedText], thresholds: Mapping[str, float] | None = None
    ) -> tuple[list[Annotated], list[Rejected]]:
        """All stages over some texts, taken together; by default with the lessons' own thresholds."""
        lessons = self.with_thresholds(thresholds or {})
        scored, rejected = self.scored(texts, lessons)
        return self.kept(scored, texts, lessons, rejected), rejected

    def kept(
        self,
        scored: Sequence[Candidate],
        texts: Sequence[EncodedText],
        lessons: Mapping[str, Lesson],
        rejected: list[Rejected],
    ) -> list[Annotated]:
        """The last stages, and the further rounds: a text goes on as long as each round adds a call to it."""
        kept = grown = merge(keep_helpful(scored, lessons, rejected), texts, rejected)
        for _ in range(1, self.method.chain):
            if not (again := self.read_again(grown)):
                break
            scored, tried = self.scored(again, lessons)
            grown = merge(keep_helpful(scored, lessons, tried), again, tried)
            rejected[:] = latest(rejected, tried, grown)
            newest = {one.document.id: one for one in grown}
            kept = [newest.get(one.document.id, one) for one in kept]
        return kept

    def scored(
        self, texts: Sequence[EncodedText], lessons: Mapping[str, Lesson]
    ) -> tuple[list[Candidate], list[Rejected]]:
        """The stages up to the losses, which are what a threshold is found from."""
        rejected: list[Rejected] = []
        with Executor(self.toolbox) as tools:
            tools.start(self.sampler.calls([*lessons.values()], texts, rejected))
            executed = tools.finish(self.syntax, rejected)
        matching = match(executed, lessons, rejected, ranked=self.sampler.ranked, shared=self.method.match)
        hopeful = prune(matching, self.judge, lessons, rejected)
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


def _read(model: LanguageModel, text: str, calls: Sequence[Candidate]) -> Encoded:
    """A text with some calls in place, as a model reads it."""
    syntax = syntax_of(model)
    return with_calls(model.encode(text), calls, lambda call: model.encode_parts(syntax.parts(call)))
