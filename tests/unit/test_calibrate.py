"""A run finds its thresholds on its first shards, keeps by them, and after any kill goes on with the same."""

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_annotator import PAPER, TextLM
from tests.unit.test_run import content
from toolformer import DataError, Tool, Toolbox, ToolUnavailable, Traits
from toolformer.data_gen import Document, annotate, calibrate, run_folder
from toolformer.data_gen import threshold as module
from toolformer.data_gen.calibrate import Calibration
from toolformer.data_gen.method import PAPER as AS_PAPER
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.shards import Progress, run
from toolformer.data_gen.threshold import Threshold, threshold
from toolformer.tools.calculator import Calculator


def test_what_was_found_is_read_back() -> None:
    known = Calibration({"Calculator": threshold([0.5, 0.7], [0.1, -0.2]), "QA": Threshold(1.0, 2, None, 1, False)}, 3)
    again = Calibration.read(json.loads(json.dumps(known.settings())))
    assert again == known
    assert again.values == {"Calculator": known.thresholds["Calculator"].value, "QA": 1.0}


class Adds(TextLM):
    """Writes the sum that a text asks for, and is helped by it; by another's result much less."""

    def __init__(self) -> None:
        super().__init__(opens=self.opened, says=self.said, loss=self.lost)

    @staticmethod
    def opened(prompt: str, text: str, position: int) -> float:
        return 0.5 if re.match(r" \d+ boxes", text[position:]) and text[position - 1] == "s" else 0.01

    @staticmethod
    def said(behind: str, seed: int) -> str:
        first, second = re.findall(r"add (\d+) and (\d+)", behind)[-1]
        return f"{first} + {second})]"

    @staticmethod
    def lost(prefix: str, text: str, position: int) -> float:
        asked = re.search(r" (\d+) boxes", text)
        if not asked or position != asked.start() or "-> " not in prefix:
            return 2.0
        number = int(asked[1])
        gain = (number // 3 % 10) / 10 + 0.1 if f"-> {number}]" in prefix else (number // 3 % 7) / 30
        return 2.0 - gain


def sums(count: int) -> list[Document]:
    return [
        Document(f"d{n}", f"Text {n}: we add {n} and {2 * n}, which is {3 * n} boxes.") for n in range(100, 100 + count)
    ]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "DOCUMENTS", 24)
    monkeypatch.setattr(calibrate, "RARE", 24)
    for one in (module, calibrate):
        monkeypatch.setattr(one, "FEWEST", 20)


LESSON = replace(PAPER, samples=1)


def annotated(out: Path, workers: int = 1, count: int = 60, tool: Tool | None = None) -> Progress:
    progress = Progress()
    with Toolbox([tool or Calculator()]) as box:
        model = Adds()  # one for all: ids of a scripted model are its own
        annotators = [Annotator(model, box, [LESSON]) for _ in range(workers)]
        run(annotators, iter(sums(count)), out, {}, progress, shard_size=10)
    return progress


def test_a_tool_with_too_few_calls_is_waited_for_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "FEWEST", 35)  # a call a text; shards of ten; 24 texts would do otherwise

    def looked_at(name: str) -> int:
        annotated(tmp_path / name)
        found: int = json.loads((tmp_path / name / "config.json").read_text())["thresholds"]["found_on_shards"]
        return found

    assert looked_at("limit") == 3
    monkeypatch.setattr(calibrate, "RARE", 100)
    assert looked_at("waited") == 4
    monkeypatch.setattr(calibrate, "FEWEST", 20)
    assert looked_at("enough") == 3


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]


def thresholds(out: Path) -> dict[str, Any]:
    found = json.loads((out / "config.json").read_text())["thresholds"]
    assert isinstance(found, dict)
    return found


def test_a_run_finds_its_thresholds_on_its_first_shards_and_keeps_by_them(tmp_path: Path) -> None:
    annotated(tmp_path)
    found = thresholds(tmp_path)
    # 24 texts are reached with the third shard of ten.
    assert found["found_on_shards"] == 3
    said = found["tools"]["Calculator"]
    assert (said["found"], said["candidates"]) == (True, 30)
    # The calls gain 0.1 to 1.0, three of each. Decoys gain 0 to 0.2: of 30 calls, 0.2 is reached by four or five.
    assert said["value"] == pytest.approx(0.299, abs=2e-3)
    assert (said["kept"], said["share"]) == (24, 0.0)
    assert (sum(said["gains"]), sum(said["decoys"])) == (30, 300)
    kept, rejected = rows(tmp_path / "kept"), rows(tmp_path / "rejected")
    assert len(kept) == 48
    assert min(call["gain"] for row in kept for call in row["calls"]) == pytest.approx(0.3)
    assert {row["reason"] for row in rejected} == {f"gains less than {said['value']:g}"}
    assert '"thresholds"' in (tmp_path / "README.md").read_text()


def test_without_auto_there_is_nothing_to_find(tmp_path: Path) -> None:
    annotate(sums(30), [Calculator()], tmp_path, model=Adds(), lessons=[LESSON], method=AS_PAPER, shard_size=10)
    assert "thresholds" not in json.loads((tmp_path / "config.json").read_text())


def test_what_is_written_is_the_same_for_three_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most = 0, 0
    score_shard = calibrate.score_shard

    def counted(annotator: Annotator, documents: Sequence[Document]) -> calibrate.ScoredShard:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.05)
        at_once -= 1
        return score_shard(annotator, documents)

    annotated(tmp_path / "one")
    monkeypatch.setattr(calibrate, "score_shard", counted)
    assert annotated(tmp_path / "three", workers=3).documents == 60
    assert content(tmp_path / "three") == content(tmp_path / "one")
    assert most == 3  # the thresholds are found by all of them


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("workers", "every"), [(1, 1), (3, 4)])
def test_killed_at_every_write_it_uses_the_same_thresholds_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, every: int
) -> None:
    annotated(tmp_path / "whole", count=40)
    write = run_folder.write_file
    for kill in range(1, 100, every):
        left = kill

        def dies(file: Path, text: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed
            write(file, text)

        out = tmp_path / f"killed-{kill}"
        with monkeypatch.context() as patched:
            patched.setattr(run_folder, "write_file", dies)
            try:
                annotated(out, workers, 40)
            except Killed:
                before = (out / "config.json").exists() and "thresholds" in (out / "config.json").read_text()
            else:
                break
        known = thresholds(out) if before else None
        annotated(out, workers, 40)
        assert known is None or thresholds(out) == known
        assert content(out) == content(tmp_path / "whole")
    # config.json twice, three files for each of four shards, and two at the end.
    assert kill == 2 + 3 * 4 + 2 + 1


def test_a_run_that_goes_on_scores_its_first_shards_as_it_did(tmp_path: Path) -> None:
    """Of a shard on which the thresholds were found, all calls are scored, whatever they gain."""
    annotated(tmp_path / "out")
    whole = content(tmp_path / "out")
    for name in ("00001", "00004"):
        (tmp_path / "out" / "shards" / f"{name}.json").unlink()
    assert annotated(tmp_path / "out").resumed == 40
    assert content(tmp_path / "out") == whole


class OverNetwork:
    """A calculator that asks a server, which is away for some sums."""

    name, description, traits = "Calculator", "Adds up, elsewhere.", Traits(in_process=True)

    def __init__(self, away: Callable[[int], bool] = lambda first: False) -> None:
        self.away = away

    def __call__(self, text: str, /) -> str:
        if self.away(int(text.split(" + ")[0])):
            raise ToolUnavailable("calc.example cannot be reached")
        return Calculator()(text)


def test_thresholds_that_lacked_calls_are_found_again_when_those_are_there(tmp_path: Path) -> None:
    annotated(tmp_path / "whole", tool=OverNetwork())
    # Of the 30 texts that they are found on, those of the small gains are missing.
    first = annotated(tmp_path / "out", tool=OverNetwork(lambda first: first < 130 and first % 10 < 4))
    found = thresholds(tmp_path / "out")
    assert (first.unavailable, found["unavailable"]) == (12, 12)
    assert found["tools"]["Calculator"]["value"] != thresholds(tmp_path / "whole")["tools"]["Calculator"]["value"]
    # As long as any is missing, the thresholds stay, and so does what is done.
    second = annotated(tmp_path / "out", tool=OverNetwork(lambda first: first == 101))
    assert (second.unavailable, second.resumed, thresholds(tmp_path / "out")) == (1, 30, found)
    third = annotated(tmp_path / "out", tool=OverNetwork())
    assert (third.unavailable, third.resumed) == (0, 0)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert annotated(tmp_path / "out", tool=OverNetwork()).resumed == 60


def test_the_same_thresholds_found_again_undo_nothing(tmp_path: Path) -> None:
    annotated(tmp_path / "whole", tool=OverNetwork())
    annotated(tmp_path / "out", tool=OverNetwork(lambda first: first == 105))
    assert thresholds(tmp_path / "out")["unavailable"] == 1
    assert annotated(tmp_path / "out", tool=OverNetwork()).resumed == 50
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_an_edited_input_undoes_nothing(tmp_path: Path) -> None:
    annotated(tmp_path / "out", tool=OverNetwork(lambda first: first < 130 and first % 10 < 4))
    before = content(tmp_path / "out")
    edited = [replace(one, text=one.text + "!") if one.id == "d105" else one for one in sums(60)]
    with Toolbox([OverNetwork()]) as box, pytest.raises(DataError, match="the input has changed: shard 0"):
        run([Annotator(Adds(), box, [LESSON])], iter(edited), tmp_path / "out", {}, Progress(), shard_size=10)
    assert content(tmp_path / "out") == before


def test_a_run_without_scored_calls_has_the_lessons_number(tmp_path: Path) -> None:
    with Toolbox([Calculator()]) as box:
        run([Annotator(TextLM(), box, [LESSON])], iter(sums(3)), tmp_path, {}, Progress())
    assert thresholds(tmp_path)["tools"]["Calculator"]["value"] == LESSON.filtering_threshold


def one(**changed: object) -> Callable[[dict[str, Any]], object]:
    return lambda said: {**said, "tools": {"Calculator": said["tools"]["Calculator"] | changed}}


@pytest.mark.parametrize(
    "change",
    [
        lambda said: "none",
        lambda said: [],
        lambda said: {},
        lambda said: {**said, "tools": []},
        lambda said: {**said, "tools": {}},
        lambda said: {**said, "tools": {"Calculator": 3}},
        lambda said: {**said, "tools": {"Calculator": {"value": 0.3}}},
        lambda said: {**said, "tools": {"QA": said["tools"]["Calculator"]}},
        lambda said: {**said, "found_on_shards": "3"},
        lambda said: {**said, "found_on_shards": -1},
        lambda said: {**said, "found_on_shards": True},
        lambda said: {**said, "unavailable": "some"},
        one(value="0.3"),
        one(value=math.inf),
        one(value=math.nan),
        one(value=10**400),
        one(share="much"),
        one(kept=None),
        one(found="yes"),
        one(gains=3),
        one(gains=["x"]),
        one(more=1),
    ],
)
def test_damaged_thresholds_are_said(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    annotated(tmp_path, count=30)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    config["thresholds"] = change(config["thresholds"])
    file.write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"config\.json .*the folder is damaged"):
        annotated(tmp_path, count=30)


def test_progress_says_how_many_texts_were_scored(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    progress = Progress()
    with Toolbox([Calculator()]) as box:
        run(
            [Annotator(Adds(), box, [LESSON])], iter(sums(40)), tmp_path, {}, progress, shard_size=10,
            on_progress=lambda now: seen.append((now.scored, now.documents)),
        )  # fmt: skip
    assert seen == [(10, 0), (20, 0), (30, 0), (30, 10), (30, 20), (30, 30), (30, 40), (30, 40)]
