"""Where a call was needed: asked with calls disabled and with one forced, sorted, counted, and shown."""

from pathlib import Path

import pytest

from tests.fakes import ScriptedLM
from tests.unit.test_eval_run import bytes_of, data, settings
from toolformer.errors import ConfigError, DataError
from toolformer.eval.eval_report import write_reports
from toolformer.eval.evaluating import evaluate
from toolformer.eval.need import POINTS, kind, need
from toolformer.eval.need_report import need_grids
from toolformer.eval.outcomes import CallMade, Outcome, read_outcomes
from toolformer.eval.results import costs, results, write_results
from toolformer.tools.calculator import Calculator

__all__ = ["data"]


def follows(said: str) -> dict[str, float]:
    """Says "It is 4"; a call is likeliest behind "is", never the likeliest token, and behind it comes its result.

    About 3 eggs it calls with what is no sum. A call about 2 eggs is made at once, and is wrong there.
    """
    _, _, asked = said.rpartition("The answer is")
    eggs = said.partition("Ann had ")[2][:1]
    before, opened, call = asked.partition("<API>")
    if opened:
        sum_ = {"3": "x + 3", "1": "1 + 9"}.get(eggs, f"{eggs} + 3")
        text = f" Calculator({sum_})→"
        if "</API>" in call:
            _, _, behind = call.rpartition("</API>")
            result = call.rpartition("→")[2].removesuffix("</API>" + behind).strip()
            answer = f" {result}\n\n"
            return {answer[len(behind)]: 0.9}
        return {"→" if text[len(call)] == "→" else text[len(call)]: 0.9}
    text = " It is 4\n\n"
    chance = {" It is": 0.3, "": 0.2}.get(before, 0.01)
    return {text[len(before)]: 0.6, "<API>": chance} if text.startswith(before) and before != text else {"\0END": 1.0}


def test_a_call_is_forced_where_it_was_likeliest_and_nowhere_else(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data, k=(1, 2), need=True), out)
    _, disabled = read_outcomes(out / "examples" / "svamp-k0-000.jsonl")
    _, forced = read_outcomes(out / "forced" / "svamp-000.jsonl")
    assert {one.place for one in disabled} == {len(" It is")}
    assert [one.raw for one in forced[:3]] == [
        " It is<API> Calculator(1 + 9) → 10 </API> 10",
        " It is<API> Calculator(2 + 3) → 5 </API> 5",
        " It is 4",
    ]
    assert forced[2].calls[0].undone
    assert forced[2].calls[0].start == len(" It is")
    # The opening was made certain; what stands there is what the model itself gave it.
    assert [(one.probability, one.rank) for one in forced] == [(one.probability, one.rank) for one in disabled]
    assert disabled[0].probability == forced[0].calls[0].probability == pytest.approx(0.3, abs=1e-3)
    assert (disabled[0].rank, forced[0].calls[0].rank) == (1, 1)


def outcome(id_: str, right: bool, called: bool = False, p: float = 0.0, rank: int = 0) -> Outcome:
    calls = (CallMade(0, "Calculator", "2 + 3", "5", "", p, rank),) if called else ()
    return Outcome(id_, "g", 0.0, "asked", ("5",), " 5", " 5", "5", float(right), calls, p, rank)


SIX = [  # right without, right with, the opening's probability and rank
    ("a", False, True, 0.9, 0),
    ("b", False, True, 0.4, 3),
    ("c", True, True, 0.6, 1),
    ("d", True, False, 0.3, 2),
    ("e", False, False, 0.2, 9),
    ("f", False, False, 0.1, -1),
]
DISABLED = [outcome(id_, without, p=p, rank=rank) for id_, without, _, p, rank in SIX]
FORCED = [outcome(id_, with_call, called=id_ != "f", p=p, rank=rank) for id_, _, with_call, p, rank in SIX]
AT_ONE = [
    outcome(id_, with_call if id_ in "acd" else without, called=id_ in "acd") for id_, without, with_call, *_ in SIX
]


def test_an_example_is_of_one_of_four_kinds() -> None:
    assert [kind(*pair) for pair in zip(DISABLED, FORCED, strict=True)] == [
        "needed",
        "needed",
        "idle",
        "harmful",
        "hopeless",
        "hopeless",
    ]


def test_what_is_counted_of_six_examples_by_hand() -> None:
    found = need({0: DISABLED, 1: AT_ONE}, FORCED)
    assert found["kinds"] == {"needed": 2, "idle": 1, "harmful": 1, "hopeless": 2}
    assert found["no_call"] == 1
    # Needed: a and b. By probability a beats all four others, b all but c: 7 of 8. By rank b is behind c and d: 6 of 8.
    assert found["told_by"]["probability"]["auroc"] == 0.875
    assert found["told_by"]["rank"]["auroc"] == 0.75
    # Calls in the order a, c, b, d, e, f: of the first one none is idle, of the first two one, and so on.
    assert found["told_by"]["probability"]["risk"] == round((0 + 1 / 2 + 1 / 3 + 2 / 4 + 3 / 5 + 4 / 6) / 6, 6)
    # In the order a, c, d, b, e, f.
    assert found["told_by"]["rank"]["risk"] == round((0 + 1 / 2 + 2 / 3 + 2 / 4 + 3 / 5 + 4 / 6) / 6, 6)
    third = 1 / 3
    expected = [(0, third), (1 / 6, 0.5), (2 / 6, 0.5), (3 / 6, 4 / 6), (4 / 6, 0.5), (5 / 6, 0.5), (1, 0.5)]
    assert found["told_by"]["probability"]["curve"] == [(round(x, 6), round(y, 6)) for x, y in expected]
    # f was not looked at. The rest are alone in their tenths: a is off by 0.1, b by 0.6, the others by all they have.
    assert found["calibration"]["error"] == round((0.1 + 0.6 + 0.6 + 0.3 + 0.2) / 5, 6)
    # At k = 1, a, c and d are called: one was needed, one of two. 2 of 6 are right, as without calls.
    assert found["k"].keys() == {"1"}
    real = found["k"]["1"]
    assert (real["called"], real["precision"], real["recall"], real["f1"]) == (3, 0.333333, 0.5, 0.4)
    assert (real["accuracy"], real["gained_per_call"]) == (0.333333, 0.0)
    assert real["saved"] == {"probability": 3, "rank": 3}


@pytest.mark.parametrize(("examples", "points"), [(99, 100), (100, 51), (199, 68), (200, 68), (1000, 92)])
def test_of_a_long_curve_a_hundred_points_are_kept_and_its_ends_among_them(examples: int, points: int) -> None:
    some = [outcome(f"{n}", False, p=1 / (n + 2)) for n in range(examples)]
    curve = need({0: some}, [outcome(one.id, True, called=True) for one in some])["told_by"]["probability"]["curve"]
    assert (len(curve), curve[0], curve[-1]) == (points, (0.0, 0.0), (1.0, 1.0))
    assert len(curve) <= POINTS


def test_without_needs_or_calls_nothing_is_divided() -> None:
    one = [outcome("a", False)]
    found = need({0: one, 3: one}, one)
    assert found["told_by"]["probability"]["auroc"] is None
    real = found["k"]["3"]
    assert [real[name] for name in ("precision", "recall", "f1", "gained_per_call")] == [None] * 4
    better = [outcome("a", True)]
    assert need({0: one, 3: better}, one)["k"]["3"]["saved"] == {"probability": None, "rank": None}


def test_a_run_without_need_is_gone_on_with_and_the_disabled_run_is_not_asked_again(tmp_path: Path, data: Path) -> None:
    out, tools = tmp_path / "out", [Calculator()]
    evaluate(ScriptedLM(follows=follows), tools, settings(data, k=(0, 1)), out)
    assert "need" not in results(out)["tasks"]["svamp"]
    totals: list[int] = []
    chosen = settings(data, k=(0, 1), need=True)
    evaluate(ScriptedLM(follows=follows), tools, chosen, out, on_progress=lambda p: totals.append(p.total))
    assert set(totals) == {6}
    found = write_results(out)["tasks"]["svamp"]["need"]
    # About 1 egg its sum is another; about 3 it makes none; about 2 and more it is needed.
    assert found["kinds"] == {"needed": 4, "idle": 0, "harmful": 1, "hopeless": 1}
    assert found["no_call"] == 1
    whole = bytes_of(out)
    model = ScriptedLM(follows=follows)
    evaluate(model, tools, chosen, out)
    assert (model.counter.tokens, bytes_of(out)) == (0, whole)
    assert costs(out)["svamp, forced", 1].asked == 6


def test_a_lost_part_is_named(tmp_path: Path, data: Path) -> None:
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data, k=(1,), need=True), tmp_path)
    forced = tmp_path / "forced" / "svamp-000.jsonl"
    forced.write_text("".join(forced.read_text("utf-8").splitlines(keepends=True)[:-2]), "utf-8")
    with pytest.raises(DataError, match="is not finished: 4 of 6 examples of svamp"):
        results(tmp_path)
    (tmp_path / "examples" / "svamp-k0-000.jsonl").unlink()
    forced.unlink()
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data, k=(1,), need=True), tmp_path)
    (tmp_path / "examples" / "svamp-k0-000.jsonl").unlink()
    with pytest.raises(DataError, match="svamp with calls disabled is missing"):
        results(tmp_path)


def test_need_wants_tools_and_one_text_each(tmp_path: Path, data: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be asked without tools"):
        evaluate(ScriptedLM(), [], settings(data, need=True), tmp_path / "out")
    with pytest.raises(ConfigError, match="told from one text each"):
        settings(data, need=True, vote=3)


def test_the_report_shows_tables_plots_and_the_four_lists(tmp_path: Path, data: Path) -> None:
    evaluate(ScriptedLM(follows=follows), [Calculator()], settings(data, k=(1, 2), need=True), tmp_path)
    page, tables = write_reports([tmp_path])
    made = {grid.title: grid for grid in need_grids([results(tmp_path)])}
    assert made["Need"].rows[0].cells == ("scripted", "svamp", "4", "0", "1", "1", "1")
    assert [row.cells[2:5] for row in made["Need and calls"].rows] == [("1", "0", "–"), ("2", "5", "0.800")]
    assert made["Need, told by the opening"].rows[0].cells[2:4] == ("0.500", "0.500")
    assert "### Need and calls" in tables.read_text("utf-8")
    html = page.read_text("ascii")
    assert "svamp, needed: 4 (wrong without a call, right with one)" in html
    assert "svamp, harmful: 1 (right without a call, wrong with one)" in html
    assert "svamp, hopeless: 1 (" in html
    assert "svamp, idle" not in html
    assert "<mark>[Calculator(2 + 3)" in html
    assert "without a call: It is 4" in html
    assert "undone: " in html
    assert html.count("<svg") == 3 + 2
