"""Does the result help? The loss of the words behind the place, with the call and its result and without.

L_i(z) is the weighted loss of the five tokens from the place on, with z before the whole text as a prefix: L⁺ with
z = e(c, r), L⁻ the smaller of z = ε and z = e(c, ε). Prefixed, the call is seen before it is expected, which is what an
untrained model can make use of; `in_place` puts it where it will stand, which is what a finetuned model will see.
Where a model of half precision leaves the decision in doubt, it is asked again in fp32.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from toolformer.calls import Call, CallSyntax
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.records import Candidate, Losses, Place, Rejected
from toolformer.lm import Judge, LanguageModel, Window


class Scorer:
    """Asks a judge for the losses of calls, as one method wants it."""

    def __init__(
        self, model: LanguageModel, syntax: CallSyntax, *, in_place: bool = False, judge: Judge | None = None
    ) -> None:
        """The model spells the calls, and judges them unless there is a `judge`."""
        self._model = model
        self._judge = judge or model
        self._syntax = syntax
        self._in_place = in_place

    def score(
        self, executed: Iterable[Candidate], lessons: Mapping[str, Lesson], rejected: list[Rejected]
    ) -> list[Candidate]:
        """Every call with its losses. All are taken together, so that the model can batch them by length."""
        calls: list[Candidate] = []
        windows: list[Window] = []
        for one in executed:
            window = self._window(one.place, one.call)
            if len(window.prefix) + window.tokens.stop > self._judge.context:
                reason = f"call and text do not fit {self._judge.context} tokens"
                rejected.append(Rejected(one.place, "score", reason, one.call))
            else:
                calls.append(one)
                windows.append(window)
        losses = self._losses(calls, windows, lessons)
        scored = _checked(calls, losses, rejected)
        return self.settled(scored, lessons, rejected)

    def settled(
        self, scored: Sequence[Candidate], lessons: Mapping[str, Lesson], rejected: list[Rejected]
    ) -> list[Candidate]:
        """The same, in fp32 where the gain is so close to the threshold that the model's precision could decide."""
        doubtful = [n for n, one in enumerate(scored) if self._in_doubt(one.gain, lessons[one.call.tool])]
        exact = dict(zip(doubtful, self._exact([scored[n] for n in doubtful]), strict=True))
        losses = [exact.get(n, one.losses) for n, one in enumerate(scored)]
        return _checked(scored, losses, rejected)

    def decoys(self, scored: Sequence[Candidate], results: Sequence[str]) -> list[float]:
        """What each call would gain with another result in the place of its own; nothing, where that does not fit."""
        calls = [replace(one.call, result=result) for one, result in zip(scored, results, strict=True)]
        windows = [self._window(one.place, call) for one, call in zip(scored, calls, strict=True)]
        fits = [n for n, one in enumerate(windows) if len(one.prefix) + one.tokens.stop <= self._judge.context]
        gains = [-math.inf] * len(scored)
        for n, loss in zip(fits, self._judge.window_losses([windows[n] for n in fits]), strict=True):
            losses = scored[n].losses
            assert losses is not None
            if math.isfinite(loss):
                gains[n] = losses.without - loss
        return gains

    def _losses(
        self, calls: Sequence[Candidate], windows: Sequence[Window], lessons: Mapping[str, Lesson]
    ) -> list[Losses]:
        """The losses of all calls; L(e(c, ε)), which can only lower L⁻, where the result would be kept without it."""
        losses = [
            Losses(one.place.text.plain_loss(one.place.position), None, loss)
            for one, loss in zip(calls, self._judge.window_losses(windows), strict=True)
        ]
        open_ = [n for n, one in enumerate(calls) if losses[n].gain >= lessons[one.call.tool].needed]
        empty = [self._window(calls[n].place, replace(calls[n].call, result="")) for n in open_]
        for n, loss in zip(open_, self._judge.window_losses(empty), strict=True):
            losses[n] = replace(losses[n], call=loss)
        return losses

    def _in_doubt(self, gain: float, lesson: Lesson) -> bool:
        """Whether a gain could be on the other side: two losses make it, and each may be off by the rounding."""
        return abs(gain - lesson.needed) < 2 * self._judge.rounding

    def _exact(self, calls: Sequence[Candidate]) -> Iterator[Losses]:
        """All three losses of each call, in fp32."""
        windows: list[Window] = []
        for one in calls:
            windows.append(Window((), one.place.text.encoded.ids, one.place.position))
            windows += [self._window(one.place, call) for call in (replace(one.call, result=""), one.call)]
        losses = self._judge.window_losses(windows, exact=True)
        return map(Losses, losses[::3], losses[1::3], losses[2::3])

    def _window(self, place: Place, call: Call) -> Window:
        prefix, ids = self._model.encode_parts(self._syntax.parts(call)), place.text.encoded.ids
        if self._in_place:
            return Window((*ids[: place.position], *prefix), ids[place.position :], 0)
        return Window(prefix, ids, place.position)


def _checked(calls: Sequence[Candidate], losses: Sequence[Losses | None], rejected: list[Rejected]) -> list[Candidate]:
    scored: list[Candidate] = []
    for one, loss in zip(calls, losses, strict=True):
        if loss is not None and math.isfinite(loss.gain):
            scored.append(replace(one, losses=loss))
        else:
            rejected.append(Rejected(one.place, "score", "a loss is not a number", one.call))
    return scored
