"""The bench of engines: each annotates the same, and what starting costs is taken off."""

from pathlib import Path

import pytest

from tests import bench_engines
from tests.unit.test_datatrove import CORPUS


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    lines = CORPUS.read_text("utf-8").splitlines(keepends=True)[:6]
    (tmp_path / "corpus.jsonl").write_text("".join(lines), "utf-8")
    return tmp_path / "corpus.jsonl"


def test_engines_keep_the_same(corpus: Path, tmp_path: Path) -> None:
    one, *others = (
        bench_engines.ENGINES[name](corpus, "builtin", tmp_path / name) for name in ("one", "workers", "datatrove")
    )
    assert one
    assert others == [one, one]


def test_the_table_takes_off_what_starting_costs(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [("1", "a [Calculator(1 + 1) -> 2] 2")]
    took = iter([(3.0, kept), (13.0, kept), (5.0, kept), (10.0, [])])
    monkeypatch.setattr(bench_engines, "_timed", lambda *asked: next(took))
    assert [*bench_engines.table(corpus, "builtin", 20, ["one", "workers"])][2:] == [
        "| one | 3.0 | 10.0 | 2.00 | 1.00 | yes, 1 texts |",
        "| workers | 5.0 | 5.0 | 4.00 | 2.00 | no, 0 texts |",
    ]
