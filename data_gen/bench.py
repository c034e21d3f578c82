"""How fast is the annotator, and does it still keep the right calls? The pipeline against the plain method.

Both run in one process, on the same model, texts and random numbers, after a warm-up each. Tokens forwarded are counted
with the padding; the least is what remains without: the pipeline forwards no token twice.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from toolformer.calls import Call
from toolformer.data_gen.corpus import read_corpus
from toolformer.data_gen.lessons import builtin_lessons
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.plain import PlainMethod
from toolformer.data_gen.records import Document, Place
from toolformer.data_gen.samplers.rules import RuleSampler
from toolformer.errors import ConfigError
from toolformer.expert import with_model
from toolformer.lm import WINDOW, LanguageModel, Window
from toolformer.loading import Loading
from toolformer.tool import Tool
from toolformer.toolbox import Toolbox

WORDS = 100
"""Words in a text at least: shorter documents are joined."""

Found = tuple[str, int, str, str]


@dataclass(frozen=True)
class Result:
    """What the bench measured."""

    texts: int
    fast_seconds: float
    plain_seconds: float
    plain_texts: int
    """The plain method is slow: it gets the first of the texts only, and is compared on those."""
    reading: float
    """Tokens a second at which the model reads the same texts and says nothing of them."""
    fast_tokens: int
    least_tokens: int
    plain_tokens: int
    kept: int
    different: tuple[str, ...]
    """Calls that only one of the two kept, among the texts that both saw."""

    @property
    def rate(self) -> float:
        """Tokens that the pipeline forwards a second."""
        return self.fast_tokens / self.fast_seconds

    def __str__(self) -> str:
        fast, plain = self.texts / self.fast_seconds, self.plain_texts / self.plain_seconds
        rows = [
            f"pipeline  {fast:8.2f} texts/s  {self.fast_tokens / self.texts:9,.0f} tokens forwarded a text",
            f"plain     {plain:8.2f} texts/s  {self.plain_tokens / self.plain_texts:9,.0f} tokens forwarded a text",
            f"{fast / plain:.1f} times as fast; {self.fast_tokens / self.least_tokens:.2f} times the least tokens",
            f"{self.rate:.0f} tokens forwarded a second, {self.rate / self.reading:.2f} of the model's own reading",
            f"{self.kept} calls kept; {len(self.different)} kept by only one of the two",
        ]
        return "\n".join([*rows, *self.different])


def bench_annotate(
    corpus: Path,
    tools: Sequence[Tool],
    model: str,
    *,
    texts: int,
    plain_texts: int,
    positions: int,
    samples: int,
    rules: bool = False,
    loading: Loading = Loading(),
) -> Result:
    """Annotate the first texts of a corpus both ways, with so many positions and samples in every lesson.

    With `rules`, rules propose the calls, which the model ranks; otherwise it writes them.
    """
    from toolformer.hf import load, load_network
    from toolformer.hf.encode import Codec

    documents = list(islice(_joined(read_corpus(corpus)), texts))
    if len(documents) < texts:
        raise ConfigError(f"{corpus} gives {len(documents)} texts of {WORDS} words; {texts} were asked for")
    lessons = [replace(builtin_lessons()[tool.name], positions=positions, samples=samples) for tool in tools]
    fast_model = load(model, **vars(loading))
    network, tokenizer = load_network(model, loading)
    network.train(False)
    with Toolbox(with_model(tools, fast_model)) as toolbox:
        sampler = RuleSampler(fast_model) if rules else None
        annotator = Annotator(fast_model, toolbox, lessons, sampler=sampler)
        plain = PlainMethod(annotator, network, Codec(tokenizer, model))
        _annotated(annotator, documents[:1])
        fast_model.counter.tokens = fast_model.counter.padding = 0
        begun = time.perf_counter()
        fast_found = _annotated(annotator, documents)
        fast_seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        plain_found = {
            (k.document, k.start, k.call.tool, k.call.input) for k in plain.annotate(documents[:plain_texts])
        }
        plain_seconds = time.perf_counter() - begun
        counted, read = replace(fast_model.counter), _reading(fast_model, documents)
    both = {document.id for document in documents[:plain_texts]}
    different = {one for one in fast_found if one[0] in both} ^ plain_found
    return Result(
        texts,
        fast_seconds,
        plain_seconds,
        plain_texts,
        read,
        counted.tokens,
        counted.tokens - counted.padding,
        plain.tokens,
        len(fast_found),
        tuple(map(str, sorted(different))),
    )


def _reading(model: LanguageModel, documents: Sequence[Document]) -> float:
    """Tokens a second where each text is read to its end, and only its last words are asked for."""
    ids = [model.encode(document.text).ids for document in documents]
    model.counter.tokens, begun = 0, time.perf_counter()
    model.window_losses([Window((), one, max(0, len(one) - len(WINDOW))) for one in ids])
    return model.counter.tokens / (time.perf_counter() - begun)


def _annotated(annotator: Annotator, documents: Sequence[Document]) -> set[Found]:
    """What passes the filter; the plain rendering stops there, too."""
    annotated, rejected = annotator.annotate(annotator.read(documents))
    found = {_found(one.place, one.call) for text in annotated for one in text.calls}
    return found | {_found(one.place, one.call) for one in rejected if one.stage == "merge" and one.call is not None}


def _found(place: Place, call: Call) -> Found:
    return place.text.document.id, place.start, call.tool, call.input


def _joined(documents: Iterator[Document]) -> Iterator[Document]:
    """Documents of about a hundred words: short ones with those that follow."""
    held: list[Document] = []
    for document in documents:
        held.append(document)
        if sum(len(one.text.split()) for one in held) >= WORDS:
            yield replace(held[0], text=" ".join(one.text for one in held))
            held = []
