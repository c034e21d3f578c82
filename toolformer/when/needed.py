"""Where is a call needed? What annotating found out about texts that the model has not learnt.

A kept call is needed at its place: the filter has proved that its result helps. Elsewhere no call is needed. Two kinds
of places are left out, since nothing was decided there: those whose dropped call says what the text says next, and
those whose call gave way to the same one nearby.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from toolformer.data_gen.annotated_folder import AnnotatedFolder, RejectedCall
from toolformer.data_gen.records import Document
from toolformer.data_gen.undecided import says_what_follows, undecided
from toolformer.finetune.mixture import without_calls


@dataclass(frozen=True)
class Judged:
    """A text, and what is known of its places. A place is named by the character that follows it."""

    text: str
    needed: Mapping[int, str]
    """The tool of the kept call at each place that has one."""
    undecided: frozenset[int]


def judged(folder: AnnotatedFolder, documents: Iterable[Document] = ()) -> Iterator[Judged]:
    """The texts of the folder that kept a call, and of these documents those that kept none."""
    kept = []
    for text, dropped in folder.kept_with_rejected():
        kept.append(text)
        needed = {one.start: one.call.tool for one in text.calls}
        yield Judged(text.text, needed, frozenset(one.start for one in dropped if _open(one)) - needed.keys())
    documents = list(documents)
    unknown = undecided([folder], documents)
    for plain in without_calls(kept, (one.text for one in documents)):
        yield Judged(plain, {}, unknown.get(plain, frozenset()))


def _open(dropped: RejectedCall) -> bool:
    """Whether a dropped call may be needed all the same."""
    return dropped.stage == "merge" or says_what_follows(dropped)
