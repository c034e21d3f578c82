"""Wikipedia itself as a Source, through the wikipedia-api package; or any MediaWiki with the TextExtracts extension.

wikipedia-api writes the requests. Each goes through polite_http.py, and each answer is checked and read here: the
retries of wikipedia-api know no deadline, it trusts what it reads, and of several pages it reads the first.

A search is one request: the hits and their introductions come in one answer (generator=search, which every wiki knows
that can be searched). Only where no text fits, or an answer has no room for all introductions, there are more.
"""

import json
import os
import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
import wikipediaapi

from toolformer.errors import ConfigError, ToolError, ToolUnavailable
from toolformer.text_file import storable
from toolformer.tools.passages import Passage
from toolformer.tools.polite_http import fetch
from toolformer.tools.safe_http import Deadline, address
from toolformer.version import __version__

CONTACT_VARIABLE = "TOOLFORMER_CONTACT"

LONGEST_QUERY = 300
"""In characters: Wikipedia refuses longer ones, and no title is longer."""

SPARE = 2
"""How many more hits than asked for are looked at, in case some have no text."""

_NO_TITLE = set("#<>[]{}|")  # a page's title has none of these

_BUSY = ("maxlag", "ratelimited")
"""The codes of errors that say "ask again", not "no"."""


@dataclass(frozen=True)
class _Page:
    """A page as an answer tells of it."""

    title: str
    extract: str | None
    """Empty for a page that is not there or has no introduction; None where the answer does not say."""
    index: int
    """Which hit of a search it is."""


@dataclass
class _Search:
    """A search that goes on, for the transport of the thread that it goes on in."""

    deadline: Deadline
    pages: list[_Page] = field(default_factory=list)
    """Those of the latest answer, the best hit first."""


_search: ContextVar[_Search] = ContextVar("search")


class Wikipedia:
    """The live encyclopedia in one language. Safe to use from several threads, which share its pace."""

    def __init__(
        self,
        language: str = "en",
        *,
        contact: str | None = None,
        endpoint: str | None = None,
        interval: float = 1.0,
        seconds: float = 15.0,
    ) -> None:
        """`contact` (or TOOLFORMER_CONTACT) is an e-mail address or a URL of whoever runs this.

        `endpoint` is the api.php of another MediaWiki, which may then be at a private address. Requests to one host are
        `interval` seconds apart, over all threads. A search takes `seconds` at most, and the wait for its turns.
        """
        if not re.fullmatch(r"[a-z]{2,12}(-[a-z]{2,12}){0,3}", language):
            raise ConfigError(f"{language!r} is no language of Wikipedia: give what its address begins with, like 'en'")
        url = _checked_endpoint(endpoint or f"https://{language}.wikipedia.org/w/api.php")
        self.identity = str(url)
        self._seconds = seconds
        self._wiki = wikipediaapi.Wikipedia(
            user_agent=f"toolformer/{__version__} ({_checked_contact(contact)})",
            language=language,
            max_retries=0,
            transport=_Transport(url, interval, private=endpoint is not None),
        )

    def search(self, query: str, limit: int) -> list[Passage]:
        """The introductions of the pages that fit best; if none fits, of the page with that very title."""
        query = " ".join(storable(query).split())
        if len(query) > LONGEST_QUERY:
            raise ToolError(f"the query has {len(query):,} characters; {LONGEST_QUERY} are allowed")
        _search.set(_Search(Deadline(self._seconds)))
        pages = self._asked(
            "", generator="search", gsrsearch=query, gsrwhat="text", gsrnamespace=0, gsrlimit=limit + SPARE
        )
        if not pages and not _NO_TITLE & set(query):
            pages = self._asked(query)
        found: dict[str, Passage] = {}
        for page in pages[: limit + SPARE]:
            whole = self._asked_alone(page) if page.extract is None else page
            if whole.extract:
                found.setdefault(whole.title, Passage(whole.title, whole.extract))
            if len(found) == limit:
                break
        return list(found.values())

    def _asked(self, title: str, **more: str | int) -> list[_Page]:
        """The pages that an answer holds: of that title, or those that a generator finds, which takes no title."""
        self._wiki.extracts(self._wiki.page(title), exintro=1, exlimit="max", **more)
        return _search.get().pages

    def _asked_alone(self, page: _Page) -> _Page:
        """The same page from an answer of its own, which has room for any introduction."""
        for alone in self._asked(page.title):
            if alone.extract is not None:
                return alone
        raise ToolError("the wiki gives no extracts of its pages: it needs the TextExtracts extension")


def _checked_contact(contact: str | None) -> str:
    contact = contact or os.environ.get(CONTACT_VARIABLE, "")
    if not re.fullmatch(r"[ -~]*(\w@\w|https?://\w)[ -~]*", contact, re.ASCII):
        wrong = f"{contact[:60]!r} is no contact" if contact else "Wikipedia wants to know who is asking"
        raise ConfigError(
            f"{wrong}: give an e-mail address or a URL, as contact='you@example.org' or in {CONTACT_VARIABLE} "
            "(https://foundation.wikimedia.org/wiki/Policy:User-Agent_policy)"
        )
    return contact


def _checked_endpoint(endpoint: str) -> httpx.URL:
    try:
        url = address(endpoint)
        if url.userinfo or url.query or url.fragment:
            raise ValueError("a password, a query or a fragment has no place there")
    except ValueError as error:
        raise ConfigError(
            f"{endpoint[:100]!r} is no endpoint ({error}): give the URL of an api.php, like http://localhost:8080/api.php"
        ) from None
    return url


class _Transport(httpx.BaseTransport):
    """What wikipedia-api sends its requests through: to one endpoint, whatever host they name."""

    def __init__(self, endpoint: httpx.URL, interval: float, *, private: bool) -> None:
        self._endpoint = endpoint
        self._interval = interval
        self._private = private

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        search = _search.get()
        body = fetch(
            str(self._endpoint.copy_with(query=request.url.query)),
            {"User-Agent": request.headers["User-Agent"], "Accept": "application/json"},
            deadline=search.deadline,
            interval=self._interval,
            private=self._private,
        )
        search.pages = _pages(body)
        return httpx.Response(200, json={"query": {"pages": {}}})  # of which wikipedia-api has nothing to read


def _pages(body: bytes) -> list[_Page]:
    """The pages of an answer, in the order of the hits, each part of the type it must have."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise ToolError(f"the wiki's answer is no JSON; it begins {body[:60].decode('utf-8', 'replace')!r}") from None
    if isinstance(answer, dict) and "error" in answer:
        error = _part(answer, "error", dict)
        kind = ToolUnavailable if error.get("code") in _BUSY else ToolError
        raise kind(f"the wiki says: {_part(error, 'info', str)[:300]}")
    if isinstance(answer, dict) and "batchcomplete" in answer and "query" not in answer:
        return []  # a search without hits
    pages = _part(_part(answer, "query", dict), "pages", dict, {})
    return sorted(map(_page, pages.values()), key=lambda page: page.index)


def _page(page: object) -> _Page:
    title = _title(page)
    silent = isinstance(page, dict) and "pageid" in page and "extract" not in page
    return _Page(title, None if silent else _part(page, "extract", str, ""), _part(page, "index", int, 0))


def _title(item: object) -> str:
    title = _part(item, "title", str)
    if len(title) > LONGEST_QUERY:
        raise ToolError(f"the wiki's answer holds a title of {len(title):,} characters")
    return title


T = TypeVar("T")


def _part(whole: object, name: str, kind: type[T], default: T | None = None) -> T:
    """What an object of JSON holds under a name; a ToolError if that is missing or of another type."""
    part = whole.get(name, default) if isinstance(whole, dict) else None
    if isinstance(part, str):
        part = storable(part)
    if not isinstance(part, kind):
        raise ToolError(f"the wiki's answer is no answer of MediaWiki: {name!r} is missing or no {kind.__name__}")
    return part
