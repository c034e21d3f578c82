"""Draft, review, revise: calls are looked for in a draft with what stands before *and* behind their places.

The draft is written without calls. Then the model reads all of it, and once more from its beginning: so it knows at
each place how the text goes on. Where a call is likely there, it is made. If the text would go on in another way behind
its result, it is cut there and written on with the call in place. This is repeated until nothing changes.

A round reads each draft twice, and its beginning up to each tried place three times more: for the call, for what
follows its result, and for the new end. Texts take their steps together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from toolformer.calls import Call, Part
from toolformer.decode.decoder import STRIDE, Decoder
from toolformer.decode.events import Answered, Ended, Undone
from toolformer.decode.options import AT_ONCE, Options
from toolformer.errors import ConfigError
from toolformer.generation import with_calls
from toolformer.lm import Ids, LanguageModel, Prompted
from toolformer.tool import DocumentFacts

PLACES = 3
"""Places of a draft that are tried in a round: those where a call is likeliest."""
_AHEAD = 5
"""Tokens behind a result that tell whether the text goes on in another way."""

Verdict = Literal["changed", "confirmed", "failed"]


@dataclass(frozen=True)
class Review:
    """A place of a draft at which a call was tried."""

    draft: int
    """The number of the draft."""
    start: int
    """Characters of the draft before it."""
    probability: float
    """Of the call's opening, with the whole draft in view."""
    rank: int
    call: Call | None
    verdict: Verdict
    """Whether the text behind the result is another, or the same (or asks this already); or there was no result."""


@dataclass(frozen=True)
class Reflection:
    """What a prompt came to."""

    drafts: tuple[str, ...]
    """The first one, and each revision, with calls in place."""
    reviews: tuple[Review, ...]
    text: str
    """What was written in the end, without calls."""
    calls: tuple[Call, ...]
    settled: bool
    """Whether the last review changed nothing; otherwise as many rounds as were allowed are over."""
    tokens: int
    """Those that were read and written."""

    def __str__(self) -> str:
        """A transcript: draft, reviews, revision."""
        told = []
        for number, draft in enumerate(self.drafts):
            told.append(f"{'revision' if number else 'draft'}: {draft}")
            for one in self.reviews:
                if one.draft == number:
                    call = one.call and f"{one.call.tool}({one.call.input}) gave {one.call.result or 'nothing'}"
                    told.append(f"  review at {one.start} (rank {one.rank}): {call or 'no call'}: {one.verdict}")
        return "\n".join(told)


@dataclass(eq=False)
class _Text:
    """One prompt's draft."""

    prompt: Ids
    facts: DocumentFacts
    said: tuple[int, ...] = ()
    calls: tuple[tuple[int, Call], ...] = ()
    """Each with how many tokens of the draft stand before it."""
    tried: set[int] = field(default_factory=set)
    """Places whose call would change nothing."""
    drafts: list[str] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    settled: bool = False
    tokens: int = 0


@dataclass(frozen=True, eq=False)
class _Try:
    """A place of a text, and the call that was made there."""

    text: _Text
    at: int
    probability: float
    rank: int
    call: Call | None = None


class Reflector:
    """A decoder that reviews what it writes."""

    def __init__(self, decoder: Decoder, options: Options) -> None:
        """The options' k bounds the places that are tried; the rest says how texts are written."""
        if decoder.model.reads_apart or not hasattr(decoder.model, "open"):
            raise ConfigError(f"{decoder.model.name} cannot review a draft: a causal model that is loaded here can")
        self._decoder, self._model, self._options = decoder, cast("LanguageModel", decoder.model), options
        self._opening = self._model.encode_parts([decoder.syntax.opening])

    def run(self, prompts: Sequence[Ids], rounds: int, facts: Sequence[DocumentFacts] = ()) -> list[Reflection]:
        """Write and review a text behind each prompt, in so many rounds at most."""
        known = facts or [DocumentFacts()] * len(prompts)
        texts = [_Text(prompt, fact) for prompt, fact in zip(prompts, known, strict=True)]
        self._go_on(texts)
        for _ in range(rounds):
            if not (going := [text for text in texts if not text.settled]):
                break
            self._revise(going)
        return [self._told(text) for text in texts]

    def _revise(self, texts: Sequence[_Text]) -> None:
        """One round: the likeliest call that changes a text is put into it; a text without any is settled."""
        tries = self._calls(self._places(texts))
        others = {*self._differ([one for one in tries if one.call and one.call.result and not _known(one)])}
        changed: list[_Text] = []
        for text in texts:
            own = [one for one in tries if one.text is text]
            chosen = max((one for one in own if one in others), key=lambda one: one.probability, default=None)
            text.reviews += [self._review(one, changed=one in others) for one in own]
            text.tried |= {one.at for one in own if one not in others}
            text.settled = chosen is None
            if chosen and chosen.call:
                text.said = text.said[: chosen.at]
                text.calls = (*(one for one in text.calls if one[0] < chosen.at), (chosen.at, chosen.call))
                text.tried = {at for at in text.tried if at < chosen.at} | {chosen.at}
                changed.append(text)
        self._go_on(changed)

    def _places(self, texts: Sequence[_Text]) -> list[_Try]:
        """Where a call is likely in each draft, which the model has read before. A draft that does not fit the context
        twice has no such places."""
        newline = self._model.encode_parts([Part("\n")])
        wholes = [(*text.prompt, *text.said) for text in texts]
        fit = [n for n, whole in enumerate(wholes) if texts[n].said and 2 * len(whole) < self._model.context]
        prompted = [Prompted((), (*wholes[n], *newline), wholes[n]) for n in fit]
        asked = [
            [len(texts[n].prompt) + at for at in range(len(texts[n].said)) if at not in texts[n].tried] for n in fit
        ]
        tries: list[_Try] = []
        with self._model.open(prompted, self._opening, asked) as openings:
            for row, n in enumerate(fit):
                text, chances, ranks = texts[n], openings.probabilities[row], openings.ranks[row]
                text.tokens += 2 * len(wholes[n])
                near = [at for at in asked[row] if ranks[at] < self._options.ranks]
                likeliest = sorted(near, key=lambda at: chances[at], reverse=True)[:PLACES]
                tries += [_Try(text, at - len(text.prompt), chances[at], ranks[at]) for at in likeliest]
        return tries

    def _calls(self, tries: Sequence[_Try]) -> list[_Try]:
        """The same places with the call that the model writes there, and its result if it has one.

        It is written behind what stands before the place alone: what a wrong draft says next must not come into it.
        """
        prompts = [self._written(one.text, one.at) for one in tries]
        made: dict[int, Call | None] = {}
        for event in self._decoder.run(prompts, AT_ONCE, stride=STRIDE, facts=[one.text.facts for one in tries]):
            if isinstance(event, Answered | Undone):
                made[event.row] = event.call
        for one, prompt in zip(tries, prompts, strict=True):
            one.text.tokens += len(prompt)
        return [_Try(one.text, one.at, one.probability, one.rank, made.get(row)) for row, one in enumerate(tries)]

    def _differ(self, tries: Sequence[_Try]) -> list[_Try]:
        """Those behind whose result the text goes on in another way."""
        prompts = [self._written(one.text, one.at, one.call) for one in tries]
        ended = self._run(prompts, self._options.changed(k=0, max_new_tokens=_AHEAD, min_new_tokens=None))
        for one, prompt in zip(tries, prompts, strict=True):
            one.text.tokens += len(prompt) + _AHEAD
        behind = [one.text.said[one.at : one.at + _AHEAD] for one in tries]
        return [one for one, ids, draft in zip(tries, ended, behind, strict=True) if ids != draft]

    def _go_on(self, texts: Sequence[_Text]) -> None:
        """Write the rest of these texts, without further calls."""
        prompts = [self._written(text, len(text.said)) for text in texts]
        for text, prompt, ids in zip(texts, prompts, self._run(prompts, self._options.changed(k=0)), strict=True):
            text.tokens += len(prompt) + len(ids)
            text.said += ids
            text.drafts.append(self._shown(text))

    def _run(self, prompts: Sequence[Ids], options: Options) -> list[tuple[int, ...]]:
        ended: dict[int, tuple[int, ...]] = {}
        for event in self._decoder.run(prompts, options, stride=STRIDE):
            if isinstance(event, Ended):
                ended[event.row] = event.ids
        return [ended[row] for row in range(len(prompts))]

    def _written(self, text: _Text, end: int, call: Call | None = None) -> tuple[int, ...]:
        """The prompt and the draft up to a place, with its calls, and another one there."""
        calls = [*(one for one in text.calls if one[0] <= end), *([(end, call)] if call else [])]
        return (*text.prompt, *with_calls(text.said[:end], calls, self._encoded))

    def _encoded(self, call: Call) -> tuple[int, ...]:
        return self._model.encode_parts(self._decoder.syntax.parts(call))

    def _shown(self, text: _Text) -> str:
        return self._model.decode(with_calls(text.said, text.calls, self._encoded))

    def _review(self, one: _Try, *, changed: bool) -> Review:
        verdict: Verdict = "changed" if changed else "confirmed" if one.call and one.call.result else "failed"
        start = len(self._model.decode(one.text.said[: one.at]))
        return Review(len(one.text.drafts) - 1, start, one.probability, one.rank, one.call, verdict)

    def _told(self, text: _Text) -> Reflection:
        said = self._model.decode(text.said)
        for stop in self._options.stop:  # its tokens are among the text's
            said = said.partition(stop)[0] if said.strip() else said
        calls = tuple(call for _, call in text.calls)
        return Reflection(tuple(text.drafts), tuple(text.reviews), said, calls, text.settled, text.tokens)


def _known(one: _Try) -> bool:
    """Whether the text asks the same already."""
    return one.call is not None and one.call.gist in {call.gist for _, call in one.text.calls}
