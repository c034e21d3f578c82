"""Where might a call help? The places where the model finds it likely that a call of the tool would open.

p_i = p(open | P(x), x_1..i-1) at every position from one pass over the text behind the lesson's prompt; the likeliest
k above τ_s are kept. A place where even a perfect result could not lower the loss by τ_f goes no further: L⁺ is never
below zero, so the plain loss bounds the gain. This never changes what is kept, unless it is asked for before the cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toolformer.calls import CallSyntax, Part
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Prune
from toolformer.data_gen.records import Place, Rejected, Text
from toolformer.errors import ConfigError
from toolformer.lm import Encoded, LanguageModel, Openings, Prompted

PASS_TOKENS = 16_384
"""Tokens of prompts and texts in one proposing pass: what its cache has to hold until its samples are done."""
HOPELESS = "what follows is too likely already: no result could help"


@dataclass(frozen=True)
class Proposal:
    """The places of some texts, and the pass that the samples there continue. Use it before asking for the next."""

    openings: Openings
    places: list[tuple[int, int, Place]]
    """Each with its text's row in the pass and its position in the sampler's ids."""


def propose(
    sampler: LanguageModel, lesson: Lesson, texts: Sequence[Text], syntax: CallSyntax, *, prune: Prune = "after"
) -> Iterator[Proposal | Rejected]:
    """Proposals for the texts that are worth the lesson, and a Rejected for every place that no result could serve."""
    head = sampler.encode_parts(lesson.head(syntax))
    opening = sampler.encode_parts([syntax.opening])
    for batch in _batches(sampler, lesson, head, [text for text in texts if lesson.wants(text.document)]):
        with sampler.open([prompted for _, _, prompted in batch], opening) as openings:
            places: list[tuple[int, int, Place]] = []
            for row, (text, encoded, _) in enumerate(batch):
                for index, place in _likeliest(lesson, text, encoded, openings.probabilities[row], prune):
                    if hopeless(place, lesson):
                        yield Rejected(place, "propose", HOPELESS)
                    else:
                        places.append((row, index, place))
            yield Proposal(openings, places)


def hopeless(place: Place, lesson: Lesson) -> bool:
    """Whether no result could help there: L⁺ is never below zero, so that the plain loss bounds the gain."""
    return place.text.plain_loss(place.position) + place.text.rounding < lesson.needed


def _likeliest(
    lesson: Lesson, text: Text, encoded: Encoded, probabilities: Sequence[float], prune: Prune
) -> Iterator[tuple[int, Place]]:
    """The k likeliest places above the threshold, the likeliest first, each with its position in the sampler's ids."""
    order = sorted(range(len(probabilities)), key=lambda i: (-probabilities[i], i))
    found: set[int] = set()
    for index in order:
        if len(found) == lesson.positions or not probabilities[index] > lesson.sampling_threshold:
            return
        if index and encoded.starts[index] == encoded.starts[index - 1]:
            continue  # inside a character that is several tokens: no place in a text
        position = text.token_at(encoded.starts[index])
        place = Place(text, lesson.tool, position, probabilities[index])
        # Two positions of the sampler may lie in one token of the filter: they are one place, the likelier counts.
        if position not in found and not (prune == "before" and hopeless(place, lesson)):
            found.add(position)
            yield index, place


def _batches(
    sampler: LanguageModel, lesson: Lesson, head: tuple[int, ...], texts: Sequence[Text]
) -> Iterator[list[tuple[Text, Encoded, Prompted]]]:
    """The texts with their prompts, of like length together, as many as one pass should hold."""
    rows = []
    for text in texts:
        encoded = sampler.encode(text.document.text)
        tail = sampler.encode_parts([Part(lesson.tail(text.document.text))])
        need = len(head) + len(tail) + len(encoded.ids) + lesson.max_tokens
        if need > sampler.context:
            raise ConfigError(
                f"{text.document.id}: the lesson of {lesson.tool}, the text twice and a call are {need} tokens; "
                f"{sampler.name} holds {sampler.context}. Cut the texts shorter, or give fewer demonstrations"
            )
        rows.append((text, encoded, Prompted(head, tail, encoded.ids)))
    rows.sort(key=lambda row: len(row[2].tail) + len(row[2].text))
    batch: list[tuple[Text, Encoded, Prompted]] = []
    for row in rows:
        longest = len(row[2].tail) + len(row[2].text)
        if batch and longest * (len(batch) + 1) > PASS_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
