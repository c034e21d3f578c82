"""Near-duplicates of a corpus: which texts stay, what is said of the others, and what cannot be read."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from toolformer import ConfigError, DataError, cli
from toolformer.data_gen import dedup
from toolformer.data_gen.near_duplicates import AT_ONCE, _runs

WORDS = [f"word{number}" for number in range(500)]


def sentence(seed: int, length: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def stays(folder: Path, *texts: str, **settings: Any) -> list[int]:
    """Which of some texts stay."""
    corpus = write(folder / "texts.jsonl", *({"id": str(n), "text": text} for n, text in enumerate(texts)))
    dedup(corpus, folder / "out", **settings)
    return [int(row["id"]) for row in read(folder / "out" / "corpus.jsonl")]


def test_runs_of_words_whatever_the_script() -> None:
    assert [*_runs("One, two: THREE four (five) six.")] == [[b"one two three four five", b"two three four five six"]]
    assert [*_runs("Too short!")] == [[b"too short"]]
    assert [*_runs("...")] == [[b"..."]]
    assert [*_runs("abc東京は雨")] == [["abc 東 京 は 雨".encode()]]
    assert [len(some) for some in _runs("w " * (AT_ONCE + 7))] == [AT_ONCE, 3]


def test_the_first_of_some_copies_stays_and_the_others_are_told(tmp_path: Path) -> None:
    first, other = sentence(1), sentence(2)
    rows = [
        {"id": "a", "text": first},
        {"id": "b", "text": other},
        {"id": "c", "text": first.upper() + "!"},
        {"id": "d", "text": first.rpartition(" ")[0]},  # 55 of 56 runs: 0.982
    ]
    counts = dedup(write(tmp_path / "in.jsonl", *rows), tmp_path / "out")
    assert (counts.kept, counts.dropped) == (2, 2)
    assert read(tmp_path / "out" / "corpus.jsonl") == rows[:2]
    told = read(tmp_path / "out" / "dropped.jsonl")
    assert [(row["id"], row["like"], row["text"]) for row in told] == [
        ("c", "a", rows[2]["text"]),
        ("d", "a", rows[3]["text"]),
    ]
    assert told[0]["jaccard"] == 1.0
    assert told[1]["jaccard"] == pytest.approx(0.982, abs=0.05)


def test_the_threshold_is_what_the_estimate_has_to_reach(tmp_path: Path) -> None:
    words = sentence(3, 104).split()
    near = " ".join([*words[:94], *sentence(4, 10).split()])  # 90 of 110 runs: 0.818
    far = " ".join([*words[:64], *sentence(5, 40).split()])  # 60 of 140: 0.43
    assert stays(tmp_path, " ".join(words), near, far, threshold=0.7) == [0, 2]
    assert stays(tmp_path, " ".join(words), near, far, threshold=0.95) == [0, 1, 2]
    assert stays(tmp_path, " ".join(words), near, far, threshold=0.3) == [0]
    assert stays(tmp_path, " ".join(words), near, near.upper(), threshold=1.0) == [0, 1]
    assert stays(tmp_path, " ".join(words), near, far, sentence(8), threshold=0.01) == [0, 3]


def test_of_copies_the_same_stay_in_any_order_and_every_run_says_the_same(tmp_path: Path) -> None:
    texts = [sentence(seed) for seed in range(40)]
    copied = [*texts, *texts]
    for seed in range(3):
        random.Random(seed).shuffle(copied)
        kept = stays(tmp_path, *copied)
        assert sorted(copied[number] for number in kept) == sorted(texts)
        assert kept == sorted(copied.index(text) for text in texts)
        files = {file.name: file.read_bytes() for file in (tmp_path / "out").glob("*.jsonl")}
        assert stays(tmp_path, *copied) == kept
        assert files == {file.name: file.read_bytes() for file in (tmp_path / "out").glob("*.jsonl")}


def test_most_alike_is_named_the_first_if_there_are_several(tmp_path: Path) -> None:
    words = sentence(6, 104).split()
    further = " ".join([*words[:84], *sentence(7, 20).split()])
    last = " ".join(words[:103])
    assert stays(tmp_path, further, " ".join(words), last, threshold=0.6) == [0]
    assert stays(tmp_path, further, " ".join(words), last, threshold=0.75) == [0, 1]
    assert [row["like"] for row in read(tmp_path / "out" / "dropped.jsonl")] == ["1"]


def test_lines_stay_as_they_were_byte_for_byte(tmp_path: Path) -> None:
    odd = [
        b'{"text":  "caf\\u00e9 one", "n": 1e3}',
        '{"n": 1, "text": "日本語 🙂"}  '.encode(),
        b'{"text": "half \\ud800 pair"}',
    ]
    corpus = tmp_path / "in.jsonl.gz"
    corpus.write_bytes(gzip.compress(b"\xef\xbb\xbf" + b"\r\n".join([odd[0], b"", *odd[1:], b'{"text": ""}'])))
    dedup(corpus, tmp_path / "out")
    assert (tmp_path / "out" / "corpus.jsonl").read_bytes() == b"".join(line + b"\n" for line in odd)


def test_rows_of_other_files_are_written_in_their_columns(tmp_path: Path) -> None:
    rows = [{"body": "A day.", "when": "2020-02-03", "name": "x"}, {"body": "a DAY", "when": None, "name": "y"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "in.parquet")
    dedup(tmp_path / "in.parquet", tmp_path / "out", text_column="body", id_column="name", date_column="when")
    assert read(tmp_path / "out" / "corpus.jsonl") == [{"name": "x", "body": "A day.", "when": "2020-02-03"}]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.txt").write_text("A text.\n")
    dedup(tmp_path / "folder", tmp_path / "texts")
    assert read(tmp_path / "texts" / "corpus.jsonl") == [{"id": "one.txt", "text": "A text.\n"}]


def test_what_cannot_be_read_leaves_nothing_behind_and_what_was_there_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    good = write(tmp_path / "good.jsonl", {"text": "a"})
    dedup(good, out)
    broken = tmp_path / "broken.jsonl"
    for line, says in ((b"{", "no JSON"), (b'{"text": 7}', "'text' is 7"), (b'{"text": "\xe9"}', "not UTF-8")):
        broken.write_bytes(b'{"text": "b"}\n' + line + b"\n")
        with pytest.raises(DataError, match=f"broken.jsonl:2: .*{says}"):
            dedup(broken, out)
        assert read(out / "corpus.jsonl") == [{"text": "a"}]
        assert sorted(path.name for path in out.iterdir()) == [".lock", "corpus.jsonl", "dropped.jsonl"]
    with pytest.raises(DataError, match="has no column 'body'; it has: 'text'"):
        dedup(good, out, text_column="body")
    for corpus, place in ((out / "corpus.jsonl", out), (out / "dropped.jsonl", out), (out, out), (tmp_path, out)):
        with pytest.raises(ConfigError, match="would be overwritten by .*out/corpus.jsonl, or read it"):
            dedup(corpus, place)
    dedup(good, tmp_path)  # beside the corpus it may be written
    for threshold in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="above 0 and at most 1"):
            dedup(good, out, threshold=threshold)


def test_the_command_says_how_many_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write(tmp_path / "in.jsonl", {"body": "Same."}, {"body": "same"}, {"body": "Other."})
    cli.main(["dedup", str(corpus), "--out", str(tmp_path / "out"), "--text-column", "body"])
    assert capsys.readouterr().out == f"{tmp_path / 'out'}: 2 texts stay, 1 near-duplicates are dropped\n"
    assert read(tmp_path / "out" / "dropped.jsonl") == [{"id": "2", "text": "same", "like": "1", "jaccard": 1.0}]
