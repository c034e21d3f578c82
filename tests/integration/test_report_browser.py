"""The report as a person meets it: opened in a browser, pointed at, searched and filtered."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.annotated_sample import call, kept, rejected, write_folder
from tests.browser import Browser, chromium
from toolformer.data_gen.corpus_report import write_report

pytestmark = pytest.mark.needs("chromium")

TEST = "Out of 1400 participants, 400 (or 29%) passed the test."
BORN = "Joe was born in Scranton, Pennsylvania, and is 78 now, twice 39."
LONG = "\u05d0" * 5000 + " in Poland."
RTL = "שלום לכולם, זה 4 בלבד"


def hostile(port: int) -> str:
    """A text that would run a script, load a picture, or turn the line around, if it could."""
    return (
        "<script>document.title='owned'</script></script><img src=x onerror=\"document.title='owned'\">"
        f"<img src=http://127.0.0.1:{port}/seen> <style>body{{display:none}}</style> \u202eevil\0 \ud800 🦊 2 + 2 = 4."
    )


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[int, list[str]]]:
    """A port of this machine, and the paths that were asked for there."""
    paths: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, paths
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, asked: tuple[int, list[str]]) -> Path:
    evil = hostile(asked[0])
    texts = [
        kept("test", TEST, call(TEST, "29%", "Calculator", "400 / 1400", "0.29", (3.0, 2.5, 1.75))),
        kept(
            "born",
            BORN,
            call(BORN, " Pennsylvania", "QA", "In which state is Scranton?", "Pennsylvania", (4.1, 4.3, 0.6)),
            call(BORN, " 39", "Calculator", "78 / 2", "39", (1.5, 1.6, 0.9)),
        ),
        kept("long", LONG, call(LONG, " Poland", "QA", "Where was she born?", "Poland")),
        kept("hebrew", RTL, call(RTL, "4", "Calculator", "2 + 2", "4")),
        kept(evil, evil, call(evil, " 4.", "Calculator", evil, evil), url="javascript:document.title='owned'"),
        *(kept(f"more {n}", TEST, call(TEST, "29%", "Calculator", "400 / 1400", "0.29")) for n in range(60)),
    ]
    others = [
        rejected("test", "400 (or 29%) passed", 8, "Calculator", "execute", "division by zero", input="400 / 0"),
        rejected("born", "born in Scranton,", 8, "QA", "sample", "malformed: Where was"),
        rejected(evil, evil[:80], 8, "QA", "execute", evil, input=evil, result=evil),
        rejected("born", "is 78 now", 3, "Calculator", "filter", "gains less than 0.5", input="39 + 39", result="78",
                 loss_plain=0.7, loss_result=0.5, gain=0.2),
    ]  # fmt: skip
    folder = write_folder(tmp_path_factory.mktemp("report") / "<b>run", texts, others, documents=1000)
    return write_report(folder)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as one:
        one.size(1280, 900)
        yield one


def view(browser: Browser, page: Path, **filters: str) -> None:
    """The page as it opens by a link with these filters."""
    browser.open(page, f"#{urlencode(filters)}")


def follow(browser: Browser, **filters: str) -> None:
    """The open page after its address has changed."""
    hash_ = f"#{urlencode(filters)}"
    browser.run(
        f"location.hash === {hash_!r} || new Promise(done => "
        f"{{ addEventListener('hashchange', done, {{once: true}}); location.hash = {hash_!r}; }})"
    )


def ids(browser: Browser) -> list[str]:
    found = browser.run("[...document.querySelectorAll('#list .id')].map(e => e.textContent)")
    assert isinstance(found, list)
    return found


def text(browser: Browser, selector: str) -> str:
    return str(browser.run(f"document.querySelector({selector!r}).innerText"))


def test_calls_stand_in_their_places(browser: Browser, page: Path) -> None:
    view(browser, page)
    assert text(browser, "#list .text") == (
        "Out of 1400 participants, 400 (or Calculator(400 / 1400) → 0.2929%) passed the test."
    )
    hues = "[...document.querySelectorAll('#list .card:nth-child(2) .call')].map(e => getComputedStyle(e).color)"
    qa, calculator = browser.run(hues)
    assert qa != calculator
    assert text(browser, "#totals").split("\n") == [
        "texts read", "1,000", "texts kept", "65", "calls kept", "66", "rejected", "4",
    ]  # fmt: skip
    assert browser.said == []


def test_losses_are_shown_to_mouse_and_keyboard(browser: Browser, page: Path) -> None:
    view(browser, page)
    assert not browser.run("document.querySelector('#tip').checkVisibility()")
    browser.mouse("#list .call")
    seen = text(browser, "#tip").split("\n")
    assert [line for line in seen if line] == [
        "Calculator", "gain 0.75", "without the call", "3.00", "with the call, no result", "2.50", "with its result",
        "1.75", "probability that a call opens here: 0.31",
    ]  # fmt: skip
    browser.key("Escape")
    assert not browser.run("document.querySelector('#tip').checkVisibility()")
    browser.run("document.querySelector('#list .call').focus()")
    browser.key("Tab")
    assert "gain 3.50" in text(browser, "#tip")
    assert browser.run("document.activeElement.getAttribute('aria-label')").startswith(
        "QA asked In which state is Scranton?, gain 3.50, loss without the call 4.10"
    )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"tool": "QA"}, ["born", "long"]),
        ({"gain": "2.65"}, ["born"]),
        ({"tool": "Calculator", "q": "twice"}, ["born"]),
        ({"tool": "Calculator", "q": "SCRANTON?", "gain": "1"}, []),
        ({"tab": "rejected"}, ["test", "born", "HOSTILE", "born"]),
        ({"tab": "rejected", "reason": "execute: division by zero"}, ["test"]),
        ({"tab": "rejected", "tool": "Calculator", "sort": "most"}, ["test", "born"]),
        ({"tab": "rejected", "gain": "0.1"}, ["born"]),
        ({"tab": "no tab", "tool": "no tool", "gain": "NaN", "sort": "x", "q": "twice"}, ["born"]),
    ],
)
def test_the_address_sets_the_filters(
    browser: Browser, page: Path, filters: dict[str, str], expected: list[str]
) -> None:
    follow(browser, **filters)
    assert ["HOSTILE" if "img" in name else name for name in ids(browser)] == expected


def test_a_link_presets_the_filters(browser: Browser, page: Path) -> None:
    view(browser, page, tab="rejected", tool="QA", q="malformed")
    assert ids(browser) == ["born"]
    assert browser.run("[search.value, document.querySelector('[aria-pressed=true]').value]") == ["malformed", "QA"]


def test_filters_are_set_by_hand_and_remembered_in_the_address(browser: Browser, page: Path) -> None:
    view(browser, page)
    assert len(ids(browser)) == 50
    browser.mouse("#more", click=True)
    assert len(ids(browser)) == 65
    browser.mouse("#tool-filter button[value=QA]", click=True)
    assert ids(browser) == ["born", "long"]
    browser.run("gain.value = 3, gain.dispatchEvent(new Event('input'))")
    assert ids(browser) == ["born"]
    assert browser.run("location.hash") == "#tool=QA&gain=3"
    browser.mouse("#reset", click=True)
    assert browser.run("location.hash") == ""
    assert len(ids(browser)) == 50
    browser.mouse("#tab-rejected", click=True)
    assert len(ids(browser)) == 4


def test_nothing_in_a_text_runs_or_loads(browser: Browser, page: Path, asked: tuple[int, list[str]]) -> None:
    for tab in ("texts", "rejected"):
        view(browser, page, tab=tab, q="owned")
        assert browser.run("document.title") == "<b>run · toolformer report"
        assert text(browser, "h1") == "<b>run"
        assert text(browser, "#list .text").startswith("<script>")
        assert browser.run("document.querySelectorAll('img, a, iframe, body style, #list script').length") == 0
    assert asked[1] == []
    assert browser.said == []


def test_what_cannot_be_seen_is_shown_by_its_code(browser: Browser, page: Path) -> None:
    view(browser, page, q="owned")
    codes = browser.run(
        "[...document.querySelectorAll('#list .text > span:not(.call) .hidden-character')].map(e => e.textContent)"
    )
    assert codes == ["U+202E", "U+0000", "U+D800"]


def test_a_text_keeps_its_direction_and_a_long_one_its_ends(browser: Browser, page: Path) -> None:
    view(browser, page, q="שלום")
    assert browser.run("getComputedStyle(document.querySelector('#list .text')).direction") == "rtl"
    view(browser, page, q="where was she")
    assert "3,403 characters" in text(browser, "#list .text")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_nothing_is_wider_than_the_window(browser: Browser, page: Path, width: int, height: int) -> None:
    browser.size(width, height)
    for tab in ("texts", "rejected"):
        view(browser, page, tab=tab)
        assert browser.run("document.documentElement.scrollWidth") == width
    browser.size(1280, 900)


def test_each_tool_has_its_funnel_and_its_histogram(browser: Browser, page: Path) -> None:
    view(browser, page)
    cards = browser.run("[...document.querySelectorAll('#tools article')].map(e => e.innerText.split('\\n').join(' '))")
    assert cards[1].startswith("QA positions 4 sampled 4 parsed 3 75% executed 2 67% scored 2 100% kept 2 100%")
    labels = browser.run("[...document.querySelectorAll('#tools article:nth-child(2) title')].map(e => e.textContent)")
    assert labels == ["gain 2.60 to 2.70: 1 kept, 0 rejected", "gain 3.50 to 3.60: 1 kept, 0 rejected"]


def test_a_tool_may_have_any_name(browser: Browser, tmp_path: Path) -> None:
    texts = [kept("a", TEST, call(TEST, "29%", "constructor", "x", "y"))]
    others = [rejected("a", "near", 2, "toString", "sample", "malformed: x")]
    folder = write_folder(tmp_path / "run", texts, others)
    (folder / "shards" / "00000.json").unlink()
    (folder / "funnel.json").unlink()
    view(browser, write_report(folder))
    cards = browser.run("[...document.querySelectorAll('#tools article')].map(e => e.innerText)")
    assert cards[0].split("\n")[0] == "constructor"
    assert cards[1].split("\n")[0] == "toString"
    assert cards[1].endswith("No call was scored.")
    assert browser.said == []
