"""Where might a call help? The places where the model finds it likely that a call of the tool would open.

p_i = p(open | P(x), x_1..i-1) at every position from one pass over the text behind the lesson's prompt. Of the places
where the lesson says that a result could stand, the likeliest k above τ_s are kept. A place where even a perfect result
could not lower the loss by τ_f goes no further: L⁺ is never below zero, so the plain loss bounds the gain. This never
changes what is kept, unless it is asked for before the cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toolformer.calls import CallSyntax
from toolformer.data_gen.chain import with_results
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Method
from toolformer.data_gen.prune import HOPELESS, hopeless
from toolformer.data_gen.records import Place, Rejected, Text
from toolformer.data_gen.samplers.prompts import Live, Prompts
from toolformer.errors import ConfigError
from toolformer.lm import LanguageModel, Openings

PASS_TOKENS = 16_384
"""Tokens of prompts and texts in one proposing pass: what its cache has to hold until its samples are done."""


@dataclass(frozen=True)
class Proposal:
    """The places of some texts, and the pass that the samples there continue. Use it before asking for the next."""

    syntax: CallSyntax
    openings: Openings
    places: list[tuple[int, int, Place]]
    """Each with its text's row in the pass and its position in the sampler's ids."""


def propose(
    sampler: LanguageModel, lesson: Lesson, texts: Sequence[Text], method: Method, rejected: list[Rejected]
) -> Iterator[Proposal]:
    """Proposals for the texts that are worth the lesson. Places that no result could serve are rejected."""
    prompts = Prompts(sampler, lesson)
    # The lesson teaches one tool: its name and bracket are given. The opening's first token alone is asked for.
    opening = sampler.encode_parts(prompts.syntax.begun(lesson.tool))
    for batch in _batches(sampler, prompts, lesson, [text for text in texts if lesson.wants(with_results(text)[0])]):
        with sampler.open([live.prompted for _, live in batch], opening) as openings:
            places: list[tuple[int, int, Place]] = []
            for row, (text, live) in enumerate(batch):
                for index, place in _likeliest(lesson, text, live, openings.probabilities[row], method):
                    if hopeless(place, lesson):
                        rejected.append(Rejected(place, "propose", HOPELESS))
                    else:
                        places.append((row, index, place))
            yield Proposal(prompts.syntax, openings, places)


def _likeliest(
    lesson: Lesson, text: Text, live: Live, probabilities: Sequence[float], method: Method
) -> Iterator[tuple[int, Place]]:
    """The k likeliest places above the threshold, the likeliest first, each with its position in the sampler's ids."""
    order = sorted(range(len(probabilities)), key=lambda i: (-probabilities[i], i))
    found: set[int] = set()
    for index in order:
        if len(found) == lesson.positions or not probabilities[index] > lesson.sampling_threshold:
            return
        if not is_place(lesson, text.document.text, live.encoded.starts, index, everywhere=method.everywhere):
            continue
        position = text.encoded.token_at(live.encoded.starts[index])
        if not text.takes_call(position):
            continue
        place = Place(text, lesson.tool, position, probabilities[index])
        # Two positions of the sampler may lie in one token of the filter: they are one place, the likelier counts.
        if position not in found and not (method.prune == "before" and hopeless(place, lesson)):
            found.add(position)
            yield index, place


def is_place(lesson: Lesson, text: str, starts: Sequence[int], index: int, *, everywhere: bool) -> bool:
    """Whether a call may stand before this token of the text."""
    at, before = starts[index], starts[index - 1] if index else -1
    if at == before:
        return False  # inside a character that is several tokens
    if everywhere:
        return True
    # A space that is a token by itself belongs to the word behind it: the call stands before both.
    return not (index and text[before:at].isspace()) and lesson.could_stand(text, at)


def _batches(
    sampler: LanguageModel, prompts: Prompts, lesson: Lesson, texts: Sequence[Text]
) -> Iterator[list[tuple[Text, Live]]]:
    """The texts with their prompts, of like length together, as many as one pass should hold."""
    rows = []
    for text in texts:
        live = prompts.asking(text.document.text, text.calls)
        need = sum(map(len, (live.prompted.head, live.prompted.tail, live.prompted.text))) + lesson.max_tokens
        if need > sampler.context:
            raise ConfigError(
                f"{text.document.id}: the lesson of {lesson.tool}, the text twice and a call are {need} tokens; "
                f"{sampler.name} holds {sampler.context}. Cut the texts shorter, or give fewer demonstrations"
            )
        rows.append((text, live))
    rows.sort(key=lambda row: _length(row[1]))
    batch: list[tuple[Text, Live]] = []
    for row in rows:
        if batch and _length(row[1]) * (len(batch) + 1) > PASS_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _length(live: Live) -> int:
    return len(live.prompted.tail) + len(live.prompted.text)
