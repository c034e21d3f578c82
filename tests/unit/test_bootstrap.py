"""Rounds, with the built-in model: what each learns from, when they end, and that they go on where they were."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_finetune_run import in_a_process
from toolformer.bootstrap import Round, Rounds, Watch, bootstrap
from toolformer.bootstrap.rounds import best, table, why_ended
from toolformer.bootstrap.rounds_folder import RoundsFolder
from toolformer.bootstrap.stages import Run
from toolformer.cli import main
from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.method import Method
from toolformer.data_gen.reread import Corpus
from toolformer.errors import ConfigError, DataError, ToolUnavailable
from toolformer.finetune import TrainConfig, train
from toolformer.loading import Loading
from toolformer.tools.calculator import Calculator

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
BUILTIN = Path(__file__).parents[2] / "toolformer" / "builtin" / "corpus.jsonl"
CORPUS = Corpus(BUILTIN, limit=48, known_column="truth")
QUICK = TrainConfig(steps=2, batch_size=4, device_batch=4, held_out=0.2, evaluate_every=2)
FLAGS = "--tools calculator --limit 48 --known truth --steps 2 --batch-size 4 --device-batch 4 --held-out 0.2"


def rounds(out: Path, number: int = 2, config: TrainConfig = QUICK, watch: Watch | None = None, **more: Any) -> Rounds:
    return bootstrap(CORPUS, [Calculator()], out, rounds=number, config=config, watch=watch, **more)


def command(out: Path, *flags: str) -> int:
    try:
        main(["bootstrap", str(BUILTIN), "--out", str(out), "--evaluate-every", "2", *FLAGS.split(), *flags])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds, from the command line."""
    out = tmp_path_factory.mktemp("rounds") / "out"
    assert command(out, "--rounds", "2") == 0
    return out


def said(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "rounds.json").read_text())
    return content


def calls(*folders: Path) -> set[tuple[str, int, str]]:
    kept = [text for folder in folders for text in AnnotatedFolder(folder / "annotated").kept()]
    return {(text.id, one.start, "".join(one.call.input.split())) for text in kept for one in text.calls}


def test_each_rounds_model_writes_calls_for_the_next(whole: Path) -> None:
    one, two = (whole / f"round-{n}" for n in (1, 2))
    first, second = (json.loads((folder / "annotated" / "config.json").read_text()) for folder in (one, two))
    assert first["sampler"]["rules"]
    ranking, writing = second["sampler"]["several"]
    assert ranking["rules"]
    assert writing["model"] == ranking["model"] == str((one / "model").resolve())
    assert first["model_fingerprint"] == second["model_fingerprint"] != writing["fingerprint"]
    told = [json.loads((folder / "model" / "training.json").read_text()) for folder in (one, two)]
    assert [run["model"] for run in told] == ["builtin", "builtin"]
    # Both are measured on the same texts, and the base model's perplexities say that these are the same.
    assert told[0]["texts"]["held_out"] == told[1]["texts"]["held_out"] > 0
    assert told[0]["results"]["before"] == pytest.approx(told[1]["results"]["before"])


def test_what_is_known_of_each_round_is_written_down(whole: Path) -> None:
    content = said(whole)
    one, two = content["rounds"]
    assert content["ended"] == "all rounds are done"
    assert content["best"]["model"] in (one["model"], two["model"])
    assert one["texts"] == two["texts"] == 48
    assert one["together"] == sum(one["calls"].values()) == len(calls(whole / "round-1"))
    assert one["together"] <= two["together"] <= len(calls(whole / "round-1", whole / "round-2"))
    for number, done in enumerate((one, two), 1):
        assert done["known"] == len(calls(whole / f"round-{number}")) >= done["right"] > 0
        assert done["share_right"] == done["right"] / done["known"]
        assert done["perplexity"].keys() == {"calls", "plain"}
        assert done["tokens"]["annotated"] > done["tokens"]["learnt"] > 0
        assert done["thresholds"].keys() == {"Calculator"}
    assert "truth" not in (whole / "round-1" / "annotated" / "kept" / "00000.jsonl").read_text()


def test_a_round_learns_nothing_of_places_that_were_left_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    real = train

    def spy(*args: Any, **more: Any) -> Any:
        given.append(more)
        return real(*args, **more)

    monkeypatch.setattr("toolformer.finetune.train", spy)
    rounds(tmp_path / "out", 1, replace(QUICK, spare_undecided=True))
    rejected = list(AnnotatedFolder(tmp_path / "out" / "round-1" / "annotated").rejected())
    starts = {start for places in given[0]["undecided"].values() for start in places}
    assert starts
    assert starts <= {one.start for one in rejected if one.result is not None}
    rounds(tmp_path / "other", 1)
    assert given[1]["undecided"] == {}


def test_a_round_waits_for_the_network(tmp_path: Path) -> None:
    class Reached(Calculator):
        there = False
        traits = replace(Calculator().traits, in_process=True)

        def __call__(self, text: str, /) -> str:
            if not Reached.there:
                raise ToolUnavailable("no route to host")
            return super().__call__(text)

    def run() -> Rounds:
        return bootstrap(CORPUS, [Reached()], tmp_path / "out", rounds=1, config=QUICK)

    with pytest.raises(DataError, match="calls of round 1 failed because a server could not be reached"):
        run()
    assert said(tmp_path / "out")["rounds"] == []
    Reached.there = True
    assert run().best.right > 0


def test_a_finished_run_only_says_what_came_out(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (whole / "rounds.json").read_bytes()
    assert command(whole, "--rounds", "2") == 0
    out, error = capsys.readouterr()
    head, one, two, ended, chat = out.splitlines()
    assert head.split()[:3] == ["round", "texts", "calls"]
    assert [line.split()[0] for line in (one, two)] == ["1", "2"]
    assert ended == "All rounds are done."
    assert chat.startswith("Round ")
    assert chat.endswith(f"toolformer chat --model {said(whole)['best']['model']}")
    assert error == ""
    assert (whole / "rounds.json").read_bytes() == before


def test_other_settings_and_other_texts_are_refused(whole: Path) -> None:
    with pytest.raises(DataError, match="made with other settings: steps was 2 and is 3"):
        rounds(whole, config=replace(QUICK, steps=3))
    with pytest.raises(DataError, match="made with other settings: corpus was"):
        bootstrap(replace(CORPUS, limit=47), [Calculator()], whole, rounds=2, config=QUICK)
    with pytest.raises(DataError, match=r"holds something else \(annotated\)"):
        rounds(whole / "round-1")


class Killed(Watch):
    """The process is killed where a stage of a round begins."""

    def __init__(self, stage: str, number: int) -> None:
        self.moment = (stage, number)

    def annotating(self, number: int) -> AbstractContextManager[Any]:
        self._at("annotating", number)
        return super().annotating(number)

    def training(self, number: int) -> AbstractContextManager[Any]:
        self._at("training", number)
        return super().training(number)

    def _at(self, *moment: object) -> None:
        if moment == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)


def test_killed_between_stages_it_goes_on_and_more_rounds_go_on_too(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert in_a_process(lambda: rounds(out, 1, watch=Killed("training", 1))) == -signal.SIGKILL
    assert [one["model"] for one in said(out)["rounds"]] == [None]
    stages: list[tuple[str, int]] = []

    class Noting(Watch):
        def annotating(self, number: int) -> AbstractContextManager[Any]:
            stages.append(("annotating", number))
            return super().annotating(number)

        def training(self, number: int) -> AbstractContextManager[Any]:
            stages.append(("training", number))
            return super().training(number)

    assert len(rounds(out, 1, watch=Noting()).rounds) == 1
    assert in_a_process(lambda: rounds(out, 2, watch=Killed("training", 2))) == -signal.SIGKILL
    rounds(out, 2, watch=Noting())
    assert stages == [("training", 1), ("training", 2)]
    for name in ("annotated/kept/00000.jsonl", "model/adapter_model.safetensors"):
        for number in (1, 2):
            assert (out / f"round-{number}" / name).read_bytes() == (whole / f"round-{number}" / name).read_bytes()


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    for number, config, match in ((0, QUICK, "rounds=0"), (1, replace(QUICK, control=True), "control trains without")):
        with pytest.raises(ConfigError, match=match):
            rounds(tmp_path / "out", number, config)
    with pytest.raises(ConfigError, match="no sampler is called 'ruls'"):
        rounds(tmp_path / "out", sampler="ruls")
    with pytest.raises(ConfigError, match="has a comma in its name"):
        rounds(tmp_path / "a,b")
    plain = tmp_path / "plain.txt"
    plain.write_text("The river was quiet and green.")
    # Nothing of a round was there yet, so other settings are right.
    with pytest.raises(DataError, match="round 1 kept no call in .* give more texts, other tools, or a lesson"):
        bootstrap(plain, [Calculator()], tmp_path / "out", config=QUICK)


def done(number: int, together: int, calls: float | None) -> Round:
    perplexity = {} if calls is None else {"calls": calls, "plain": 5.0}
    return Round(number, 100, 10, {"Calculator": 20}, 10, together, {}, perplexity=perplexity, model=f"round-{number}")


@pytest.mark.parametrize(
    ("together", "perplexity", "ended"),
    [(104, 5.0, True), (106, 5.1, False), (104, 4.9, False), (104, None, True), (106, None, False)],
)
def test_a_round_that_gains_nothing_is_the_last(together: int, perplexity: float | None, ended: bool) -> None:
    """Neither 5% more calls, nor a lower loss on held-out ones."""
    first = done(1, 100, None if perplexity is None else 5.0)
    why = why_ended([first, done(2, together, perplexity)], 3)
    assert why == ("round 2 gained nothing: hardly a new call, and no lower loss on held-out calls" if ended else None)
    assert why_ended([], 1) is why_ended([first], 2) is None
    assert why_ended([first], 1) == "all rounds are done"


def test_the_best_round_has_the_lowest_loss_on_calls() -> None:
    assert best([done(1, 9, 5.0), done(2, 9, 4.0), done(3, 9, 4.0)]).number == 2
    assert best([done(1, 9, None), done(2, 9, None)]).number == 2


def test_a_round_is_read_as_it_was_written_and_shown_on_a_line() -> None:
    one = replace(done(1, 20, 4.0), known=8, right=6, seconds={"annotated": 70.0, "trained": 13.0})
    assert Round.read(json.loads(json.dumps(one.settings()))) == one
    lines: Iterator[str] = table([one, done(2, 30, None)])
    assert [line.split() for line in lines][1:] == [
        ["1", "10", "20", "0.20", "75%", "20", "4", "5", "1", "min", "23", "s"],
        ["2", "10", "20", "0.20", "30", "0", "s"],
    ]


def test_a_folder_of_the_name_of_the_shipped_model_is_not_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "builtin").mkdir()
    monkeypatch.chdir(tmp_path)
    told = {"lessons": [], "method": Method(), "passage_tokens": 64, "shard_size": 8}
    run = Run(CORPUS, [], "builtin", "rules", QUICK, Loading(), Watch(), told)
    assert run.settings()["model"] == "builtin"
    assert replace(run, model="./builtin").settings()["model"] == str(tmp_path / "builtin")


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": {}},
        {"rounds": [1]},
        {"rounds": [{"number": 10**400}]},
        {"settings": []},
    ],
)
def test_rounds_that_cannot_be(tmp_path: Path, change: dict[str, object]) -> None:
    with RoundsFolder(tmp_path, {"a": 1}):
        pass
    (tmp_path / "rounds.json").write_text(json.dumps(said(tmp_path) | change))
    with pytest.raises(DataError, match=r"rounds\.json cannot be read"), RoundsFolder(tmp_path, {"a": 1}):
        pass
