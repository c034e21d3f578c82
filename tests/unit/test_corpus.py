"""Corpora of every kind become the same documents; what is broken is named by file and line."""

import datetime
import gzip
import io
import json
import os
import random
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from huggingface_hub.errors import HfHubHTTPError

from toolformer import ConfigError, DataError, DocumentFacts, text_file
from toolformer.data_gen import corpus_size
from toolformer.data_gen.corpus_size import documents_in
from toolformer.data_gen.documents import date_in, read_corpus
from toolformer.data_gen.records import Document
from toolformer.reach import HTTPError

DAY = datetime.date(2019, 5, 17)
ROWS = [
    {"id": "a", "text": "One.", "date": "2019-05-17", "url": "https://example.org/a"},
    {"id": "b", "text": "Two.", "date": "2019-05-17", "url": None},
]
DOCUMENTS = [
    Document("a", "One.", DocumentFacts(DAY, "https://example.org/a")),
    Document("b", "Two.", DocumentFacts(DAY)),
]
NASTY = "crlf\r\nform\ffeed 👩‍👩‍👧 שלום e\u0301 \x00 \u2028 <API> [Calculator(2 + 2) -> 4]"


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_every_kind_of_corpus_gives_the_same_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = jsonl(tmp_path / "c.jsonl", *ROWS)
    zipped = tmp_path / "c.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "c.parquet", row_group_size=1)
    saved = datasets.Dataset.from_list(ROWS)
    saved.save_to_disk(str(tmp_path / "set"))
    datasets.DatasetDict({"train": saved}).save_to_disk(str(tmp_path / "sets"))
    for source in (plain, zipped, tmp_path / "c.parquet", tmp_path / "set", tmp_path / "sets"):
        assert list(read_corpus(source)) == DOCUMENTS, source
        assert list(read_corpus(str(source), limit=1)) == DOCUMENTS[:1]
    stdin(monkeypatch, plain.read_bytes())
    assert list(read_corpus("-")) == DOCUMENTS


def test_columns_by_other_names(tmp_path: Path) -> None:
    row = {"body": "One.", "key": 7, "when": "2019-05-17T23:59:59Z", "link": "https://example.org/"}
    (document,) = read_corpus(
        jsonl(tmp_path / "c.jsonl", row), text_column="body", id_column="key", date_column="when", url_column="link"
    )
    assert document == Document("7", "One.", DocumentFacts(DAY, "https://example.org/"))


def test_a_dataset_with_splits(tmp_path: Path) -> None:
    datasets.DatasetDict({"test": datasets.Dataset.from_list(ROWS)}).save_to_disk(str(tmp_path / "sets"))
    assert len(list(read_corpus(tmp_path / "sets", split="test"))) == 2
    with pytest.raises(ConfigError, match="has no split 'train'; it has: test"):
        list(read_corpus(tmp_path / "sets"))


def test_a_hub_dataset_without_a_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"nobody/nothing: there is no such file or folder here, and the .* hub"):
        list(read_corpus("nobody/nothing"))


def test_a_connection_that_breaks_is_the_networks_fault_and_a_refusal_the_datasets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the hub's own client raises them, for data and models are fetched with it."""
    answer: Any = SimpleNamespace(headers={}, request=None)
    refused = HfHubHTTPError("403 Client Error", response=answer)
    for error, said in (
        (HTTPError("reset by peer"), "cannot be reached: reset by peer"),
        (refused, "cannot be read: 403"),
    ):
        monkeypatch.setattr(datasets, "load_dataset", partial(_fail, error))
        with pytest.raises(DataError, match=said):
            list(read_corpus("someone/texts"))


def _fail(error: Exception, *_: object, **__: object) -> None:
    raise error


def test_text_files_are_one_document_each_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/c.txt", ".hidden/d.txt", "notes.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}\nsecond line", "utf-8")
    documents = list(read_corpus(tmp_path))
    assert [document.id for document in documents] == ["a.txt", "b.txt", "sub/c.txt"]
    assert documents[2].text == "text of sub/c.txt\nsecond line"
    assert [document.id for document in read_corpus(tmp_path / "a.txt")] == ["a.txt"]


def test_shards_in_a_folder_are_numbered_by_file_and_line(tmp_path: Path) -> None:
    jsonl(tmp_path / "1.jsonl", {"text": "x"}, {"text": "y"})
    pyarrow.parquet.write_table(pyarrow.table({"text": ["z"]}), tmp_path / "2.parquet")
    assert [document.id for document in read_corpus(tmp_path)] == ["1.jsonl:1", "1.jsonl:2", "2.parquet:1"]


def test_standard_input_with_a_text_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, b'\r\n[1] is no object\r\n\n{"text": "nor is this read as one"}\n')
    assert [(document.id, document.text) for document in read_corpus("-")] == [
        ("2", "[1] is no object"),
        ("4", '{"text": "nor is this read as one"}'),
    ]


def test_a_pipe_is_read_like_standard_input(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"text": "x"}\n')
    os.close(writing)
    assert [document.text for document in read_corpus(f"/dev/fd/{reading}")] == ["x"]
    os.close(reading)


def test_nothing_of_a_text_is_changed(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(NASTY.encode())
    assert [document.text for document in read_corpus(tmp_path / "c.txt")] == [NASTY]
    assert [document.text for document in read_corpus(jsonl(tmp_path / "c.jsonl", {"text": NASTY}))] == [NASTY]
    pyarrow.parquet.write_table(pyarrow.table({"text": [NASTY]}), tmp_path / "c.parquet")
    assert [document.text for document in read_corpus(tmp_path / "c.parquet")] == [NASTY]


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_is_an_emoji(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": "a\\ud800b \\ud83d\\ude00", "id": "\\udfff"}\n', "utf-8")
    (document,) = read_corpus(path)
    assert document == Document("\ufffd", "a\ufffdb 😀")


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "x"}\n')
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbfx")
    for name in ("c.jsonl", "c.txt"):
        assert [document.text for document in read_corpus(tmp_path / name)] == ["x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "x"}\n\n{"text": "y"\n', r"c\.jsonl:3: no JSON \(Expecting .*correct the line"),
        (b'{"text": "x"}\n{"text": "caf\xe9"}\n', r"c\.jsonl:2: byte 0xe9 is not UTF-8; if .* iconv -f LATIN1"),
        (b'{"text": "x"}\n["x"]\n', r"c\.jsonl:2: a list where an object belongs"),
        (b"[" * 100_000, r"c\.jsonl:1: no JSON"),
        (b'{"text": ' + b"9" * 5_000 + b"}", r"c\.jsonl:1: no JSON"),
        (b'{"body": "x", "key": 1}\n', r"c\.jsonl:1 has no column 'text'; it has: 'body', 'key'\. Name"),
        (b'{"text": "x"}\n{"body": "x"}\n', r"c\.jsonl:2 has no column 'text'; it has: 'body'"),
        (b'{"text": ["x"]}\n', r"c\.jsonl:1: 'text' is \['x'\], where a text belongs"),
        (b"", r"c\.jsonl holds no document$"),
        (b'{"text": " "}\n{"text": null}\n', r"c\.jsonl holds no document, only 2 without text"),
        (b'{"text": "x", "id": "a"}\n{"text": "y"}\n', r"c\.jsonl:2: 'id' is None, .*as in the rows before"),
        (b'{"text": "x", "id": true}\n', r"c\.jsonl:1: 'id' is True"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "c.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_corpus(tmp_path / "c.jsonl"))


def test_the_documents_before_a_broken_line_come_first(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(b'{"text": "x"}\nbroken\n')
    documents = read_corpus(tmp_path / "c.jsonl")
    assert next(documents).text == "x"
    with pytest.raises(DataError, match="c.jsonl:2"):
        next(documents)


def test_latin_1_in_a_text_file_is_found_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"one\ntwo\ncaf\xe9\n")
    with pytest.raises(DataError, match=r"c\.txt:3: byte 0xe9"):
        list(read_corpus(tmp_path / "c.txt"))


def test_a_duplicate_id_names_both_places(tmp_path: Path) -> None:
    jsonl(tmp_path / "1.jsonl", {"id": "a", "text": "x"}, {"id": 5, "text": "y"})
    second = jsonl(tmp_path / "2.jsonl", {"id": "b", "text": "x"}, {"id": "5", "text": "z"})
    with pytest.raises(DataError, match=r"2\.jsonl:2: the id '5' was at .*1\.jsonl:2 already"):
        list(read_corpus(tmp_path))
    assert len(list(read_corpus(tmp_path, id_column=""))) == 4
    assert [document.id for document in read_corpus(second)] == ["b", "5"]


def test_an_id_column_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "c.jsonl", {"text": "x"})
    for missing in ("id_column", "date_column", "url_column"):
        with pytest.raises(DataError, match="c.jsonl:1 has no column 'key'; it has: 'text'"):
            list(read_corpus(path, **cast(dict[str, str], {missing: "key"})))  # type: ignore[arg-type]


def test_an_empty_text_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = jsonl(tmp_path / "c.jsonl", {"text": "x"}, {"text": " \n"}, {"text": "y"}, {"text": ""})
    assert [document.id for document in read_corpus(path)] == ["1", "3"]
    assert "c.jsonl:2: an empty text, left out" in caplog.messages[0]
    assert "2 empty texts were left out" in caplog.messages[1]


def test_damaged_files(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"text": "%d"}\n' % n for n in random.Random(1).sample(range(10**9), 2000)))
    (tmp_path / "c.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"c\.jsonl\.gz:\d+: from here on no whole gzip file"):
        list(read_corpus(tmp_path / "c.jsonl.gz"))
    (tmp_path / "c.parquet").write_bytes(b"PAR1 no parquet PAR1")
    with pytest.raises(DataError, match=r"c\.parquet: cannot be read as Parquet"):
        list(read_corpus(tmp_path / "c.parquet"))
    pyarrow.parquet.write_table(pyarrow.table({"body": ["x"]}), tmp_path / "d.parquet")
    with pytest.raises(DataError, match=r"d\.parquet:1 has no column 'text'; it has: 'body'"):
        list(read_corpus(tmp_path / "d.parquet"))


def test_what_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no .*nowhere\.jsonl: a corpus is a \.jsonl"):
        list(read_corpus(tmp_path / "nowhere.jsonl"))
    (tmp_path / "c.csv").write_text("text\nx\n")
    with pytest.raises(ConfigError, match=r"c\.csv: a corpus is a \.jsonl, \.ndjson, \.parquet or \.txt file; rename"):
        list(read_corpus(tmp_path / "c.csv"))
    with pytest.raises(DataError, match=r"holds no \.jsonl.* file, only c\.csv"):
        list(read_corpus(tmp_path))
    with pytest.raises(ConfigError, match="limit=0"):
        list(read_corpus(tmp_path, limit=0))


def test_a_line_without_an_end_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "MAX_BYTES", 1 << 20)
    for name in ("c.jsonl", "c.txt"):
        (tmp_path / name).write_bytes(b"x" * (2 << 20))
        with pytest.raises(DataError, match="longer than 1 MiB"):
            list(read_corpus(tmp_path / name))


def test_reading_is_lazy(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"first\nsecond\n" + b"x\n" * 20_000)
    documents = read_corpus(f"/dev/fd/{reading}")  # the pipe stays open: reading to its end would never return
    assert next(documents).text == "first"
    os.close(writing)
    os.close(reading)


@pytest.mark.parametrize(
    ("url", "date"),
    [
        ("https://example.org/2019/05/17/title", DAY),
        ("https://example.org/news/2019-05-17-title.html", DAY),
        ("https://example.org/2019/5/17", DAY),
        ("https://example.org/world/2019/may/17/title", DAY),
        ("https://example.org/2019.05.17", DAY),
        ("https://example.org/2019/13/17/2019/05/17", DAY),  # the first is no day
        ("https://example.org/2019/05/", None),
        ("https://example.org/2019/05-17", None),
        ("https://example.org/12019/05/17", None),
        ("https://example.org/?day=2019-05-17#2019-05-17", None),
        ("https://example.org/2019/02/30", None),
        ("http://[broken/2019/05/17", None),
    ],
)
def test_the_date_in_an_address(url: str, date: datetime.date | None) -> None:
    assert date_in(url) == date


def test_dates_are_read_from_the_column_and_otherwise_from_the_address(tmp_path: Path) -> None:
    url = "https://example.org/2001/02/03/x"
    rows = [{"text": "x", "date": date, "url": url} for date in ("2019-05-17 10:00", "17 May", "2019-02-30", 5, None)]
    found = [document.facts.date for document in read_corpus(jsonl(tmp_path / "c.jsonl", *rows))]
    assert found == [DAY, *[datetime.date(2001, 2, 3)] * 4]


def test_dates_of_parquet(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["x"], "date": [datetime.datetime(2019, 5, 17, 23)]})
    pyarrow.parquet.write_table(table, tmp_path / "c.parquet")
    assert [document.facts.date for document in read_corpus(tmp_path / "c.parquet")] == [DAY]


def test_how_many_there_are_is_known_or_guessed_without_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, torn = tmp_path / "few.jsonl", tmp_path / "torn.parquet"
    few.write_text('{"text": "a"}\n{"text": "b"}\n{"text": "c"}')
    torn.write_bytes(b"PAR1")
    assert (documents_in(few), documents_in(few, 2), documents_in(str(few), 9)) == (3, 2, 3)
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"]}), tmp_path / "two.parquet")
    assert documents_in(tmp_path / "two.parquet") == 2
    assert documents_in(torn) is None
    assert (documents_in("-"), documents_in("some/dataset", 7)) == (None, 7)
    few.write_text('{"text": "a"}\n' * 1000)
    monkeypatch.setattr(corpus_size, "SAMPLE", 1400)
    assert documents_in(few) == 1000


def test_what_is_no_file_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", {"text": "One."})
    os.mkfifo(tmp_path / "b.jsonl")
    with pytest.raises(DataError, match=r"b\.jsonl is a pipe, a device or a link to nothing"):
        list(read_corpus(tmp_path))
    (tmp_path / "b.jsonl").unlink()
    (tmp_path / "b.jsonl").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"b\.jsonl is a pipe, a device or a link to nothing"):
        list(read_corpus(tmp_path))


def test_a_gzip_of_blank_lines_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "MOST_BLANK", 1_000)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * 1_000_000))
    with pytest.raises(DataError, match=r"a\.jsonl\.gz:1001: more than 1,000 blank lines in a row"):
        list(read_corpus(path))
    path.write_bytes(gzip.compress((b"\n" * 900 + b'{"text": "One."}\n') * 3))
    assert len(list(read_corpus(path))) == 3


def test_a_date_beyond_what_python_holds(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["One."], "date": pyarrow.array([10**7], pyarrow.date32())})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet"):
        list(read_corpus(tmp_path / "a.parquet"))
