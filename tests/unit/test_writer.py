"""Text as it streams: whole characters, no beginnings of stop strings, and in the end exactly what the tokens say."""

import random
from collections.abc import Sequence

import pytest

from tests import tiny_models
from toolformer.decode.writer import Writer
from toolformer.hf.encode import Codec

CODEC = Codec(tiny_models.tokenizer(), "tiny")
TEXTS = ["héllo 👩‍🔬!", "日本語", "עברית", "a\ufffdb", "\u0301e", "plain", "", "👍🏽" * 5]


def pieces(text: str, every: int = 1, stops: Sequence[str] = (), before: str = "So ") -> list[str]:
    writer = Writer(CODEC.decode, CODEC.encode(before).ids, stops)
    told = []
    for token in CODEC.encode(text).ids:
        writer.push(token)
        if writer.waiting >= every:
            told.append(writer.take())
    return [*told, writer.take(final=True)]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("every", [1, 3, 16])
def test_pieces_are_whole_characters_and_make_the_text(text: str, every: int) -> None:
    told = pieces(text, every)
    assert "".join(told) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in told)


def test_text_comes_as_soon_as_it_is_whole() -> None:
    assert [piece for piece in pieces("aéb") if piece] == ["a", "é", "b"]


def test_broken_bytes_hold_nothing_back_for_long() -> None:
    rng = random.Random(0)
    broken = [token for token in range(300) if CODEC.decode([token]) == "\ufffd"]
    for _ in range(50):
        ids = [rng.choice(broken) for _ in range(40)]
        writer = Writer(CODEC.decode, (), ())
        told = ""
        for number, token in enumerate(ids):
            writer.push(token)
            told += writer.take()
            assert writer.waiting < 4, number
        assert told + writer.take(final=True)


@pytest.mark.parametrize(
    ("text", "stops", "said"),
    [
        ("one. two", (". ",), "one"),
        ("one. two", ("two", "one. t"), ""),
        ("one.. two", (".. x", "wo"), "one.. t"),
        ("aaab", ("aab",), "a"),
        ("so\n\nthen", ("\n\n",), "so"),
        ("no stop", ("stopped",), "no stop"),
        ("a👩‍🔬b", ("🔬",), "a👩‍"),
    ],
)
def test_nothing_behind_a_stop_is_text_and_nothing_of_it(text: str, stops: tuple[str, ...], said: str) -> None:
    for every in (1, 4):
        told = pieces(text, every, stops)
        assert "".join(told) == said
        so_far = ""
        for piece in told:
            so_far += piece
            assert said.startswith(so_far)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n\nParis\n\nIt is", "\n\nParis"),
        (" \n \n\n Paris\n\nIt is", " \n \n\n Paris"),
        ("Paris\n\nIt is", "Paris"),
        ("\n\n\n", "\n\n\n"),
        ("\n\nQ: why", "\n\n"),  # another question is no answer: a stop with a word in it waits for nothing
        ("\n\n\nParis\n", "\n\n\nParis\n"),
    ],
)
def test_a_blank_stop_can_wait_for_something_said(text: str, said: str) -> None:
    for every in (1, 4):
        writer, told = Writer(CODEC.decode, (), ("\n\n", "Q:"), late=True), ""
        for token in CODEC.encode(text).ids:
            writer.push(token)
            if writer.waiting >= every:
                told += writer.take()
                assert said.startswith(told)
        assert told + writer.take(final=True) == said
    assert "".join(pieces(text, stops=("\n\n", "Q:"))) == text.partition("\n\n")[0]


def test_the_length_counts_what_is_held_back() -> None:
    writer = Writer(CODEC.decode, (), ("zzz",))
    for token in CODEC.encode("ab zz").ids:
        writer.push(token)
    assert (writer.take(), writer.length) == ("ab ", 5)


def test_a_character_is_whole_with_its_last_byte() -> None:
    writer = Writer(CODEC.decode, (), ())
    whole: list[bool] = []
    for token in CODEC.encode("aéb").ids:
        writer.push(token)
        whole.append(writer.whole)
    assert whole == [True, False, True, True]
    assert writer.take() == "aéb"
    assert writer.whole
