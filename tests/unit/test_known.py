"""Which kept calls are right, where a corpus knows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from toolformer.calls import Call
from toolformer.data_gen.annotated_folder import KeptCall, KeptText, Numbers
from toolformer.data_gen.documents import Columns
from toolformer.data_gen.known import KnownCall, KnownText, Share, judge
from toolformer.data_gen.reread import Corpus
from toolformer.errors import ConfigError, DataError

TEXT = "Natalia sold 48 clips in April and half as many in May: 24 clips, so $1,072.50 in all."
KNOWN = KnownText(
    "a",
    TEXT,
    (KnownCall(TEXT.index("24 clips"), "48/2", "24"), KnownCall(TEXT.index("1,072.50"), "24+1048.5", "1072.5")),
)
NOTHING = Numbers(None, None, None, None, None)


def kept(*calls: tuple[str, str, str], id: str = "a", text: str = TEXT, tool: str = "Calculator") -> KeptText:  # noqa: A002
    """Each call stands before some words."""
    placed = [KeptCall(Call(tool, asked, result), text.index(before), NOTHING) for before, asked, result in calls]
    return KeptText(id, text, text, None, None, tuple(placed))


@pytest.mark.parametrize(
    ("before", "asked", "result", "right"),
    [
        ("24 clips", "48/2", "24", True),
        (" 24 clips", "48 / 2", "24.00", True),  # the space belongs to the place
        ("24 clips", "2 * 12", "24", False),  # by other numbers
        ("24 clips", "48 / 2", "96", False),
        (": 24 clips", "48 / 2", "24", False),  # a sentence's end before it
        ("clips, so", "48 / 2", "24", False),  # behind it
        (" $1,072.50", "1048.5 + 24", "1,072.5", True),  # a sign, another order, another spelling
    ],
)
def test_a_call_is_right_where_its_result_stands_and_the_numbers_are_the_same(
    before: str, asked: str, result: str, right: bool
) -> None:
    assert judge([kept((before, asked, result))], [KNOWN]) == Share(1, int(right))


def test_a_call_without_numbers_is_right_by_its_words() -> None:
    text = "The capital of Fiji is Suva."
    known = KnownText("f", text, (KnownCall(23, "What is the capital of Fiji?", "Suva", "QA", ("Fiji's capital?",)),))

    def share(asked: str, tool: str = "QA") -> Share:
        return judge([kept(("Suva", asked, "suva"), id="f", text=text, tool=tool)], [known])

    assert share("what is the capital of fiji") == share("Fiji's capital") == Share(1, 1)
    assert share("Where is Fiji?") == share("What is the capital of Fiji?", tool="Other") == Share(1, 0)
    answered = replace(known, calls=(KnownCall(23, "Fiji", "Its seat is Suva.", "WikiSearch", answer="Suva"),))
    found = kept(("Suva", "Fiji capital", "Suva is a town."), id="f", text=text, tool="WikiSearch")
    assert judge([found], [answered]) == Share(1, 1)


def test_a_passage_is_looked_for_in_its_document_and_what_nobody_knows_does_not_count() -> None:
    passage = kept(("24 clips", "48/2", "24"), id="a#2", text=TEXT[30:])
    assert judge([passage, kept(("24 clips", "48/2", "24"), id="b")], [KNOWN]) == Share(1, 1)
    assert judge([kept(("24 clips", "1", "1"))], [replace(KNOWN, calls=())]) == Share(1, 0)  # none is right there


def test_a_corpus_says_what_it_knows_to_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    call = {"start": 56, "input": "48/2", "result": "24", "other": 1}
    rows = [{"id": 1, "text": TEXT, "calls": [call], "truth": []}, {"id": 2, "text": "Nothing is known of this."}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = Corpus(file)
    for _ in range(2):
        assert [one.id for one in corpus] == ["1", "2"]
        assert list(corpus.known()) == [KnownText("1", TEXT, (KnownCall(56, "48/2", "24"),))]
    assert [one.calls for one in Corpus(file, limit=1, known_column="truth").known()] == [()]
    assert list(Corpus(file, known_column="").known()) == []
    file.write_text("".join(json.dumps(row) + "\n" for row in [{**rows[0], "calls": None}, rows[1]]))
    assert corpus.digest() == Corpus(file, Columns(more=("calls",))).digest() != Corpus(file, limit=1).digest()


@pytest.mark.parametrize("said", [3, [3], [{"start": "0", "input": "", "result": ""}], [{"start": 0, "input": ""}]])
def test_what_is_no_known_call_is_said(said: object, tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text(json.dumps({"text": "x", "calls": said}) + "\n")
    with pytest.raises(DataError, match=r"corpus.jsonl:1: .*known call"):
        list(Corpus(file).known())
    with pytest.raises(DataError, match="no column 'right' with known calls"):
        list(Corpus(file, known_column="right").known())
    with pytest.raises(ConfigError, match="can be read only once"):
        Corpus("-")
