"""The page to chat on and the page that compares, as a person meets them."""

import re
import threading
from collections.abc import Iterator

import pytest

from tests.browser import Browser, chromium
from tests.serving import ARROW, CLOSE, OPEN, Told, says, served, until

pytestmark = pytest.mark.needs("chromium")

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
ASKED = f"2 + 2 is {EVIL} "
SAID = "4, <img src=x onerror=document.title=0>."
WHOLE = f"{ASKED}{OPEN} Sum(2 + 2){ARROW} {EVIL}{CLOSE}{SAID}"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(says(WHOLE, tools=[Told(lambda text: EVIL)])) as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as one:
        one.size(1000, 800)
        yield one


def shown(browser: Browser, selector: str) -> list[str]:
    return list(browser.run(f"[...document.querySelectorAll('{selector}')].map((one) => one.textContent)"))


def ask(browser: Browser, url: str, text: str) -> None:
    browser.visit(url)
    until(lambda: shown(browser, "#model") == ["m"])
    browser.mouse("#text", click=True)
    browser.type(text)
    browser.key("Enter")
    until(lambda: shown(browser, ".assistant") != [] and shown(browser, "#status") == [""])


def test_an_answer_has_its_call_as_a_card_and_nothing_in_it_is_markup(browser: Browser, url: str) -> None:
    ask(browser, url, ASKED)
    (card,) = shown(browser, ".call")
    assert re.fullmatch(re.escape(f"Sum(2 + 2) → {EVIL}") + r"rank 1, probability 0\.9\d, \d+\.\d\d s", card)
    assert shown(browser, ".user") == [ASKED]
    assert shown(browser, ".assistant") == [f"{card}{SAID}"]
    assert shown(browser, "img, main script") == []
    assert browser.run("document.title") == "m"
    assert not browser.said


def test_without_tools_no_call_is_made(browser: Browser, url: str) -> None:
    browser.visit(url)
    until(lambda: shown(browser, "#model") == ["m"])
    browser.mouse("#tools-on", click=True)
    browser.mouse("#text", click=True)
    browser.type("no text of this begins so")
    browser.key("Enter")
    until(lambda: "writing" not in shown(browser, "#status")[0])
    assert shown(browser, ".call") == []


def test_cleared_while_it_writes_a_conversation_begins_anew(browser: Browser) -> None:
    go = threading.Event()

    def slow(text: str) -> str:
        return "4" if go.wait(20) else ""

    with served(says(f"a b{OPEN} Sum(2 + 2){ARROW} 4{CLOSE}4.", "c d", tools=[Told(slow)])) as url:
        browser.visit(url)
        until(lambda: shown(browser, "#model") == ["m"])
        browser.mouse("#text", click=True)
        browser.type("a ")
        browser.key("Enter")
        until(lambda: shown(browser, ".assistant") == ["b"])
        browser.mouse("#clear", click=True)
        go.set()
        until(lambda: shown(browser, "#status") == ["stopped"])
        browser.mouse("#text", click=True)
        browser.type("c ")
        browser.key("Enter")
        until(lambda: shown(browser, "#status") not in (["stopped"], ["writing …"]))
        assert shown(browser, "#status") == [""]
        assert shown(browser, ".turn") == ["c ", "d"]


def test_what_cannot_be_copied_is_said(browser: Browser, url: str) -> None:
    browser.visit(url)
    until(lambda: shown(browser, "#model") == ["m"])
    browser.run("delete Navigator.prototype.clipboard")
    browser.mouse("#copy", click=True)
    until(lambda: "Save writes a file" in shown(browser, "#status")[0])
    assert not browser.said


def test_an_example_is_put_where_it_can_be_sent(browser: Browser, url: str) -> None:
    browser.visit(url)
    browser.mouse("#examples button", click=True)
    assert browser.run("text.value").startswith("There are 8 boxes")
    assert browser.run("document.activeElement.id") == "text"


def test_everything_has_a_name_and_can_be_reached_by_the_keyboard(browser: Browser, url: str) -> None:
    browser.visit(url)
    names = "[...document.querySelectorAll('input, textarea, button')].map((one) => one.labels?.[0]?.textContent "
    assert all(name.strip() for name in browser.run(names + "|| one.textContent)"))
    browser.mouse("h1", click=True)
    reached = []
    for _ in range(12):
        browser.key("Tab")
        reached.append(browser.run("document.activeElement.id || document.activeElement.tagName"))
    assert {"k", "tools-on", "text", "send", "BUTTON", "SUMMARY"} <= {*reached}


def test_two_answers_to_one_text_stand_side_by_side(browser: Browser, url: str) -> None:
    browser.visit(f"{url}/compare")
    until(lambda: shown(browser, "#model") == ["m"])
    browser.mouse("#text", click=True)
    browser.type(ASKED)
    browser.key("Enter")
    until(lambda: len(shown(browser, ".pair .turn")) == 2 and shown(browser, "#status") == [""])
    without, with_calls = shown(browser, ".pair .turn")
    (card,) = shown(browser, ".call")
    assert without.startswith("k = 0, no calls")
    assert "Sum" not in without
    assert with_calls == f"k = 10{card}{SAID}"
    left, right = browser.run(
        "[...document.querySelectorAll('.pair .turn')].map((one) => one.getBoundingClientRect().x)"
    )
    assert left < right
    assert shown(browser, "img, main script") == []
    assert not browser.said


@pytest.mark.parametrize("dark", [True, False])
def test_it_fits_a_telephone(browser: Browser, url: str, dark: bool) -> None:
    browser.size(360, 640, dark=dark)
    ask(browser, url, ASKED)
    assert browser.run("document.documentElement.scrollWidth") <= 360
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(22, 24, 29)" if dark else "rgb(255, 255, 255)")
    browser.size(1000, 800)


@pytest.mark.parametrize("page", ["", "compare"])
def test_nothing_comes_from_elsewhere(browser: Browser, url: str, page: str) -> None:
    browser.visit(f"{url}/{page}")
    until(lambda: shown(browser, "#model") == ["m"])
    loaded = browser.run("performance.getEntriesByType('resource').map((one) => one.name)")
    assert {name.removeprefix(url) for name in loaded} == {
        "/page.css",
        "/page.js",
        f"/{page or 'chat'}.js",
        "/v1/tools",
    }
    blocked = browser.run("fetch('data:,x').then(() => 'loaded', () => 'blocked')")
    assert blocked == "blocked"
