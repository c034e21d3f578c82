"""Which calls help enough? Those whose gain L⁻ - L⁺, less the tool's cost, reaches τ_f."""

from collections.abc import Iterable, Mapping

from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.records import Candidate, Rejected


def keep_helpful(
    scored: Iterable[Candidate], lessons: Mapping[str, Lesson], rejected: list[Rejected]
) -> list[Candidate]:
    """The calls worth keeping; the others are rejected with what they lacked."""
    helpful: list[Candidate] = []
    for one in scored:
        lesson = lessons[one.call.tool]
        if one.gain >= lesson.needed:
            helpful.append(one)
        else:
            cost = f" after a cost of {lesson.cost:g}" if lesson.cost else ""
            reason = f"gains less than {lesson.filtering_threshold:g}{cost}"
            rejected.append(Rejected(one.place, "filter", reason, one.call, one.losses))
    return helpful
