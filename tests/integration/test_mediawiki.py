"""WikiSearch against a real MediaWiki: search, redirects, missing pages, other scripts, markup."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.mediawiki import Page, running
from toolformer import Toolbox, ToolError
from toolformer.tools.wiki_search import CHARS, WikiSearch
from toolformer.tools.wikipedia import Wikipedia

pytestmark = pytest.mark.needs("mediawiki")

PAGES = [
    Page(
        "The Hobbit",
        "'''''The Hobbit''''' is a novel by [[J. R. R. Tolkien]], published in 1937.\n\n"
        "== Plot ==\nThe burglar Baggins travels to a lonely mountain.",
    ),
    Page("There and Back Again", redirect="The Hobbit"),
    Page("Hobbit, The", redirect="The Hobbit"),
    Page("J. R. R. Tolkien", "'''John Ronald Reuel Tolkien''' was a philologist at Oxford."),
    Page("Oak", "An '''oak''' is a tree in the genus Quercus. It bears [[acorn]]s. " + "There are many of them. " * 40),
    Page("Tree ring", "== Only a section ==\nThe dendrochronology of wood."),
    Page("Wood dating", "'''Wood dating''' is what dendrochronology does."),
    Page("東京", "'''東京'''は日本の首都である。江戸と呼ばれていた。"),
    Page("Москва", "'''Москва''' — столица России."),
    Page("Ἀθῆναι", "Αἱ '''Ἀθῆναι''' πόλις ἐστίν."),
    Page("القاهرة", "'''القاهرة''' هي عاصمة مصر."),
    Page("AT&T (company)", "'''AT&T''' sells <nowiki><API></nowiki> & telephones."),
    Page("Markup", "A call is written <nowiki>[Calculator(1 + 1)]</nowiki> quizzically."),
    *(Page(f"Station {number}", f"'''Station {number}''' is a railway station.") for number in range(1, 25)),
]

HOBBIT = "The Hobbit: The Hobbit is a novel by J. R. R. Tolkien, published in 1937."


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("mediawiki"), PAGES) as url:
        yield url


@pytest.fixture(scope="session")
def source(endpoint: str) -> Wikipedia:
    return Wikipedia(contact="tests@example.org", endpoint=endpoint, interval=0.0)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("novel 1937", HOBBIT),
        ("lonely mountain", HOBBIT),  # in a section
        ("philologist", "J. R. R. Tolkien: John Ronald Reuel Tolkien was a philologist at Oxford."),
        ("There and Back Again", HOBBIT),
        ("hobbit, The", HOBBIT),
        ("東京", "東京: 東京は日本の首都である。江戸と呼ばれていた。"),
        ("столица", "Москва: Москва — столица России."),
        ("Ἀθῆναι", "Ἀθῆναι: Αἱ Ἀθῆναι πόλις ἐστίν."),
        ("القاهرة", "القاهرة: القاهرة هي عاصمة مصر."),
        ("telephones", "AT&T (company): AT&T sells <API> & telephones."),
        ("quizzically", "Markup: A call is written [Calculator(1 + 1)] quizzically."),
    ],
)
def test_what_a_query_finds(source: Wikipedia, query: str, answer: str) -> None:
    assert Toolbox([WikiSearch(source)]).run("WikiSearch", query) == answer


@pytest.mark.parametrize(
    "query", ["Nowhere", "zzyzx qqq", "de:Oak", "Special:Version", "a|b", "C++", "<script>", "'''", "~~~~"]
)
def test_what_is_not_there(source: Wikipedia, query: str) -> None:
    with pytest.raises(ToolError, match="WikiSearch: nothing found for"):
        Toolbox([WikiSearch(source)]).run("WikiSearch", query)


def test_a_long_page_is_cut_at_a_sentence(source: Wikipedia) -> None:
    result = WikiSearch(source)("acorn")
    assert result.startswith("Oak: An oak is a tree in the genus Quercus. It bears acorns. There are many of them.")
    assert CHARS // 2 < len(result) <= CHARS
    assert result.endswith("of them.")


def test_a_page_without_an_introduction_gives_its_place_to_the_next(source: Wikipedia) -> None:
    assert [passage.title for passage in source.search("dendrochronology", 1)] == ["Wood dating"]


def test_several_passages(source: Wikipedia) -> None:
    found = source.search("railway station", 3)
    assert len({passage.title for passage in found}) == 3
    assert all(passage.text == f"{passage.title} is a railway station." for passage in found)


def test_more_passages_than_one_answer_holds_introductions_of(source: Wikipedia) -> None:
    found = source.search("railway station", 23)
    assert len({passage.title for passage in found}) == 23
    assert all(passage.text == f"{passage.title} is a railway station." for passage in found)


def test_the_order_is_that_of_the_wikis_own_search(source: Wikipedia, endpoint: str) -> None:
    asked = {"action": "query", "list": "search", "srwhat": "text", "srsearch": "railway station", "format": "json"}
    listed = httpx.get(endpoint, params=asked).json()["query"]["search"][:7]
    assert [passage.title for passage in source.search("railway station", 7)] == [hit["title"] for hit in listed]


def test_what_the_wiki_refuses_is_its_own_words(source: Wikipedia) -> None:
    with pytest.raises(ToolError, match='the wiki says: The "gsrsearch" parameter must be set'):
        source.search("", 1)


def test_several_threads_at_once(source: Wikipedia) -> None:
    found: dict[int, str] = {}

    def look_up(number: int) -> None:
        found[number] = WikiSearch(source)(f'"Station {number}"')

    threads = [threading.Thread(target=look_up, args=(number,)) for number in range(11, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"Station {number}: Station {number} is a railway station." for number in range(11, 15)}


def test_an_endpoint_may_be_named_instead_of_numbered(endpoint: str) -> None:
    """Where a name has several addresses, each is tried: the wiki is not at localhost's IPv6 one."""
    source = Wikipedia(contact="tests@example.org", endpoint=endpoint.replace("127.0.0.1", "localhost"), interval=0.0)
    assert WikiSearch(source)("novel 1937") == HOBBIT
