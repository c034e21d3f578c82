"""Which calls help enough? Those whose gain L⁻ - L⁺, less the tool's cost, reaches τ_f."""

from collections.abc import Iterable, Iterator, Mapping

from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.records import Rejected, Scored


def keep_helpful(scored: Iterable[Scored | Rejected], lessons: Mapping[str, Lesson]) -> Iterator[Scored | Rejected]:
    """The calls worth keeping; the others with what they lacked."""
    for record in scored:
        if isinstance(record, Rejected):
            yield record
            continue
        lesson = lessons[record.call.tool]
        if record.losses.gain >= lesson.needed:
            yield record
        else:
            cost = f" after a cost of {lesson.cost:g}" if lesson.cost else ""
            reason = f"gains less than {lesson.filtering_threshold:g}{cost}"
            yield Rejected(record.place, "filter", reason, record.call, record.losses)
