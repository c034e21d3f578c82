"""Texts and rows on disk: they come back as they were, in the orders that lists would have, and nothing is left."""

import gc
import os
import random
import resource
from array import array
from pathlib import Path

import pytest

from tests.finetune_texts import texts
from toolformer.calls import Call
from toolformer.errors import DataError
from toolformer.finetune import on_disk
from toolformer.finetune.mixture import PlainText
from toolformer.finetune.on_disk import StoredCall, StoredRows, StoredText, StoredTexts
from toolformer.finetune.training_rows import TrainingRow

ODD = StoredText(
    "a#1",
    '日本 \n\x00 \ud83d "quoted" ',
    (StoredCall(Call("QA", "who?", None), 2), StoredCall(Call("X", "", "→"), 3)),
)
ROWS = [
    TrainingRow(array("i", [1, 2, 3])),
    TrainingRow(array("i", [5, 70_000, 2**31 - 1]), frozenset({2, 1}), frozenset({1}), own=2),
    TrainingRow(array("i", []), own=-1),
    TrainingRow(array("i", [4]), source=array("i", [9, 8])),
    TrainingRow(array("i", [4]), frozenset({0}), source=array("i", [])),
]


def test_a_text_comes_back_as_it_was_with_its_name(tmp_path: Path) -> None:
    stored = StoredTexts([ODD, PlainText("plain"), *texts(3)], tmp_path)
    assert stored[0] == ODD
    assert stored[1] == StoredText("", "plain", ())
    assert [(one.text, [(c.call, c.start) for c in one.calls]) for one in stored[2:]] == [
        (one.text, [(c.call, c.start) for c in one.calls]) for one in texts(3)
    ]
    assert (len(stored), stored[-1].text) == (5, texts(3)[-1].text)
    with pytest.raises(IndexError):
        stored[5]


def test_an_order_is_the_one_that_a_list_would_have(tmp_path: Path) -> None:
    stored, listed = StoredTexts(texts(30), tmp_path).shuffled(random.Random(4)), texts(30)
    random.Random(4).shuffle(listed)
    said = [one.text for one in listed]
    assert [one.text for one in stored] == said
    assert [one.text for one in stored[3:9]] == said[3:9]
    some = stored.where(lambda one: one.text.startswith("1"))
    assert [one.text for one in some] == [text for text in said if text.startswith("1")]
    assert {one.text for one in some[:2].shuffled(random.Random(0))} == {some[0].text, some[1].text}
    assert [one.text for one in stored] == said, "a choice changes nothing"


@pytest.mark.parametrize("at_once", [1, 40, 1 << 20])
def test_a_row_comes_back_as_it_was(at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk, "_AT_ONCE", at_once)  # however often something is written
    stored = StoredRows(iter(ROWS), tmp_path)
    assert [*stored] == ROWS
    assert [*map(len, stored)] == [*map(len, ROWS)]
    assert (stored[-2], stored[1:3]) == (ROWS[-2], ROWS[1:3])
    with pytest.raises(IndexError):
        stored[len(ROWS)]
    assert not StoredRows((), tmp_path)


def test_no_file_has_a_name_and_none_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    stored = StoredRows(iter(ROWS), tmp_path)
    assert not [*tmp_path.iterdir()]
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del stored
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_is_said_in_a_line(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DataError, match=f"cannot write to {tmp_path}: File too large. Make room"):
            StoredRows(ROWS * 100, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(DataError, match="cannot write to .*nowhere: No such file"):
        StoredTexts(texts(), tmp_path / "nowhere")
