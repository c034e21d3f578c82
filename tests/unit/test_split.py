"""Long documents are cut into passages: where, how long, and at what price."""

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolformer import DocumentFacts
from toolformer.data_gen.records import Document
from toolformer.data_gen.split import cut_passages


def words(text: str) -> int:
    """A tokenizer of words of at most ten letters, and marks."""
    return len(re.findall(r"\w{1,10}|[^\w\s]", text))


def cut(text: str, most: int) -> list[str]:
    return [passage.text for passage in cut_passages(Document("d", text), words, most)]


def test_a_document_that_fits_stays_as_it_is() -> None:
    document = Document("d", "One two three. Four.")
    assert list(cut_passages(document, words, 6)) == [document]


def test_passages_end_with_sentences_and_keep_identity_and_facts() -> None:
    facts = DocumentFacts(datetime.date(2019, 5, 17), "https://example.org")
    document = Document("d", "Ann met J. Smith here.  Then they went. Why?\nNobody knew that.", facts)
    assert list(cut_passages(document, words, 11)) == [
        Document("d#1", "Ann met J. Smith here.  ", facts),
        Document("d#2", "Then they went. Why?\nNobody knew that.", facts),
    ]


def test_a_long_sentence_is_cut_at_a_line_or_a_space_and_a_long_word_anywhere() -> None:
    assert cut("one two three four\nfive six", 4) == ["one two three four\n", "five six"]
    assert cut("one two three four", 2) == ["one two ", "three four"]
    assert cut("x" * 40, 2) == ["x" * 10] * 4
    assert cut("Short one. " + "Word " * 12, 8) == ["Short one. ", "Word " * 6, "Word " * 6]


def test_other_scripts_end_sentences_without_a_space() -> None:
    assert cut("这是一个很长的句子没有空格。" + "这是另一个句子也没有空格。", 3) == [
        "这是一个很长的句子没有空格。",
        "这是另一个句子也没有空格。",
    ]


@given(st.text(alphabet=st.sampled_from("ab .!?\n\r\f。é"), max_size=300), st.integers(1, 12))
def test_joined_passages_are_the_document_and_none_is_too_long(text: str, most: int) -> None:
    passages = cut(text, most)
    assert "".join(passages) == text
    assert all(words(passage) <= most for passage in passages)


@pytest.mark.parametrize(
    "unit", ["word ", "A sentence of six words here. ", "x", " ", "\n", "Ab. ", "... ", "。"], ids=repr
)
def test_each_character_is_counted_a_few_times_only(unit: str) -> None:
    text = (unit * 300_000)[:300_000]
    counted = 0

    def count(text: str) -> int:
        nonlocal counted
        counted += len(text)
        return len(text) // 4 + 1

    passages = list(cut_passages(Document("d", text), count))
    assert "".join(passage.text for passage in passages) == text
    assert counted <= 6 * len(text)
    assert len(passages) <= 2.5 * 300_000 / 4 / 1_024
