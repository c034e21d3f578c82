"""Where was a call needed? Each example is asked with calls disabled and once more with a call forced.

The call is forced where its opening was likeliest in the text that was written with calls disabled: behind the prompt,
or behind some of the text. Both answers together say whether a call is needed, whether or not the model makes one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolformer.eval.asking import ask_with_call
from toolformer.eval.call_statistics import calibration
from toolformer.eval.examples import Example
from toolformer.eval.measures import Curve, accuracy_over_calls, area, auroc, f1, fewest, risk_coverage
from toolformer.eval.outcomes import Outcome
from toolformer.eval.tool_lm import ToolLM

Json = dict[str, Any]

KINDS = {
    "needed": "wrong without a call, right with one",
    "idle": "right without a call and with one",
    "harmful": "right without a call, wrong with one",
    "hopeless": "wrong without a call and with one",
}
POINTS = 100
"""Of a curve, so many are kept at most."""


def ask_forced(lm: ToolLM, task: Any, examples: Sequence[Example], disabled: Sequence[Outcome]) -> list[Outcome]:
    """What comes of the examples with a call where it was likeliest. A call that fails there is not tried again.

    The model is made to open it, so its numbers of the opening say nothing then: those of the text with calls disabled
    stand in their place.
    """
    found = ask_with_call(lm, task, examples, [one.place for one in disabled])
    return [_with_numbers(one, plain) for one, plain in zip(found, disabled, strict=True)]


def _with_numbers(outcome: Outcome, plain: Outcome) -> Outcome:
    calls = tuple(replace(call, probability=plain.probability, rank=plain.rank) for call in outcome.calls)
    return replace(outcome, calls=calls, probability=plain.probability, rank=plain.rank, place=plain.place)


def kind(without: Outcome, with_call: Outcome) -> str:
    """Which of `KINDS` an example is."""
    if without.right:
        return "idle" if with_call.right else "harmful"
    return "needed" if with_call.right else "hopeless"


def need(by_k: Mapping[int, Sequence[Outcome]], forced: Sequence[Outcome]) -> Json:
    """How many examples needed a call, how well the opening's probability and rank tell, and the calls at each k."""
    disabled = by_k[0]
    kinds = [kind(*pair) for pair in zip(disabled, forced, strict=True)]
    hits = [name == "needed" for name in kinds]
    needed = {plain.id for plain, hit in zip(disabled, hits, strict=True) if hit}
    scores = {"probability": [one.probability for one in disabled], "rank": [_nearness(one) for one in disabled]}
    without, with_call = [one.right for one in disabled], [one.right for one in forced]
    curves = {name: accuracy_over_calls(score, without, with_call) for name, score in scores.items()}
    return {
        "kinds": {name: Counter(kinds)[name] for name in KINDS},
        "no_call": sum(not one.called for one in forced),
        "calibration": calibration(disabled, needed),
        "told_by": {name: _told(score, hits) | {"curve": _thin(curves[name])} for name, score in scores.items()},
        "k": {str(k): _real(outcomes, disabled, needed, curves) for k, outcomes in sorted(by_k.items()) if k},
    }


def _nearness(plain: Outcome) -> float:
    """The better its rank, the higher; lowest where nobody looked."""
    return -float(plain.rank) if plain.rank >= 0 else -float("inf")


def _told(scores: Sequence[float], hits: Sequence[bool]) -> Json:
    """How well a score tells the examples that need a call from the others. The risk of a call is not to be needed."""
    return {
        "auroc": _r(auroc(scores, hits)),
        "risk": _r(area(risk_coverage(scores, [float(not hit) for hit in hits]))),
    }


def _real(
    outcomes: Sequence[Outcome], disabled: Sequence[Outcome], needed: set[str], curves: Mapping[str, Curve]
) -> Json:
    """What the model's own calls at one k were worth."""
    called = [one for one in outcomes if one.called]
    right, plain = (sum(one.right for one in some) for some in (outcomes, disabled))
    hits = sum(one.id in needed for one in called)
    precision = hits / len(called) if called else None
    recall = hits / len(needed) if needed else None
    shares = {name: fewest(curve, right / len(outcomes)) for name, curve in curves.items()}
    return {
        "called": len(called),
        "precision": _r(precision),
        "recall": _r(recall),
        "f1": _r(f1(precision, recall)),
        "gained_per_call": _r((right - plain) / len(called) if called else None),
        "accuracy": _r(right / len(outcomes)),
        "saved": {name: _saved(len(called), share, len(outcomes)) for name, share in shares.items()},
    }


def _saved(called: int, share: float | None, examples: int) -> int | None:
    """How many calls less are as good, if those are made for which the score is highest; None if no number is."""
    return None if share is None else called - round(share * examples)


def _thin(curve: Curve) -> list[tuple[float, float]]:
    """Some of its points, the first and the last among them."""
    step = max(1, -(-(len(curve) - 1) // (POINTS - 1)))
    return [(round(share, 6), round(value, 6)) for share, value in dict.fromkeys([*curve[::step], curve[-1]])]


def _r(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
