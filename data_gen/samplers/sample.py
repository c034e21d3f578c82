"""What would stand in the call? Up to m continuations at every proposed place, each read as a call or rejected.

The tool's name and its bracket are given; the model writes the input and closes the call. A draw's randomness comes
from the run's seed and from (document, tool, place, number of the sample), so that it does not matter in which order,
batch or process the samples are drawn.
"""

import hashlib
from collections.abc import Iterator

from toolformer.calls import Call, CallSyntax
from toolformer.data_gen.records import Candidate, Place, Rejected
from toolformer.data_gen.samplers.propose import Proposal
from toolformer.errors import CallFormatError
from toolformer.lm import Draw, Sample


def sample(proposal: Proposal, seed: int, rejected: list[Rejected]) -> Iterator[Candidate]:
    """The calls that the model writes at the proposed places: each different one once, the rest rejected."""
    lesson = proposal.lesson
    drawn = [(row, index, place, n) for row, index, place in proposal.places for n in range(lesson.samples)]
    samples = proposal.openings.sample(
        [Draw(row, index, draw_seed(seed, place, n)) for row, index, place, n in drawn],
        given=proposal.given,
        stops=proposal.syntax.stops,
        max_tokens=lesson.max_tokens,
        temperature=lesson.temperature,
        top_p=lesson.top_p,
    )
    read = (read_call(place, one, proposal.syntax) for (_, _, place, _), one in zip(drawn, samples, strict=True))
    yield from distinct(read, rejected)


def distinct(records: Iterator[Candidate | Rejected], rejected: list[Rejected]) -> Iterator[Candidate]:
    """Each different call at a place once, the rest rejected."""
    seen: set[tuple[str, int, str]] = set()
    for record in records:
        if isinstance(record, Rejected):
            rejected.append(record)
            continue
        place, call = record.place, record.call
        key = (place.text.document.id, place.position, call.input)
        if key in seen:
            rejected.append(Rejected(place, "sample", "the same call was sampled before", call))
        else:
            seen.add(key)
            yield record


def read_call(place: Place, sample: Sample, syntax: CallSyntax) -> Candidate | Rejected:
    """The sample, which goes on behind the tool's name, as a call, or why it is none."""
    written = " ".join(sample.text.split())[:80]
    if not sample.stopped:
        return Rejected(place, "sample", f"not closed within {sample.tokens} tokens: {written}")
    call = syntax.read(f"{syntax.front(place.tool)}{sample.text}")
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
