"""Questions that the first sentences of a Wikipedia page answer: each a pattern and the ways to ask for what it finds.

They are simple on purpose: a pattern that is in doubt finds nothing. None of them was made for, or tried on, a question
of a benchmark.
"""

import re
from dataclasses import dataclass

_WORD = r"(?:[A-Z][\w'’-]+|[A-Z]\.)"
_NAME = (
    rf"(?P<a>{_WORD}(?: (?:(?:de|van|von|da|del|la|le|of|the) )?{_WORD})*)(?=[,.;)]| (?:and|in|on|for|at|as|with)\b|$)"
)
_DATE = r"(?:[A-Z][a-z]+ \d{1,2}, \d{4}|\d{1,2} [A-Z][a-z]+ \d{4})"
_YEAR = r"(?:(?:[A-Z][a-z]+ )?(?:\d{1,2},? )?(?:[A-Z][a-z]+ )?)(?P<a>\d{4})"
_WORK = (
    "actor|actress|politician|singer|writer|painter|director|composer|poet|journalist|historian|musician|author|"
    "footballer|lawyer|physicist|wrestler|boxer|cyclist|swimmer|rapper|philosopher|bishop|architect|engineer"
)
_FROM = (
    "American|British|English|French|German|Italian|Canadian|Australian|Japanese|Indian|Dutch|Swedish|Norwegian|"
    "Polish|Russian|Spanish|Irish|Scottish|Danish|Brazilian|Austrian|Finnish|Belgian|Mexican|Chinese|Swiss|Hungarian|"
    "Greek"
)
_TOWN = "village|town|city|commune|municipality|borough|township"
_ARTIST = "band|group|singer|rapper|duo|musician|artist|singer-songwriter"
ANYTHING = "."
"""Of what a passage can say in so many words that nobody can tell whether it does: it is asked where it is answered."""


@dataclass(frozen=True)
class Template:
    """One thing to ask of a page."""

    name: str
    pattern: re.Pattern[str]
    """What it finds as `a` is the answer."""
    wordings: tuple[str, ...]
    """Ways to ask, `{x}` being the page's title."""
    about: str
    """Beginnings of words of which none may stand in a passage that is said not to answer."""
    kind: str
    """Which other pages it could be asked of: person, work or place."""


def _template(name: str, kind: str, pattern: str, about: str, *wordings: str) -> Template:
    return Template(name, re.compile(pattern), wordings, about, kind)


TEMPLATES = (
    _template(
        "birth year",
        "person",
        rf"\([^()]{{0,60}}?\b(?:born )?{_YEAR}(?: ?[–-] ?[^()]{{0,40}}\d{{4}})?\) (?:is|was)",
        r"born|\d{4}",
        "In what year was {x} born?",
        "What is the birth year of {x}?",
    ),
    _template(
        "birth date",
        "person",
        rf"\([^()]{{0,40}}?\b(?:born )?(?P<a>{_DATE})",
        r"born|\d{4}",
        "When was {x} born?",
        "On what date was {x} born?",
    ),
    _template(
        "death year",
        "person",
        rf"\([^()]{{0,60}}\d{{4}} ?[–-] ?{_YEAR}\)",
        "died|death|killed|late",
        "In what year did {x} die?",
        "What year did {x} pass away?",
    ),
    _template(
        "work",
        "person",
        rf"\) (?:is|was) an? (?:\w+ )?(?:{_FROM}) (?:former |retired |professional )?(?P<a>(?:[a-z]+ )?(?:{_WORK}))\b",
        ANYTHING,
        "What is {x}'s occupation?",
        "What did {x} do for a living?",
    ),
    _template(
        "nationality",
        "person",
        rf"\) (?:is|was) an? (?:\w+ )?(?P<a>{_FROM})\b",
        ANYTHING,
        "What is the nationality of {x}?",
        "What nationality was {x}?",
    ),
    _template(
        "place",
        "place",
        rf"is an? (?:[\w-]+ ){{0,4}}(?:{_TOWN}) in (?:the )?{_NAME}",
        ANYTHING,
        "Where is {x}?",
        "Where can one find {x}?",
    ),
    _template(
        "country",
        "place",
        rf"(?:{_TOWN}) [^.]{{0,80}}, {_NAME}\.",
        ANYTHING,
        "In which country is {x}?",
        "What country is {x} located in?",
    ),
    _template(
        "population",
        "place",
        r"population (?:was|of|is) (?P<a>\d[\d,]*\d)",
        "population|inhabitants|people",
        "What is the population of {x}?",
        "How many people live in {x}?",
    ),
    _template(
        "director", "work", rf"directed by {_NAME}", "direct", "Who directed {x}?", "Who was the director of {x}?"
    ),
    _template(
        "writer",
        "work",
        rf"(?:novel|book|story|play|written)(?: written)? by {_NAME}",
        "writ|wrote|by|author",
        "Who wrote {x}?",
        "Who is the author of {x}?",
    ),
    _template(
        "artist",
        "work",
        rf"(?:album|song|single|EP) (?:by|from) (?:the )?(?:[\w-]+ ){{0,4}}?(?:{_ARTIST}) {_NAME}",
        "by|band|sing",
        "Who recorded {x}?",
        "Which artist is {x} by?",
    ),
    _template(
        "release",
        "work",
        rf"released (?:on|in) {_YEAR}",
        r"releas|\d{4}",
        "In what year was {x} released?",
        "When did {x} come out?",
    ),
    _template(
        "founding",
        "place",
        rf"(?:founded|established|formed) in {_YEAR}",
        "found|establish|form",
        "In what year was {x} founded?",
        "When was {x} established?",
    ),
    _template(
        "seat",
        "place",
        rf"(?:headquartered|based) in {_NAME}",
        ANYTHING,
        "Where is {x} based?",
        "Where are the headquarters of {x}?",
    ),
)
"""What is learnt, and measured on pages that are not."""
NEW = (
    _template("birthplace", "person", rf"[Bb]orn in {_NAME}", "born", "Where was {x} born?"),
    _template("developer", "work", rf"developed by {_NAME}", "develop", "Who developed {x}?"),
    _template("publisher", "work", rf"published by {_NAME}", "publish", "Who published {x}?"),
    _template("player", "work", rf"starring {_NAME}", "star", "Who stars in {x}?"),
)
"""What is only measured: questions of kinds that the reader has never been asked."""
