"""What is measured of smollm2-tools beside its accuracy: why answers are wrong, and what teaching cost in prose."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from recipes.smollm2 import plain, prose, sources
from recipes.smollm2.among import among
from recipes.smollm2.errors import main, one_step, why
from tests.fakes import ScriptedLM
from toolformer.calls import CallSyntax
from toolformer.data_gen.known import KnownCall, KnownText
from toolformer.eval.outcomes import CallMade, Outcome
from toolformer.finetune.turns import answer_at

PROBLEM = "Ann has 8 pens and Tom has 2 pens and five caps. How many pens has Ann more? The answer is"


def outcome(asked: str, result: str, right: str = "6 (pens)", *, undone: str = "") -> Outcome:
    made = CallMade(0, "Calculator", asked, result, undone, 0.5, 0)
    return Outcome("1", "", 0.0, PROBLEM, (right,), "", "", "", 0.0, (made,))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (outcome("8 * 2", "16"), "right numbers, wrong operation"),
        (outcome("2 + 5", "7", "13"), "one step with other numbers"),
        (outcome("8 - 2", "6"), "the call is right, the text is not"),
        (outcome("8 * 31", "248", "77"), "a number that the text does not have"),
        (outcome("8 * 2", "16", "77"), "more than one step, or knowledge"),
        (outcome("8 * 2", "", undone="it failed"), "no call"),
        (outcome("8 * 2", "16", "Ann"), "the answer is no number"),
    ],
)
def test_a_wrong_answer_has_a_reason(answer: Outcome, reason: str) -> None:
    assert why(answer) == reason


def test_one_step_divides_by_no_zero() -> None:
    assert sorted(one_step(6, 2)) == pytest.approx([1 / 3, 3, 4, 8, 12])
    assert sorted(one_step(6, 0)) == [0, 0, 6, 6]


def test_the_command_counts_wrong_answers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [outcome("8 * 2", "16"), outcome("8 * 2", "16"), outcome("8 - 2", "6")]
    lines = [{"unit": {"task": "mawps", "k": 10, "examples": 4, "seed": 0}}, *map(asdict, found)]
    lines.append(asdict(found[0]) | {"score": 1.0})
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "mawps-k10-000.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "examples" / "mawps-k0-000.jsonl").write_text("not looked at")
    monkeypatch.setattr(sys, "argv", ["errors", str(tmp_path)])
    main()
    assert capsys.readouterr().out.splitlines() == [
        "3 of 3 wrong answers",
        "   2  right numbers, wrong operation",
        "   1  the call is right, the text is not",
    ]


def test_what_teaching_cost_is_said_of_each_kind_of_text() -> None:
    opening = CallSyntax.TOKENS.open

    def follows(said: str) -> dict[str, float]:
        return {opening: 0.9} if said == "a" else {"b": 0.6, opening: 0.3}

    base = ScriptedLM(loss=lambda prefix, text, position: 1.0 if position else 9.0)  # of which nothing is seen
    user = ScriptedLM(follows=follows, loss=lambda prefix, text, position: 1.5)
    (line,) = prose.measured(base, user, {"lines": ["ab", "b", "bb", "bbb"]})
    assert line == (
        "4 lines: perplexity 2.72 untaught, 4.48 taught (+64.9%); called in 25% at k = 1, 100% at k = 3, 100% at k = 10"
    )


def test_no_text_of_the_recipe_is_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * 401
    (tmp_path / "wiki.txt").write_text(f"short\n{long}\n{long}y\n")
    monkeypatch.setattr(prose, "drawn", lambda data: ([{"text": "learnt"}], []))
    monkeypatch.setattr(
        prose, "rows", lambda path: [{"text": "learnt"}, *({"text": f"{path.name} {n} {long * 3}"} for n in range(2))]
    )
    monkeypatch.setattr(prose, "TOLD", prose.Draw(1, "wiki.txt", 1, 1, 1))
    found = prose.texts(tmp_path, prose.TOLD)
    assert [some[0].split()[0] for some in found.values()][:2] == [
        Path(sources.WIKIPEDIA.file).name,
        Path(sources.POSTS.file).name,
    ]
    assert {len(text) for some in found.values() for text in some} <= {prose.LONGEST, 401, 402}
    # Of two texts, one is told of, and settings are chosen by the other.
    other = prose.texts(tmp_path, prose.Draw("to choose", "wiki.txt", 1, 1, 1))
    assert not {text for some in found.values() for text in some} & {text for some in other.values() for text in some}


def test_a_right_call_is_looked_for_among_the_samples_of_each_known_place() -> None:
    """Of three samples at each of two places, one is right at the first, and none at the second."""
    inputs = iter(["2 + 3", "2 + 2", "no sum", "9 - 1", "", "1 + 7"])
    model = ScriptedLM(says=lambda behind, seed: f"{next(inputs)}){CallSyntax.TOKENS.stops[0]}")
    known = KnownText(
        "d", "2 pens and 3 are 5; 9 less 2 are 7.", (KnownCall(17, "2+3", "5"), KnownCall(33, "9-2", "7"))
    )
    assert str(among(model, [known], 3)) == (
        "1 of 2 places (50%) have a right call among their samples; 4 of 6 samples could be executed, "
        "1 of them are right (25%)"
    )


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("One sentence. Another one that goes on", "One sentence."),
        ("A heading of it\nAnd a line", "A heading of it"),
        ("So. many words in aisles", "So. many words in"),
        ("Short.", "Short."),
    ],
)
def test_a_piece_of_prose_ends_where_something_ends(text: str, piece: str) -> None:
    assert plain.begun(text, 20) == piece


def test_a_piece_is_of_no_text_that_is_learnt_from_otherwise_or_measured_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, learnt, measured = (f"{word} stands here " + "and on " * 50 for word in ("Free", "Learnt", "Measured"))
    (tmp_path / "wiki.txt").write_text("\n".join(["= A heading =", measured, learnt, free]) + "\n")
    monkeypatch.setattr(plain, "PIECES", (sources.Source("wiki.txt", "", 1, 10),))
    monkeypatch.setattr(plain, "drawn", lambda data: ([{"text": learnt.strip()}], []))
    monkeypatch.setattr(prose, "texts", lambda data, draw: {"paragraphs": [measured[:250]]})
    assert [*plain.pieces(tmp_path)] == ["Free stand"]


def test_what_people_say_to_a_chat_is_answered_in_a_second_line() -> None:
    said = [*plain.chatter()]
    assert len({*said}) == len(said) > 130
    answered = [text for text in said if "\n" in text]
    assert len(answered) > 90
    assert all(answer_at(text, len(text)) and text.count("\n") == 1 for text in answered)
    assert not any("?" in text for text in said if text not in answered)
