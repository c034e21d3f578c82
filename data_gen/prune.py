"""Where could no result help? L⁺ is never below zero, so that L_i(ε), the loss without any call, bounds a gain.

Samplers that a pass over the whole text comes before ask it there. Rules look at few places, so that the model need not
read the rest: their texts are read here, each up to its last place, and only those with a call to judge.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.records import Candidate, EncodedText, Place, Rejected
from toolformer.lm import WINDOW, Judge

HOPELESS = "what follows is too likely already: no result could help"


def hopeless(place: Place, lesson: Lesson) -> bool:
    """Whether no result could help there."""
    return place.text.plain_loss(place.position) + place.text.rounding < lesson.needed


def prune(
    candidates: Iterable[Candidate], judge: Judge, lessons: Mapping[str, Lesson], rejected: list[Rejected]
) -> list[Candidate]:
    """The candidates at places where a result could help; texts that have not been read are read up to there."""
    some = list(candidates)
    ends: dict[str, int] = {}
    unread: dict[str, EncodedText] = {}
    for one in some:
        text = one.place.text
        if text.log_probabilities is None:
            unread[text.document.id] = text
            ends[text.document.id] = max(ends.get(text.document.id, 0), one.place.position + len(WINDOW))
    said = judge.log_probabilities([text.encoded.ids[: ends[name]] for name, text in unread.items()])
    read = {
        name: replace(text, log_probabilities=tuple(answers))
        for (name, text), answers in zip(unread.items(), said, strict=True)
    }
    hopeful = []
    for one in some:
        place = replace(one.place, text=read.get(one.place.text.document.id, one.place.text))
        if hopeless(place, lessons[place.tool]):
            rejected.append(Rejected(place, "prune", HOPELESS, one.call))
        else:
            hopeful.append(replace(one, place=place))
    return hopeful
