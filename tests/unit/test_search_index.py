"""The BM25 index: what it finds, what it reads, and every way in which its folder can be wrong."""

import dataclasses
import gzip
import hashlib
import json
import os
import resource
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from toolformer import text_file
from toolformer.errors import ConfigError, DataError, ToolError
from toolformer.lock import sole_writer
from toolformer.tools import index_folder
from toolformer.tools.index_build import build_index
from toolformer.tools.index_folder import read_manifest, sha256
from toolformer.tools.passages import Source
from toolformer.tools.search_index import MAX_QUERY, SearchIndex, words_of

PASSAGES = [
    ("Heron", "A heron is a bird with long legs that waits in shallow water for fish."),
    ("Oak", "An oak is a tree that carries acorns and can live for several hundred years."),
    ("Café", "A café serves coffee and cake; the first ones in Europe opened in the 17th century."),
    ("Lighthouse", "A lighthouse shows ships the way at night, and warns them of rocks in the water."),
    ("Strait of Otranto", "The strait joins the Adriatic Sea and the Ionian Sea. Its water is deep."),
    ("Vitamin C", "Vitamin C is found in lemons. Sailors without it fell ill with scurvy."),
]


def write(path: Path, passages: list[tuple[str, str]] = PASSAGES) -> Path:
    path.write_text("".join(json.dumps({"title": title, "text": text}) + "\n" for title, text in passages))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "passages.jsonl")


@pytest.fixture
def folder(tmp_path: Path, source: Path) -> Path:
    build_index(source, tmp_path / "index")
    return tmp_path / "index"


def titles(index: SearchIndex, query: str, limit: int = 10) -> list[str]:
    return [passage.title for passage in index.search(query, limit)]


# What it finds


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Which tree has acorns?", "Oak"),
        ("CAFE", "Café"),  # neither case nor accents matter
        ("the heron", "Heron"),
        ("otranto", "Strait of Otranto"),  # a title is searched like the text
        ("vitamin c", "Vitamin C"),
        ("scurvy\x00sailors\n", "Vitamin C"),
        ("\ud800 lemons", "Vitamin C"),
        ("acorns " + "x" * 1_000_000, "Oak"),
    ],
)
def test_finds(folder: Path, query: str, title: str) -> None:
    assert titles(SearchIndex.open(folder), query)[0] == title


@pytest.mark.parametrize("query", ["", "  ", "what is the of", "\x00", "\ud800", "?!", "zeppelin"])
def test_a_query_without_a_known_word_finds_nothing(folder: Path, query: str) -> None:
    assert SearchIndex.open(folder).search(query, 3) == []


def test_the_best_come_first_and_none_without_a_shared_word(folder: Path) -> None:
    found = SearchIndex.open(folder).search("ships in the water", 10)
    assert found[0].title == "Lighthouse"
    assert {passage.title for passage in found} == {"Lighthouse", "Heron", "Strait of Otranto"}
    scores = [passage.score or 0.0 for passage in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0
    assert found[0].text == PASSAGES[3][1]


def test_the_limit_holds(folder: Path) -> None:
    index = SearchIndex.open(folder)
    assert len(index.search("water", 2)) == 2
    assert index.search("water", 0) == []


def test_equal_scores_come_in_the_order_of_the_passages(tmp_path: Path) -> None:
    stones = [(f"Stone {n}", "grey" if n % 3 else "grey and green") for n in range(500)]
    build_index(write(tmp_path / "p.jsonl", stones), tmp_path / "index")
    found = titles(SearchIndex.open(tmp_path / "index"), "grey", 500)
    assert found == [f"Stone {n}" for n in range(500) if n % 3] + [f"Stone {n}" for n in range(0, 500, 3)]


def test_only_the_beginning_of_a_query_counts(folder: Path) -> None:
    index = SearchIndex.open(folder)
    start = time.process_time()
    assert index.search("x " * MAX_QUERY + "acorns", 3) == []
    index.search("water " * 200_000, 3)
    assert time.process_time() - start < 0.5


def test_words() -> None:
    assert words_of("The Café's ÉCLAIRS, in 1999") == ["cafe", "eclairs", "1999"]
    assert words_of("Ａｄａ STRASSE straße") == ["ada", "strasse", "strasse"]


def test_threads_get_the_same_answers(folder: Path) -> None:
    index = SearchIndex.open(folder)
    queries = [title for title, _ in PASSAGES] * 50
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda query: titles(index, query, 1), queries)) == [[query] for query in queries]


def test_it_is_a_source_whose_identity_follows_the_content(tmp_path: Path, folder: Path, source: Path) -> None:
    index = SearchIndex.open(folder)
    assert isinstance(index, Source)
    assert len(index) == len(PASSAGES)
    build_index(source, tmp_path / "again")
    build_index(write(tmp_path / "fewer.jsonl", PASSAGES[:5]), tmp_path / "fewer")
    assert SearchIndex.open(tmp_path / "again").identity == index.identity
    assert SearchIndex.open(tmp_path / "fewer").identity != index.identity


# What it reads


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz", "p.txt", "p.txt.gz", "passages"])
def test_input_formats(tmp_path: Path, name: str) -> None:
    content = write(tmp_path / "p.jsonl").read_bytes()
    if "jsonl" not in name:
        content = b"\r\n".join(text.encode() for _, text in PASSAGES) + b"\n\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert build_index(path, tmp_path / "index").passages == len(PASSAGES)
    (found,) = SearchIndex.open(tmp_path / "index").search("acorns", 5)
    assert (found.title, found.text) == ("Oak" if "jsonl" in name else "", PASSAGES[1][1])


def test_the_paragraphs_of_questions_are_passages_each_once(tmp_path: Path) -> None:
    oak, elm = {"title": "Oak", "text": "It bears acorns.", "is_supporting": True}, {"title": "Elm", "text": " "}
    path = tmp_path / "popqa.json"
    path.write_text(json.dumps([{"question": "Which?", "paragraphs": [oak, elm]}, {"paragraphs": [oak]}]), "utf-8")
    assert build_index(path, tmp_path / "index").passages == 1
    assert SearchIndex.open(tmp_path / "index").search("acorns", 5)[0].title == "Oak"


def test_odd_passages_are_kept_as_they_are_and_empty_ones_left_out(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    odd = "line\none\u2028two\x85three \x00 \U0001f333 شجرة"
    lines = [
        json.dumps({"text": odd}),
        '{"title": null, "text": "lone \\ud800 half"}',
        '{"title": "No text", "text": " "}',
    ]
    path.write_text("\n".join(lines))
    assert build_index(path, tmp_path / "index").passages == 2
    index = SearchIndex.open(tmp_path / "index")
    assert index.search("شجرة", 1)[0].text == odd
    assert index.search("half", 1)[0].text == "lone \ufffd half"


GOOD = b'{"title": "Oak", "text": "a tree"}\n'


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("p.jsonl", GOOD + b"{broken\n" + GOOD, "jsonl:2: no JSON"),
        ("p.jsonl", GOOD + b'{"title": "Oak", "body": "a tree"}', "'title', 'body'"),
        ("p.jsonl", b'["Oak"]', "jsonl:1: a list"),
        ("p.jsonl", b'{"title": 7, "text": "a tree"}', "title"),
        ("p.jsonl", GOOD + '{"text": "Eiche, Gehölz"}'.encode("latin-1"), "jsonl:2: byte 0xf6 is not UTF-8"),
        ("p.jsonl", b"", "no passage"),
        ("p.txt", b"\n \n", "no passage"),
        ("p.txt", b"of the\n", "no word"),
        ("p.jsonl.gz", gzip.compress(GOOD * 1000)[:-20], "gzip"),
        ("p.jsonl.gz", GOOD, "gzip"),
        ("p.json", GOOD, "list of objects with passages"),
        ("p.json", b'[{"paragraphs": [{"title": "Oak"}]}]', "a passage is an object"),
    ],
    ids=range(12),
)
def test_bad_input_is_named(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        build_index(path, tmp_path / "index")
    with pytest.raises(DataError, match="no finished index"):
        SearchIndex.open(tmp_path / "index")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "MAX_BYTES", 1 << 20)
    (tmp_path / "p.txt.gz").write_bytes(gzip.compress(b"x" * (50 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="gz:1: the line is longer"):
            build_index(tmp_path / "p.txt.gz", tmp_path / "index")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_no_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        build_index(tmp_path / "nothing.jsonl", tmp_path / "index")
    assert not (tmp_path / "index").exists()


# The folder


def test_the_manifest_says_what_is_there(folder: Path, source: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["plan"]["input_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert manifest["plan"]["kind"] == "bm25"
    assert manifest["passages"] == len(PASSAGES)
    others = {path.name for path in folder.iterdir()} - {"manifest.json", ".lock"}
    assert set(manifest["files"]) == others
    for name, sealed in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert sealed == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_second_build_of_the_same_changes_nothing(folder: Path, source: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert build_index(source, folder) == read_manifest(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    with pytest.raises(DataError, match="holds another index .*input_sha256"):
        build_index(write(tmp_path / "other.jsonl", PASSAGES[:2]), folder)
    assert len(SearchIndex.open(folder, verify=True)) == len(PASSAGES)


def test_a_folder_with_other_things_is_left_alone(source: Path) -> None:
    before = source.read_bytes()
    with pytest.raises(ConfigError, match=r"not empty \(there is passages.jsonl\)"):
        build_index(source, source.parent)
    assert source.read_bytes() == before


def test_two_builds_on_one_folder(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "index"
    out.mkdir()
    with sole_writer(out), pytest.raises(ConfigError, match="another run is writing to"):
        build_index(source, out)
    assert build_index(source, out).passages == len(PASSAGES)


def test_a_full_disk_and_then_room(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "index"
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, allowed[1]))
    try:
        with pytest.raises(DataError, match="run the same command again"):
            build_index(source, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    with pytest.raises(DataError, match="no finished index .*goes on"):
        SearchIndex.open(out)
    with pytest.raises(DataError, match="holds another index"):  # half-built, and of another input
        build_index(write(tmp_path / "other.jsonl", PASSAGES[:2]), out)
    build_index(source, out)
    assert titles(SearchIndex.open(out, verify=True), "acorns") == ["Oak"]


def test_a_torn_plan(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "index"
    out.mkdir()
    (out / "plan.json").write_text('{"kind": "bm')
    with pytest.raises(DataError, match=r"plan.json is damaged .*delete"):
        build_index(source, out)


def index_files() -> list[str]:
    return [index_folder.PASSAGES, index_folder.OFFSETS, *index_folder.BM25.values()]


@pytest.mark.parametrize("name", index_files())
def test_a_missing_truncated_or_changed_file(folder: Path, name: str) -> None:
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=f"{name}.* SHA-256"):
        SearchIndex.open(folder, verify=True)
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=f"{name} has .* bytes instead of"):
        SearchIndex.open(folder)
    path.unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        SearchIndex.open(folder)


@pytest.mark.parametrize("name", index_files())
def test_rubbish_of_the_right_size_is_an_error_of_ours(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x93" * (folder / name).stat().st_size)
    with pytest.raises((DataError, ToolError), match="damaged"):
        SearchIndex.open(folder).search("acorns", 1)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"plan"', '"plan', "damaged or of another version"),
        ('"passages"', '"texts"', "damaged or of another version"),
        ('"format": 1', '"format": 2', "index format 2"),
        ("bm25.words.json", "../words.json", "a file outside its folder"),
    ],
)
def test_a_damaged_manifest(folder: Path, old: str, new: str, complaint: str) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=complaint):
        SearchIndex.open(folder)


def test_no_index_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder: `toolformer index build` makes an index"):
        SearchIndex.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no finished index"):
        SearchIndex.open(tmp_path)


def test_a_bm25_index_wants_no_model(folder: Path) -> None:
    with pytest.raises(DataError, match="made without a model"):
        SearchIndex.open(folder, model="some/model")


class Bomb:
    """What a pickle would run."""

    went_off = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return setattr, (Bomb, "went_off", True)


@pytest.mark.parametrize("name", [name for name in index_files() if name.endswith(".npy")])
def test_nothing_is_unpickled(folder: Path, name: str) -> None:
    np.save(folder / name, np.array([Bomb()], dtype=object), allow_pickle=True)
    manifest = read_manifest(folder)
    sealed = index_folder.Seal((folder / name).stat().st_size, sha256(folder / name))
    forged = dataclasses.replace(manifest, files={**manifest.files, name: sealed})
    (folder / "manifest.json").write_text(forged.to_json())
    with pytest.raises(DataError, match="damaged"):
        SearchIndex.open(folder, verify=True)
    assert not Bomb.went_off


# Somebody else's hands


def test_what_others_can_write_is_used_with_a_warning(
    folder: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (folder, folder / "manifest.json", folder / index_folder.PASSAGES):
        mode = path.stat().st_mode
        for others in (0o020, 0o002):
            path.chmod(mode | others)
            caplog.clear()
            assert len(SearchIndex.open(folder)) == len(PASSAGES)
            (record,) = caplog.records
            assert record.getMessage().startswith(f"{path} can be written by other users (mode ")
            build_index(source, folder)
        path.chmod(mode)
    caplog.clear()
    assert len(SearchIndex.open(folder)) == len(PASSAGES)
    assert not caplog.records


def test_a_colleagues_index_is_used_with_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if os.geteuid() == 0:
        os.chown(folder / index_folder.OFFSETS, 12_345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert len(SearchIndex.open(folder)) == len(PASSAGES)
    assert "belongs to another user" in caplog.text


def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / index_folder.PASSAGES
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="is a link"):
        SearchIndex.open(folder)


def test_a_careless_umask_does_no_harm(tmp_path: Path, source: Path) -> None:
    before = os.umask(0)
    try:
        build_index(source, tmp_path / "deep" / "index")
    finally:
        os.umask(before)
    assert titles(SearchIndex.open(tmp_path / "deep" / "index"), "acorns") == ["Oak"]


@pytest.mark.parametrize(
    "changed",
    [
        {"files": {}},
        {"files": None},
        {"passages": float("inf")},
        {"passages": 10**400},
        {"passages": "6"},
        {"passages": -1},
        {"plan": [1]},
        {"more": 1},
    ],
)
def test_a_manifest_that_cannot_be(folder: Path, changed: dict[str, object]) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(DataError, match=r"manifest\.json .*build the index anew"):
        SearchIndex.open(folder)


def test_a_manifest_without_an_end(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="nested too deep"):
        read_manifest(folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="no plain file"):
        read_manifest(folder)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="no plain file"):
        read_manifest(folder)
