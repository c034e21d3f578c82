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
from toolformer.data_gen.records import Executed, Losses, Place, Rejected, Scored
from toolformer.lm import WINDOW, LanguageModel, Window


def score(
    executed: Iterable[Executed | Rejected],
    lessons: Mapping[str, Lesson],
    model: LanguageModel,
    syntax: CallSyntax,
    *,
    in_place: bool = False,
) -> Iterator[Scored | Rejected]:
    """Every call with its losses. All are taken together, so that the model can batch them by length."""
    calls: list[Executed] = []
    windows: list[Window] = []
    for record in executed:
        if isinstance(record, Rejected):
            yield record
            continue
        window = _window(record.place, record.call, model, syntax, in_place)
        if len(window.prefix) + _end(window) > model.context:
            yield Rejected(record.place, "score", f"call and text do not fit {model.context} tokens", record.call)
        else:
            calls.append(record)
            windows.append(window)
    losses = _losses(calls, windows, lessons, model, syntax, in_place)
    doubtful = [n for n, one in enumerate(calls) if _in_doubt(losses[n], lessons[one.call.tool], model)]
    for n, exact in zip(doubtful, _exact([calls[n] for n in doubtful], model, syntax, in_place), strict=True):
        losses[n] = exact
    yield from _checked(calls, losses)


def _losses(
    calls: Sequence[Executed],
    windows: Sequence[Window],
    lessons: Mapping[str, Lesson],
    model: LanguageModel,
    syntax: CallSyntax,
    in_place: bool,
) -> list[Losses]:
    """The losses of all calls; L(e(c, ε)), which can only lower L⁻, where the result would be kept without it."""
    losses = [
        Losses(one.place.text.plain_loss(one.place.position), None, loss)
        for one, loss in zip(calls, model.window_losses(windows), strict=True)
    ]
    open_ = [n for n, one in enumerate(calls) if losses[n].gain >= lessons[one.call.tool].needed]
    empty = [_window(calls[n].place, replace(calls[n].call, result=""), model, syntax, in_place) for n in open_]
    for n, loss in zip(open_, model.window_losses(empty), strict=True):
        losses[n] = replace(losses[n], call=loss)
    return losses


def _in_doubt(losses: Losses, lesson: Lesson, model: LanguageModel) -> bool:
    """Whether the gain is so close to what is needed that the model's precision could decide."""
    return abs(losses.gain - lesson.needed) < model.rounding


def _exact(calls: Sequence[Executed], model: LanguageModel, syntax: CallSyntax, in_place: bool) -> Iterator[Losses]:
    """All three losses of each call, in fp32."""
    windows: list[Window] = []
    for one in calls:
        windows.append(Window((), one.place.text.encoded.ids, one.place.position))
        spelled = (replace(one.call, result=""), one.call)
        windows.extend(_window(one.place, call, model, syntax, in_place) for call in spelled)
    losses = model.window_losses(windows, exact=True)
    return map(Losses, losses[::3], losses[1::3], losses[2::3])


def _checked(calls: Sequence[Executed], losses: Sequence[Losses]) -> Iterator[Scored | Rejected]:
    for one, loss in zip(calls, losses, strict=True):
        if math.isfinite(loss.gain):
            yield Scored(one.place, one.call, loss)
        else:
            yield Rejected(one.place, "score", "a loss is not a number", one.call)


def _window(place: Place, call: Call, model: LanguageModel, syntax: CallSyntax, in_place: bool) -> Window:
    prefix, ids = model.encode_parts(syntax.parts(call)), place.text.encoded.ids
    if in_place:
        return Window((*ids[: place.position], *prefix), ids[place.position :], 0)
    return Window(prefix, ids, place.position)


def _end(window: Window) -> int:
    """How much of the text a scoring row holds: up to the window's end."""
    return min(len(window.text), window.position + len(WINDOW))
