"""What WikiSearch makes of what a source finds."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolformer import Tool, Toolbox, ToolError, ToolNothing
from toolformer.tool import traits_of
from toolformer.tools.passages import Passage
from toolformer.tools.wiki_search import CHARS, WikiSearch, shorten


@dataclass(frozen=True)
class Shelf:
    """A source that finds what it was given, and notes the query."""

    passages: tuple[Passage, ...] = ()
    identity: str = "shelf 1"

    def search(self, query: str, limit: int) -> list[Passage]:
        return [Passage(passage.title.format(query), passage.text) for passage in self.passages[:limit]]


def test_the_best_passage_in_one_line() -> None:
    search = WikiSearch(Shelf((Passage("{}", "A tree.\n\nIt is\ttall."), Passage("Elm", "Another."))))
    assert isinstance(search, Tool)
    assert Toolbox([search]).run("WikiSearch", "  old \n oak ") == "old oak: A tree. It is tall."


def test_nothing_found_is_an_error_of_a_kind_of_its_own() -> None:
    with pytest.raises(ToolNothing, match="nothing found for 'oak'"):
        WikiSearch(Shelf())("oak")


@pytest.mark.parametrize("query", ["", " ", "\n\t"])
def test_an_empty_query_is_an_error(query: str) -> None:
    with pytest.raises(ToolError, match="the query is empty"):
        WikiSearch(Shelf((Passage("Oak", "A tree."),)))(query)


def test_another_source_is_another_version() -> None:
    one, other = traits_of(WikiSearch(Shelf())), traits_of(WikiSearch(Shelf(identity="shelf 2")))
    assert one.version != other.version
    assert one.remember
    assert one.in_process


@pytest.mark.parametrize(
    ("text", "chars", "short"),
    [
        ("One two. Three four.", 20, "One two. Three four."),
        ("One two. Three four.", 19, "One two. Three…"),  # one sentence would be less than half
        ("One two three. Four five.", 20, "One two three."),
        ("By J. R. R. Tolkien and others", 16, "By J. R. R.…"),  # an initial ends no sentence
        ("In 1937! Then more of it", 12, "In 1937!"),
        ("東京は日本の首都である。江戸と呼ばれていた。", 15, "東京は日本の首都である。"),
        ("x" * 30, 10, "x" * 9 + "…"),
    ],
)
def test_a_text_is_cut_at_a_sentence_or_a_word(text: str, chars: int, short: str) -> None:
    assert shorten(text, chars) == short


@given(st.text(st.sampled_from("ab .!?。\n東\u3000"), max_size=3 * CHARS), st.integers(5, CHARS))
def test_what_is_cut_is_a_beginning_and_fits(text: str, chars: int) -> None:
    line, short = " ".join(text.split()), shorten(text, chars)
    assert len(short) <= chars
    assert line.startswith(short.removesuffix("…"))
    assert short == line or len(line) > chars
