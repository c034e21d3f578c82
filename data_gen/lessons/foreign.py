"""Whether a text holds words of another language between English ones: where a translation may help.

The paper asks a language classifier about every ten tokens; phrases in English text are often shorter than that, and
of a few words no classifier is sure. So ours, the Translate tool's, is asked only about words that look foreign: two
marked ones close together. A word is marked by a letter that English lacks, or as a frequent one of the languages that
are most often met within English text. Letters that are not Latin need no asking. Phrases in Indonesian, Swahili or
Latin are not found; a lesson for those needs another rule.
"""

import itertools
import re

from toolformer.errors import ToolError

SPAN = 10
"""How close two marked words must stand."""
MAX_ASKED = 20
"""Phrases of a text that the classifier is asked about."""
MAX_CHARS = 200_000
"""Characters of a text that are looked at."""

# Words that few other languages have, and words of others that English does not have.
_ENGLISH = frozenset(
    """
    the of and that with which this from they have you his their would were been it its there what your has had but she
    into than then them these through about after before between because could should other some only when where while
    how who said says means
    """.split()  # noqa: SIM905 - a list to be read
)
_FOREIGN = frozenset(
    """
    der das und ist nicht ich ein eine einen für dem zu sich wir wer wie auch
    les une dans que qui pas vous nous je ici elle pour avec
    los las por para más como pero muy che gli della chi sono va uma não
    het een niet och att det som ikke jeg
    """.split()  # noqa: SIM905 - a list to be read
)
_WORD = re.compile(r"[^\W\d_]++")
_OTHER_SCRIPT = re.compile("[\u0370-\u1dff\u2c00-\ua71f\uac00-\ud7ff\uf900-\ufaff]{4}")


def holds_foreign(text: str) -> bool:
    """Whether English words stand on both sides of foreign ones."""
    words = list(_WORD.finditer(text, 0, MAX_CHARS))
    english = [place for place, word in enumerate(words) if word.group().casefold() in _ENGLISH]
    if len(english) < 2:
        return False
    start, end = words[english[0]].end(), words[english[-1]].start()
    if _OTHER_SCRIPT.search(text, start, end):
        return True
    stretches = (words[one + 1 : other] for one, other in itertools.pairwise(english) if other - one > 2)
    phrases = itertools.islice(filter(None, map(_suspect, stretches)), MAX_ASKED)
    return any(_is_foreign(text[phrase[0].start() : phrase[-1].end()]) for phrase in phrases)


def _suspect(stretch: list[re.Match[str]]) -> list[re.Match[str]]:
    """Of some words without an English one: from a marked word to others close behind it; at least three."""
    marked = (place for place, word in enumerate(stretch) if _is_marked(word.group()))
    for first, second in itertools.pairwise(marked):
        if second - first < SPAN:
            near = stretch[first : second + SPAN]
            while not _is_marked(near[-1].group()):
                near.pop()
            if len(near) > 2:
                return near
    return []


def _is_marked(word: str) -> bool:
    """Whether it is a frequent foreign word, or has a letter that English lacks and is no name."""
    if word.istitle():
        return word.casefold() in _FOREIGN
    return word in _FOREIGN or (not word.isascii() and word[0].islower())


def _is_foreign(phrase: str) -> bool:
    """Whether the Translate tool would take it to be in another language than English."""
    from toolformer.tools.languages import identify, language

    try:
        identify(phrase, language("English"))
    except ToolError:
        return False
    return True
