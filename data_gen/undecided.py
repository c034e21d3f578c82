"""Where annotating came to no decision: places whose dropped call says what the text says next.

The filter proves that a kept call helps. It does not prove that a dropped one does not: another call may have been
likelier at that place, or the gain too small to be told from chance. Where the result of a dropped call is what the
text says next, training asks neither for a call nor for none.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from toolformer.data_gen.annotated_folder import AnnotatedFolder, RejectedCall
from toolformer.data_gen.match import says_next
from toolformer.data_gen.records import Document

Undecided = Mapping[str, frozenset[int]]
"""For a text, the characters before which such calls stood."""


def undecided(folders: Iterable[AnnotatedFolder], documents: Iterable[Document]) -> Undecided:
    """The places in the kept texts of the folders, and in these documents where they were annotated whole."""
    texts = {one.id: one.text for one in documents}
    places: dict[str, set[int]] = defaultdict(set)
    for folder in folders:
        texts |= {one.id: one.text for one in folder.kept()}
        for call in folder.rejected():
            if says_what_follows(call):
                places[call.id].add(call.start)
    return {texts[name]: frozenset(found) for name, found in places.items() if name in texts}


def says_what_follows(dropped: RejectedCall) -> bool:
    """Whether a dropped call's result is what the text says next."""
    return dropped.result is not None and says_next(dropped.result, dropped.near[dropped.at :])
