"""Where a text was repeated with calls in it: which calls are new, and where in the text they stand.

Who repeats a text may change it, and then nobody knows any more what its calls belong to: that is refused. Only white
space may differ, since nothing of the reply but its calls is ever used.
"""

from toolformer.calls import Call, CallSyntax


class ChangedTextError(Exception):
    """The reply is not the text with calls."""


def new_calls(reply: str, text: str) -> list[tuple[Call, int]]:
    """The calls that the reply has and the text has not, each with the end of what it stands behind in the text.

    A call that the text itself holds is text like any other. Raises ChangedTextError where the two part.
    """
    calls: list[tuple[Call, int]] = []
    place = end = 0
    for found in CallSyntax.TEXT.find(reply):
        place = _follow(text, place, reply[end : found.start])
        end = found.end
        try:
            place = _follow(text, place, reply[found.start : found.end])
        except ChangedTextError:
            calls.append((Call(found.call.tool, found.call.input), place))
    place = _follow(text, place, reply[end:])
    if rest := text[place:].strip():
        raise ChangedTextError(f"the reply ends before {_shown(rest)}")
    return calls


def _follow(text: str, place: int, piece: str) -> int:
    """Where the text is when it has said the piece from `place` on, white space aside."""
    for at, character in enumerate(piece):
        if character.isspace():
            continue
        while place < len(text) and text[place].isspace():
            place += 1
        if place == len(text):
            raise ChangedTextError(f"the reply goes on behind the text, with {_shown(piece[at:])}")
        if text[place] != character:
            raise ChangedTextError(f"the reply changes the text: {_shown(text[place:])} became {_shown(piece[at:])}")
        place += 1
    return place


def _shown(text: str) -> str:
    line = " ".join(text[:80].split())
    return repr(line if len(line) <= 30 else line[:30] + "…")
