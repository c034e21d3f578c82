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
from toolformer.errors import ConfigError
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
    fast_tokens: int
    least_tokens: int
    plain_tokens: int
    kept: int
    different: tuple[str, ...]
    """Calls that only one of the two kept, among the texts that both saw."""

    def __str__(self) -> str:
        fast, plain = self.texts / self.fast_seconds, self.plain_texts / self.plain_seconds
        rows = [
            f"pipeline  {fast:8.2f} texts/s  {self.fast_tokens / self.texts:9,.0f} tokens forwarded a text",
            f"plain     {plain:8.2f} texts/s  {self.plain_tokens / self.plain_texts:9,.0f} tokens forwarded a text",
            f"{fast / plain:.1f} times as fast; {self.fast_tokens / self.least_tokens:.2f} times the least tokens",
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
    loading: Loading = Loading(),
) -> Result:
    """Annotate the first texts of a corpus both ways, with so many positions and samples in every lesson."""
    from toolformer.hf import load, load_network
    from toolformer.hf.encode import Codec

    documents = list(islice(_joined(read_corpus(corpus)), texts))
    if len(documents) < texts:
        raise ConfigError(f"{corpus} gives {len(documents)} texts of {WORDS} words; {texts} were asked for")
    lessons = [replace(builtin_lessons()[tool.name], positions=positions, samples=samples) for tool in tools]
    fast_model = load(model, **vars(loading))
    network, tokenizer = load_network(model, loading)
    network.train(False)
    with Toolbox(tools) as toolbox:
        annotator = Annotator(fast_model, toolbox, lessons)
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
    both = {document.id for document in documents[:plain_texts]}
    different = {one for one in fast_found if one[0] in both} ^ plain_found
    counter = fast_model.counter
    return Result(
        texts,
        fast_seconds,
        plain_seconds,
        plain_texts,
        counter.tokens,
        counter.tokens - counter.padding,
        plain.tokens,
        len(fast_found),
        tuple(map(str, sorted(different))),
    )


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
