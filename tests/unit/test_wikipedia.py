"""The live source against a loopback server that answers like MediaWiki, or not at all like it."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bounds import bounded
from tests.misbehaving_server import Behaviour, Client, MisbehavingServer, answer, repeat, serving
from toolformer import ConfigError, ResultMemory, Toolbox, ToolError, ToolUnavailable
from toolformer.tools import safe_http
from toolformer.tools.passages import Passage, Source
from toolformer.tools.wiki_search import WikiSearch
from toolformer.tools.wikipedia import Wikipedia

CONTACT = "tests@example.org"


def live(server: MisbehavingServer, *, seconds: float = 5.0) -> Wikipedia:
    return Wikipedia(contact=CONTACT, endpoint=server.url, interval=0.0, seconds=seconds)


def json_answer(content: object) -> Behaviour:
    return answer(json.dumps(content).encode(), Content_Type="application/json")


def hits(*found: tuple[str, str | None]) -> Behaviour:
    """What a search finds, the best hit first: titles with their introductions; the answer has them in any order."""
    pages: list[dict[str, object]] = [
        {"pageid": 100 - place, "ns": 0, "title": title, "index": place, "extract": extract}
        for place, (title, extract) in enumerate(found, 1)
    ]
    for page in pages:
        if page["extract"] is None:
            del page["extract"]
    query = {"query": {"pages": {str(page["pageid"]): page for page in reversed(pages)}}} if pages else {}
    return json_answer({"batchcomplete": "", **query})


def page(title: str, extract: str) -> Behaviour:
    return json_answer({"query": {"pages": {"7": {"pageid": 7, "ns": 0, "title": title, "extract": extract}}}})


OAK = ("Oak", "A tree.")
MISSING = json_answer({"query": {"pages": {"-1": {"ns": 0, "title": "Whatever", "missing": ""}}}})


def parameters(request: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.split(" ")[1]).query)


# What it asks and what it makes of the answers


def test_a_search_is_one_request() -> None:
    with serving(hits(("Oak", "An oak is a tree."), ("Elm", "An elm is one, too."))) as server:
        source = live(server)
        assert source.search("  trees\n ", 2) == [
            Passage("Oak", "An oak is a tree."),
            Passage("Elm", "An elm is one, too."),
        ]
        assert server.connections == 1
    asked = parameters(server.requests[0])
    assert (asked["generator"], asked["gsrsearch"], asked["gsrwhat"]) == (["search"], ["trees"], ["text"])
    assert (asked["gsrnamespace"], asked["gsrlimit"], asked["redirects"]) == (["0"], ["4"], ["1"])
    assert (asked["prop"], asked["exintro"], asked["explaintext"], asked["exlimit"]) == (
        ["extracts"], ["1"], ["1"], ["max"],
    )  # fmt: skip
    assert isinstance(source, Source)


def test_pages_without_text_are_passed_over_and_redirects_to_one_page_are_one_passage() -> None:
    with serving(hits(("Empty", ""), OAK, OAK, ("Elm", "A tree."), ("Ash", "A tree."))) as server:
        assert [passage.title for passage in live(server).search("trees", 2)] == ["Oak", "Elm"]
        assert server.connections == 1


def test_an_introduction_that_an_answer_has_no_room_for_is_asked_for_alone() -> None:
    with serving(hits(("Elms", None), OAK), page("Elm", "It is long.")) as server:
        assert live(server).search("trees", 2) == [Passage("Elm", "It is long."), Passage(*OAK)]
    asked = parameters(server.requests[1])
    assert (asked["titles"], asked["exintro"], "generator" in asked) == (["Elms"], ["1"], False)


def test_a_wiki_without_extracts_says_what_it_needs() -> None:
    with serving(hits(("Oak", None))) as server:  # noqa: SIM117
        with pytest.raises(ToolError, match="it needs the TextExtracts extension"):
            live(server).search("trees", 1)


@pytest.mark.parametrize(("code", "kind"), [("ratelimited", ToolUnavailable), ("badvalue", ToolError)])
def test_a_wiki_that_says_later_is_not_one_that_says_no(code: str, kind: type[ToolError]) -> None:
    with serving(json_answer({"error": {"code": code, "info": "You did this too often."}})) as server:
        with pytest.raises(ToolError, match=r"the wiki says: You did this too often\.") as caught:
            live(server).search("trees", 1)
        assert type(caught.value) is kind


def test_where_no_text_fits_the_page_of_that_title_is_taken() -> None:
    with serving(hits(), page("Quercus", "An oak.")) as server:
        assert live(server).search("quercus", 3) == [Passage("Quercus", "An oak.")]
    assert parameters(server.requests[1])["titles"] == ["quercus"]


def test_nothing_found() -> None:
    with serving(hits(), MISSING) as server:
        assert live(server).search("zzz", 3) == []


def test_what_can_be_no_title_is_not_asked_for() -> None:
    with serving(hits()) as server:
        assert live(server).search("a|b", 3) == []
        assert server.connections == 1


@pytest.mark.parametrize("query", ["\ud800 lone", "nul \0 byte", "&format=xml#x", "東京 👍 e\u0301", "a" * 300])
def test_any_query_arrives_as_it_is(query: str) -> None:
    with serving(hits(OAK)) as server:
        live(server).search(query, 1)
    assert parameters(server.requests[0])["gsrsearch"] == [query.replace("\ud800", "\ufffd")]
    assert parameters(server.requests[0])["format"] == ["json"]


def test_a_query_too_long_is_never_sent() -> None:
    with serving(hits()) as server:
        with pytest.raises(ToolError, match="301 characters; 300 are allowed"):
            live(server).search("a" * 301, 1)
        assert server.connections == 0


# Who asks


def test_the_contact_is_in_every_request() -> None:
    with serving(hits(OAK)) as server:
        live(server).search("trees", 1)
    for request in server.requests:
        assert re.search(r"User-Agent: toolformer/[\d.]+ \(tests@example\.org\) Wikipedia-API/", request)


def test_the_contact_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLFORMER_CONTACT", "https://example.org/bot")
    with serving(hits(), MISSING) as server:
        Wikipedia(endpoint=server.url, interval=0).search("trees", 1)
    assert "(https://example.org/bot)" in server.requests[0]


@pytest.mark.parametrize("contact", [None, "", "me", "a@b\r\nX-Evil: 1", "jörg@example.org"])
def test_without_a_contact_there_is_no_source(monkeypatch: pytest.MonkeyPatch, contact: str | None) -> None:
    monkeypatch.delenv("TOOLFORMER_CONTACT", raising=False)
    with pytest.raises(ConfigError, match=r"contact='you@example\.org' or in TOOLFORMER_CONTACT"):
        Wikipedia(contact=contact)


@pytest.mark.parametrize("language", ["", "EN", "en.evil.example/", "en@evil", "../en", "e"])
def test_a_language_is_no_way_to_another_host(language: str) -> None:
    with pytest.raises(ConfigError, match="no language of Wikipedia"):
        Wikipedia(language, contact=CONTACT)


@pytest.mark.parametrize(
    "endpoint",
    ["ftp://a/", "localhost", "http://", "http://u:p@a/", "http://a/?b", "http://a/#b", "http://[::", "\0"],
)
def test_an_endpoint_is_a_plain_url(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"give the URL of an api\.php"):
        Wikipedia(contact=CONTACT, endpoint=endpoint)


def test_sources_are_told_apart_by_what_they_ask() -> None:
    assert Wikipedia("de", contact=CONTACT).identity == "https://de.wikipedia.org/w/api.php"
    assert Wikipedia("zh-min-nan", contact=CONTACT).identity == "https://zh-min-nan.wikipedia.org/w/api.php"
    assert Wikipedia(contact=CONTACT, endpoint="http://a:8/api.php").identity == "http://a:8/api.php"


def test_wikipedia_itself_may_not_be_at_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an endpoint that the operator has named may."""
    monkeypatch.setattr(safe_http, "_addresses", lambda host, port, deadline: ["127.0.0.1"])
    with pytest.raises(ToolError, match=r"en\.wikipedia\.org is at 127\.0\.0\.1, which is no public address"):
        Wikipedia(contact=CONTACT).search("trees", 1)


# What it makes of a server that is no MediaWiki

SHAPES: list[object] = [
    [],
    "text",
    None,
    3,
    {},
    {"batchcomplete": "", "query": []},
    {"query": {"pages": {"7": "Oak"}}},
    {"query": {"pages": {"7": {}}}},
    {"query": {"pages": {"7": {"title": None}}}},
    {"query": {"pages": {"7": {"title": ["Oak"]}}}},
    {"query": {"pages": {"7": {"title": "x" * 100_000}}}},
    {"query": {"pages": {"7": {"title": "Oak", "index": "first"}}}},
    {"query": {"pages": []}},
    {"error": {"code": "maxlag", "info": "Waiting for a database server"}},
    {"error": "no"},
]


@pytest.mark.parametrize("content", SHAPES)
def test_an_answer_of_another_shape_is_an_error(content: object) -> None:
    with serving(json_answer(content)) as server, bounded(5, 4), pytest.raises(ToolError, match="^the wiki"):
        live(server).search("trees", 1)


@pytest.mark.parametrize(
    "content", [{"7": {"pageid": 7, "title": "Oak"}}, {"7": {"title": "Oak", "extract": 5}}, {"7": "Oak"}, {"7": {}}, 5]
)
def test_a_page_of_another_shape_is_an_error(content: object) -> None:
    with serving(hits(), json_answer({"query": {"pages": content}})) as server:  # noqa: SIM117
        with pytest.raises(ToolError, match="^the wiki"):
            live(server).search("trees", 1)


NO_JSON = {
    "html": b"<!DOCTYPE html><html><title>Wikimedia Error</title>",
    "nothing": b"",
    "latin-1": '{"query": "é"}'.encode("latin-1"),
    "too deep": b"[" * 500_000,
    "too deep objects": b'{"query":' * 90_000,
    "digits": b'{"query": ' + b"9" * 900_000 + b"}",
    "cut": b'{"query": {"pages": {',
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    with (
        serving(answer(body)) as server,
        bounded(5, 12),
        pytest.raises(ToolError, match="answer is no JSON"),
    ):
        live(server).search("trees", 1)


def test_a_megabyte_of_brackets_costs_no_more_than_that() -> None:
    body = b'{"query": {"pages": {"1": [' + b"[]," * 340_000 + b"[]]}}}"
    with serving(answer(body)) as server, bounded(20, 40), pytest.raises(ToolError, match="'title' is missing"):
        live(server).search("trees", 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["query", "pages", "title", "extract", "pageid", "index", "error", "info", "-1"]), inner
        )
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def any_server() -> Iterator[MisbehavingServer]:
    with serving(answer(b"")) as server:
        yield server


@pytest.fixture(scope="module")
def any_source(any_server: MisbehavingServer) -> Wikipedia:
    return live(any_server)


@settings(max_examples=100, deadline=None)
@given(pages=JSON, more=JSON)
def test_whatever_json_it_is_there_are_passages_or_an_error(
    any_server: MisbehavingServer, any_source: Wikipedia, pages: object, more: object
) -> None:
    behaviours = [json_answer(one) for one in ({"query": {"pages": pages}}, {"batchcomplete": more, "query": more})]
    any_server.behaviours[:] = behaviours
    any_server.connections = 0
    with suppress(ToolError):
        for passage in any_source.search("trees", 2):
            assert passage.title.encode()
            assert passage.text.encode()  # neither is empty or holds what cannot be written


# In a toolbox


def test_failures_are_not_remembered_and_answers_are(tmp_path: Path) -> None:
    with serving(answer(b"", "429 Too Many Requests", Retry_After="2"), hits(OAK)) as server:
        source = live(server, seconds=1.5)
        with Toolbox([WikiSearch(source)], memory=ResultMemory(tmp_path / "memory")) as toolbox:
            with pytest.raises(ToolUnavailable, match="WikiSearch: .* answers 429 .*; it may be asked again in 2 s"):
                toolbox.run("WikiSearch", "trees")
            time.sleep(2.0)
            assert toolbox.run("WikiSearch", "trees") == "Oak: A tree."
            assert toolbox.run("WikiSearch", "trees") == "Oak: A tree."
    assert server.connections == 2


def test_the_deadline_is_for_all_requests_of_a_call_together() -> None:
    slow = repeat(b"HTTP/1.1 200 OK\r\n", b"", 0.1)
    with serving(hits(), answer(b"", "503 X"), slow) as server:
        toolbox = Toolbox([WikiSearch(live(server, seconds=1.5))])
        with bounded(5, 4), pytest.raises(ToolUnavailable, match=r"WikiSearch: no answer within 1\.5 s"):
            toolbox.run("WikiSearch", "trees")
        assert server.connections == 3


def test_several_threads_get_their_own_answers() -> None:
    def behave(client: Client) -> None:
        (title,) = parameters(client.request)["gsrsearch"]
        hits((title, f"About {title}."))(client)

    answers: dict[str, list[Passage]] = {}
    with serving(behave) as server:
        # Their turns come later than the seconds of a call are over; waiting for them is not the call's time.
        source = Wikipedia(contact=CONTACT, endpoint=server.url, interval=0.4, seconds=1)
        names = [f"Tree{number}" for number in range(6)]

        def look_up(name: str) -> None:
            answers[name] = source.search(name, 1)

        threads = [threading.Thread(target=look_up, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {name: [Passage(name, f"About {name}.")] for name in names}
