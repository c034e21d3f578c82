"""What a run wrote and reads again: whatever stands there now, it is a ValueError or of the type that was written."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.run_folder import RunFolder
from toolformer.data_gen.shard_records import Shard
from toolformer.errors import DataError
from toolformer.eval.results import costs
from toolformer.own_json import made_of, parse_own, read_own


@dataclass(frozen=True)
class Inner:
    name: str
    count: int = 1


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    share: float | None
    inner: tuple[Inner, ...] = ()
    by_name: Mapping[str, int] | None = None


def test_what_was_written_is_made_again() -> None:
    said = json.loads('{"kind": "a", "share": 1, "inner": [{"name": "x"}], "by_name": {"y": 2}}')
    assert made_of(Outer, said) == Outer("a", 1, (Inner("x"),), {"y": 2})
    assert made_of(Outer, {"kind": "b"}, share=None) == Outer("b", None)


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"kind": "a"},
        {"kind": "c", "share": 1},
        {"kind": "a", "share": "1"},
        {"kind": "a", "share": True},
        {"kind": "a", "share": 1, "more": 1},
        {"kind": "a", "share": 1, "inner": [{"name": 1}]},
        {"kind": "a", "share": 1, "inner": [{"name": "x", "count": 1.0}]},
        {"kind": "a", "share": 1, "inner": [{"name": "x", "count": 2**64}]},
        {"kind": "a", "share": 1, "inner": [1]},
        {"kind": "a", "share": 1, "inner": {"name": "x"}},
        {"kind": "a", "share": 1, "by_name": {"y": None}},
    ],
)
def test_what_was_not_written_is_refused(said: object) -> None:
    with pytest.raises(ValueError, match=r"is missing|cannot be|is an object|nothing is called"):
        made_of(Outer, said)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "Infinity",
        "1e999",
        str(10**400),
        "9" * 5000,
        "[" * 100_000,
        '{"a":' * 3000 + "1" + "}" * 3000,
        "7",
        '"\\',
    ],
)
def test_numbers_and_nesting(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        parse_own(f'{{"a": {text}}}' if text != "7" else text)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="no plain file"):
            read_own(path)


BAD = (str(10**400), "1e999", "NaN", '"1"', "[1]", "null", "-1.5", "[" * 10_000 + "]" * 10_000)


@pytest.mark.parametrize("name", ["documents", "annotated", "digest", "funnel"])
@pytest.mark.parametrize("value", BAD)
def test_a_shard_that_cannot_be(tmp_path: Path, name: str, value: str) -> None:
    with RunFolder(tmp_path, {}) as folder:
        folder.commit(0, [], [], Shard(1, 0, "d", {"QA": {"kept": 1}}))
        path = tmp_path / "shards" / "00000.json"
        said = json.loads(path.read_text())
        path.write_text(json.dumps(said | {name: "@"}).replace('"@"', value))
        if name == "digest" and value == '"1"':
            return
        with pytest.raises(DataError, match="the folder is damaged"):
            folder.done(0)


@pytest.mark.parametrize("value", [str(10**400), "1e999", "NaN", '"1"'])
def test_a_loss_that_cannot_be(tmp_path: Path, value: str) -> None:
    (tmp_path / "kept").mkdir()
    call = f'{{"tool": "QA", "input": "a", "result": "b", "start": 0, "gain": {value}}}'
    (tmp_path / "kept" / "00000.jsonl").write_text(f'{{"id": "a", "text": "a", "annotated": "a", "calls": [{call}]}}\n')
    with pytest.raises(DataError, match="line 1 is damaged"):
        list(AnnotatedFolder(tmp_path).kept())


def test_of_costs_only_what_is_torn_is_lost(tmp_path: Path) -> None:
    good = {"task": "t", "k": 1, "asked": 1, "seconds": 2.0, "waited": 0.0, "tokens": 3}
    lines = [json.dumps(good | {"seconds": "@"}).replace('"@"', value) for value in BAD]
    lines += [json.dumps(good | {"tokens": "@"}).replace('"@"', value) for value in BAD]
    (tmp_path / "cost.jsonl").write_bytes(("\n".join([json.dumps(good), *lines]) + "\n\xff\n").encode("latin-1"))
    (cost,) = costs(tmp_path).values()
    assert (cost.asked, cost.seconds, cost.tokens) == (1, 2.0, 3)
