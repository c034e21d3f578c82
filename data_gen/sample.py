"""What would stand in the call? Up to m continuations at every proposed place, each read as a call or rejected.

A draw's randomness comes from the run's seed and from (document, tool, place, number of the sample), so that it does
not matter in which order, batch or process the samples are drawn.
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
        seen: set[tuple[str, int, str]] = set()
        for (_, _, place, _), one in zip(drawn, samples, strict=True):
            record = read_call(place, one, syntax)
            if isinstance(record, Candidate):
                key = (place.text.document.id, place.position, record.call.input)
                if key in seen:
                    record = Rejected(place, "sample", "the same call was sampled before", record.call)
                seen.add(key)
            yield record


def read_call(place: Place, sample: Sample, syntax: CallSyntax) -> Candidate | Rejected:
    """The sample as a call of the place's tool, or why it is none."""
    written = " ".join(sample.text.split())[:80]
    if not sample.stopped:
        return Rejected(place, "sample", f"not closed within {sample.tokens} tokens: {written}")
    call = syntax.read(sample.text)
    if call is None:
        return Rejected(place, "sample", f"malformed: {written}")
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
