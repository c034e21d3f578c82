"""Draft, review, revise: calls are looked for in a draft with what stands before *and* behind their places.

The draft is written without calls. Then the model reads all of it, and once more from its beginning: so it knows at
each place how the text goes on. Where a call is likely there, it is made. If the text would go on in another way behind
its result, and the model is surer of that than it was of the draft, the draft is cut there and written on with the call
in place. This is repeated until nothing changes.

A round reads each draft twice, and its beginning up to each tried place three times more: for the call, for what
follows its result, and for the new end. Where the text goes on in another way, it is read twice more, to compare. Texts
take their steps together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from toolformer.calls import Call, CallSyntax, Part
from toolformer.decode.decoder import STRIDE, Decoder
from toolformer.decode.events import Answered, Ended, EndReason, Undone
from toolformer.decode.options import AT_ONCE, Options
from toolformer.errors import ConfigError
from toolformer.generation import made_call, with_calls
from toolformer.lm import WINDOW, Ids, LanguageModel, Prompted, Window
from toolformer.reflection import Draft, Reflection, Review, Step, Verdict, Why
from toolformer.tool import DocumentFacts

ROUNDS = 2
"""Reviews of a text at most, where nobody says how many."""
PLACES = 3
"""Places of a draft that are tried in a round: those where a call is likeliest."""
PAYS = 0.5
"""How much the loss of the next words must be below what it was in the draft for a revision to pay: as much as the
paper's filter asks of a calculation."""
_AHEAD = len(WINDOW)
"""Tokens behind a result that tell whether the text goes on in another way."""


@dataclass(eq=False)
class _Text:
    """One prompt's draft."""

    row: int
    prompt: Ids
    facts: DocumentFacts
    said: tuple[int, ...] = ()
    calls: "tuple[_Try, ...]" = ()
    """Those that are in the draft, in their order."""
    tried: set[int] = field(default_factory=set)
    """Places whose call would change nothing."""
    drafts: list[str] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    why: Why | None = None
    end: EndReason = "end"
    tokens: int = 0

    @property
    def placed(self) -> list[tuple[int, Call]]:
        """Its calls, each with how many tokens of the draft stand before it."""
        return [(one.at, one.call) for one in self.calls if one.call]


@dataclass(frozen=True, eq=False)
class _Try:
    """A place of a text, and the call that was made there."""

    text: _Text
    at: int
    probability: float
    rank: int
    call: Call | None = None
    gain: float | None = None
    """None where the text goes on as it was."""

    @property
    def verdict(self) -> Verdict:
        if not self.call or not self.call.result:
            return "failed"
        if self.gain is None:
            return "confirmed"
        return "changed" if self.gain >= PAYS else "no gain"


class Reflector:
    """A decoder that reviews what it writes."""

    def __init__(self, decoder: Decoder, options: Options) -> None:
        """The options' k bounds the places that are tried; the rest says how texts are written."""
        if decoder.model.reads_apart or not hasattr(decoder.model, "open"):
            raise ConfigError(f"{decoder.model.name} cannot review a draft: a causal model that is loaded here can")
        self._decoder, self._model, self._options = decoder, cast("LanguageModel", decoder.model), options
        self._opening = self._model.encode_parts([decoder.syntax.opening])

    def run(
        self, prompts: Sequence[Ids], rounds: int = ROUNDS, facts: Sequence[DocumentFacts] = ()
    ) -> list[Reflection]:
        """Write and review a text behind each prompt, in so many rounds at most."""
        return [step for step in self.steps(prompts, rounds, facts) if isinstance(step, Reflection)]

    def steps(
        self, prompts: Sequence[Ids], rounds: int = ROUNDS, facts: Sequence[DocumentFacts] = ()
    ) -> Iterator[Step]:
        """The same step by step; in the end what each prompt came to, in their order."""
        known = facts or [DocumentFacts()] * len(prompts)
        texts = [_Text(row, *given) for row, given in enumerate(zip(prompts, known, strict=True))]
        yield from self._go_on(texts)
        for _ in range(rounds):
            if not (going := [text for text in texts if text.why is None]):
                break
            yield from self._revise(going)
        yield from (self._told(text) for text in texts)

    def _revise(self, texts: Sequence[_Text]) -> Iterator[Step]:
        """One round: the likeliest call that changes a text and pays is put into it; a text without any is settled."""
        tries = self._compared(self._calls(self._places(texts)))
        changed: list[_Text] = []
        for text in (one for one in texts if one.why is None):
            own = [one for one in tries if one.text is text]
            for one in own:
                text.reviews.append(self._review(one))
                yield text.reviews[-1]
            changing = [one for one in own if one.verdict == "changed"]
            chosen = max(changing, key=lambda one: one.probability, default=None)
            text.tried |= {one.at for one in own if one.verdict != "changed"}
            if chosen is None:
                text.why = "settled"
                continue
            text.said = text.said[: chosen.at]
            text.calls = (*(one for one in text.calls if one.at < chosen.at), chosen)
            text.tried = {at for at in text.tried if at < chosen.at} | {chosen.at}
            changed.append(text)
        yield from self._go_on(changed)

    def _places(self, texts: Sequence[_Text]) -> list[_Try]:
        """Where a call is likely in each draft, which the model has read before. A draft that does not fit the context
        twice is not reviewed."""
        newline = self._model.encode_parts([Part("\n")])
        wholes = [(*text.prompt, *text.said) for text in texts]
        fit = [n for n, whole in enumerate(wholes) if 2 * len(whole) < self._model.context]
        for n in {*range(len(texts))}.difference(fit):
            texts[n].why = "context"
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
        return [replace(one, call=made.get(row)) for row, one in enumerate(tries)]

    def _compared(self, tries: Sequence[_Try]) -> list[_Try]:
        """The same, with the gain of those behind whose result the text goes on in another way.

        The loss of the draft's next words, without the call, less that of the words that the model writes behind the
        result: a result that the model copies is surer than a guess, and no surer than what is right already.
        """
        asked = [one for one in tries if one.call and one.call.result and not _known(one)]
        prompts = [self._written(one.text, one.at, one) for one in asked]
        ended = self._run(prompts, self._options.changed(k=0, max_new_tokens=_AHEAD, min_new_tokens=None))
        gains: dict[_Try, float] = {}
        for one, prompt, (ids, _) in zip(asked, prompts, ended, strict=True):
            one.text.tokens += len(prompt) + _AHEAD
            draft = one.text.said[one.at : one.at + _AHEAD]
            if (size := min(len(ids), len(draft))) and ids != draft:
                before, after = self._losses((self._written(one.text, one.at), draft[:size]), (prompt, ids[:size]))
                one.text.tokens += 2 * (len(prompt) + size)
                gains[one] = before - after
        return [replace(one, gain=gains.get(one)) for one in tries]

    def _losses(self, *written: tuple[Ids, Ids]) -> list[float]:
        """The weighted loss of words behind what was written."""
        return self._model.window_losses([Window((), (*before, *words), len(before)) for before, words in written])

    def _go_on(self, texts: Sequence[_Text]) -> Iterator[Step]:
        """Write the rest of these texts, without further calls."""
        prompts = [self._written(text, len(text.said)) for text in texts]
        for text, prompt, (ids, end) in zip(
            texts, prompts, self._run(prompts, self._options.changed(k=0)), strict=True
        ):
            text.tokens += len(prompt) + len(ids)
            whole, most = (*text.said, *ids), self._options.max_new_tokens
            text.said, text.end = whole[:most], end if len(whole) <= most else "length"
            text.drafts.append(self._model.decode(self._with_calls(text)))
            if not _words(self._model.decode(text.said)):
                text.why = "no words"
            yield Draft(text.row, len(text.drafts) - 1, text.drafts[-1])

    def _run(self, prompts: Sequence[Ids], options: Options) -> list[tuple[tuple[int, ...], EndReason]]:
        ended: dict[int, tuple[tuple[int, ...], EndReason]] = {}
        for event in self._decoder.run(prompts, options, stride=STRIDE):
            if isinstance(event, Ended):
                ended[event.row] = event.ids, event.reason
        return [ended[row] for row in range(len(prompts))]

    def _written(self, text: _Text, end: int, one: _Try | None = None) -> tuple[int, ...]:
        """The prompt and the draft up to a place, with its calls, and another one there."""
        calls = [call for call in text.placed if call[0] <= end]
        calls += [(end, one.call)] if one and one.call else []
        return (*text.prompt, *with_calls(text.said[:end], calls, self._encoded))

    def _with_calls(self, text: _Text) -> tuple[int, ...]:
        return with_calls(text.said, text.placed, self._encoded)

    def _encoded(self, call: Call) -> tuple[int, ...]:
        return self._model.encode_parts(self._decoder.syntax.parts(call))

    def _review(self, one: _Try) -> Review:
        number, start = len(one.text.drafts) - 1, self._start(one)
        return Review(one.text.row, number, start, one.probability, one.rank, one.call, one.verdict, one.gain or 0.0)

    def _start(self, one: _Try) -> int:
        return len(self._model.decode(one.text.said[: one.at]))

    def _told(self, text: _Text) -> Reflection:
        said = self._model.decode(text.said)
        for stop in self._options.stop:  # its tokens are among the text's
            said = said.partition(stop)[0] if said.strip() else said
        calls = tuple(
            made_call(one.call, one.probability, one.rank, min(self._start(one), len(said)))
            for one in text.calls
            if one.call
        )
        return Reflection(
            text.row,
            tuple(text.drafts),
            tuple(text.reviews),
            said,
            calls,
            text.why or "rounds",
            text.end,
            self._with_calls(text),
            text.tokens,
        )


def _known(one: _Try) -> bool:
    """Whether the text asks the same already."""
    return one.call is not None and one.call.gist in {call.gist for _, call in one.text.placed}


def _words(text: str) -> str:
    """What a text says beside calls, in any spelling."""
    for syntax in (CallSyntax.TEXT, CallSyntax.TOKENS):
        for found in reversed([*syntax.find(text)]):
            text = text[: found.start] + text[found.end :]
    return text.strip()
