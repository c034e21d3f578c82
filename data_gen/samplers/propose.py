"""Where might a call help? The places where the model finds it likely that a call of the tool would open.

p_i = p(open | P(x), x_1..i-1), from one pass over the text behind the lesson's prompt, at every position where the
lesson says that a result could stand. The likeliest k above τ_s are kept. A place where even a perfect result could not
lower the loss by τ_f goes no further: L⁺ is never below zero, so the plain loss bounds the gain. This never changes
what is kept, unless it is asked for before the cut. A finetuned model has no prompt: it reads a text once for all
lessons.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolformer.calls import CallSyntax
from toolformer.data_gen.chain import with_results
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Method
from toolformer.data_gen.prune import HOPELESS, hopeless
from toolformer.data_gen.records import EncodedText, Place, Rejected
from toolformer.data_gen.samplers.prompts import Live, Prompts
from toolformer.errors import ConfigError
from toolformer.lm import Ids, LanguageModel, Openings, syntax_of

PASS_TOKENS = 16_384
"""Tokens of prompts and texts in one proposing pass: what its cache has to hold until its samples are done."""


@dataclass(frozen=True)
class Proposal:
    """The places of a lesson in some texts, and the pass that the samples there continue. Use it before asking for the
    next."""

    lesson: Lesson
    syntax: CallSyntax
    openings: Openings
    given: Ids
    """What is given behind the opening: the rest of the opening, the tool's name and its bracket."""
    places: list[tuple[int, int, Place]]
    """Each with its text's row in the pass and its position in the sampler's ids."""


@dataclass(frozen=True)
class _Asked:
    """A text behind its prompt, and for each lesson the positions in the sampler's ids where a call may stand."""

    text: EncodedText
    live: Live
    positions: Mapping[str, Sequence[int]]


def propose(
    sampler: LanguageModel,
    lessons: Sequence[Lesson],
    texts: Sequence[EncodedText],
    method: Method,
    rejected: list[Rejected],
) -> Iterator[Proposal]:
    """Proposals for the texts that are worth a lesson. Places that no result could serve are rejected."""
    for together in [lessons] if syntax_of(sampler) is CallSyntax.TOKENS else [[lesson] for lesson in lessons]:
        prompts = Prompts(sampler, together[0])
        for batch in _batches(sampler, together, _asked(prompts, together, texts, method)):
            yield from _proposed(sampler, prompts.syntax, together, batch, method, rejected)


def _asked(
    prompts: Prompts, lessons: Sequence[Lesson], texts: Sequence[EncodedText], method: Method
) -> Iterator[_Asked]:
    """The texts in which a call of some lesson may stand."""
    for text in texts:
        wanting = [lesson for lesson in lessons if lesson.wants(with_results(text)[0])]
        if not wanting:
            continue
        live = prompts.asking(text.document.text, text.calls)
        positions = {lesson.tool: _positions(lesson, text.document.text, live, method) for lesson in wanting}
        if any(positions.values()):
            yield _Asked(text, live, positions)


def _positions(lesson: Lesson, text: str, live: Live, method: Method) -> list[int]:
    starts = live.encoded.starts
    return [i for i in range(len(starts)) if is_place(lesson, text, starts, i, everywhere=method.everywhere)]


def _proposed(
    sampler: LanguageModel,
    syntax: CallSyntax,
    lessons: Sequence[Lesson],
    batch: Sequence[_Asked],
    method: Method,
    rejected: list[Rejected],
) -> Iterator[Proposal]:
    """What each lesson proposes in a batch of texts, from one pass over them."""
    # A lesson teaches one tool: its name and bracket are given. The opening's first token alone is asked for.
    begun = {lesson.tool: sampler.encode_parts(syntax.begun(lesson.tool)) for lesson in lessons}
    opening = begun[lessons[0].tool][:1]
    where = [sorted(set().union(*one.positions.values())) for one in batch]
    with sampler.open([one.live.prompted for one in batch], opening, where) as openings:
        for lesson in lessons:
            places: list[tuple[int, int, Place]] = []
            for row, one in enumerate(batch):
                for index, place in _likeliest(lesson, one, openings.probabilities[row], method):
                    if hopeless(place, lesson):
                        rejected.append(Rejected(place, "propose", HOPELESS))
                    else:
                        places.append((row, index, place))
            yield Proposal(lesson, syntax, openings, begun[lesson.tool][1:], places)


def _likeliest(
    lesson: Lesson, one: _Asked, probabilities: Sequence[float], method: Method
) -> Iterator[tuple[int, Place]]:
    """The k likeliest places above the threshold, the likeliest first, each with its position in the sampler's ids."""
    found: set[int] = set()
    for index in sorted(one.positions.get(lesson.tool, ()), key=lambda i: (-probabilities[i], i)):
        if len(found) == lesson.positions or not probabilities[index] > lesson.sampling_threshold:
            return
        position = one.text.encoded.token_at(one.live.encoded.starts[index])
        if not one.text.takes_call(position):
            continue
        place = Place(one.text, lesson.tool, position, probabilities[index])
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


def _batches(sampler: LanguageModel, lessons: Sequence[Lesson], texts: Iterable[_Asked]) -> Iterator[list[_Asked]]:
    """The texts with their prompts, of like length together, as many as one pass should hold."""
    longest = max(lessons, key=lambda lesson: lesson.max_tokens)
    rows = []
    for one in texts:
        need = sum(map(len, (one.live.prompted.head, *_read(one)))) + longest.max_tokens
        if need > sampler.context:
            raise ConfigError(
                f"{one.text.document.id}: the lesson of {longest.tool}, the text twice and a call are {need} tokens; "
                f"{sampler.name} holds {sampler.context}. Cut the texts shorter, or give fewer demonstrations"
            )
        rows.append(one)
    rows.sort(key=_length)
    batch: list[_Asked] = []
    for one in rows:
        if batch and _length(one) * (len(batch) + 1) > PASS_TOKENS:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _read(one: _Asked) -> tuple[Ids, Ids]:
    """What is read of a text behind its lesson's demonstrations."""
    return one.live.prompted.tail, one.live.prompted.text


def _length(one: _Asked) -> int:
    return sum(map(len, _read(one)))
