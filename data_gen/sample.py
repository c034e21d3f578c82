"""What would stand in the call? Up to m continuations at every proposed place, each read as a call or rejected.

Here a model in this process writes them; samplers.py says who else can. A draw's randomness comes from the run's seed
and from (document, tool, place, number of the sample), so that it does not matter in which order, batch or process the
samples are drawn.
"""

import hashlib
from collections.abc import Iterable, Iterator

from toolformer.calls import Call, CallSyntax
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.propose import Proposal
from toolformer.data_gen.records import Candidate, Place, Rejected
from toolformer.errors import CallFormatError
from toolformer.lm import Draw, Sample


def sample(
    proposals: Iterable[Proposal | Rejected], lesson: Lesson, syntax: CallSyntax, seed: int
) -> Iterator[Candidate | Rejected]:
    """The calls that the model writes at the proposed places: each different one once, the rest rejected."""
    for proposal in proposals:
        if isinstance(proposal, Rejected):
            yield proposal
            continue
        drawn = [(row, index, place, n) for row, index, place in proposal.places for n in range(lesson.samples)]
        samples = proposal.openings.sample(
            [Draw(row, index, draw_seed(seed, place, n)) for row, index, place, n in drawn],
            stops=syntax.stops,
            max_tokens=lesson.max_tokens,
            temperature=lesson.temperature,
            top_p=lesson.top_p,
        )
        read = (read_call(place, one, syntax) for (_, _, place, _), one in zip(drawn, samples, strict=True))
        yield from distinct(read)


def distinct(records: Iterable[Candidate | Rejected]) -> Iterator[Candidate | Rejected]:
    """Each different call at a place once, the rest rejected."""
    seen: set[tuple[str, int, str]] = set()
    for record in records:
        if isinstance(record, Candidate):
            place, call = record.place, record.call
            key = (place.text.document.id, place.position, call.input)
            yield Rejected(place, "sample", "the same call was sampled before", call) if key in seen else record
            seen.add(key)
        else:
            yield record


def read_call(place: Place, sample: Sample, syntax: CallSyntax) -> Candidate | Rejected:
    """The sample as a call of the place's tool, or why it is none."""
    written = " ".join(sample.text.split())[:80]
    if not sample.stopped:
        return Rejected(place, "sample", f"not closed within {sample.tokens} tokens: {written}")
    call = syntax.read(sample.text)
    return Rejected(place, "sample", f"malformed: {written}") if call is None else checked(place, call, syntax)


def checked(place: Place, call: Call, syntax: CallSyntax) -> Candidate | Rejected:
    """The call as one of the place's tool, or why it is none."""
    if call.tool != place.tool:
        return Rejected(place, "sample", f"another tool's name: {call.tool}", call)
    try:
        syntax.format(call)
    except CallFormatError as error:
        return Rejected(place, "sample", str(error), call)
    return Candidate(place, Call(call.tool, call.input.strip()))


def draw_seed(seed: int, place: Place, number: int) -> int:
    """The seed of one draw: 64 bits of a hash of everything that may decide it."""
    key = "\0".join([str(seed), place.text.document.id, place.tool, str(place.start), str(number)])
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
