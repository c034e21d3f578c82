"""What a model reads before it writes calls into a text, as ids. The only owner of the seam between prompt and text.

The live text is encoded as the demonstrations are: both stand behind a colon and begin with a space, and neither is
encoded together with what stands before it. A finetuned model has no prompt: it writes calls by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from toolformer.calls import CallSyntax, Part
from toolformer.data_gen.chain import with_calls
from toolformer.data_gen.lessons import INPUT, OUTPUT, SHOWN, Lesson
from toolformer.data_gen.records import Candidate
from toolformer.lm import Encoded, LanguageModel, Prompted, syntax_of


@dataclass(frozen=True)
class Live:
    """A text behind its prompt, and where its tokens begin in it."""

    prompted: Prompted
    encoded: Encoded

    def up_to(self, position: int) -> Prompted:
        """The prompt and the text up to a position and its token: what comes later decides nothing there."""
        return replace(self.prompted, text=self.prompted.text[: position + 1])


class Prompts:
    """The prompts of one lesson for one model."""

    def __init__(self, model: LanguageModel, lesson: Lesson) -> None:
        self.syntax = syntax_of(model)
        self.finetuned = self.syntax is CallSyntax.TOKENS
        self._model = model
        self._lesson = lesson
        self._shown: dict[int | None, tuple[int, ...]] = {}

    @cached_property
    def _head(self) -> tuple[int, ...]:
        return self._model.encode_parts(self._lesson.head(self.syntax))

    def asking(self, text: str, calls: Sequence[Candidate] = ()) -> Live:
        """The whole lesson, the text, and the text again, with these calls, into which the model writes more."""
        if self.finetuned:
            return self._bare(text, calls)
        if self._model.lone_space:
            again = self._with_calls(self._model.encode(text), calls)
            tail = self._model.encode_parts([Part(f"{INPUT} {text}{OUTPUT} ")])
            return Live(Prompted(self._head, tail, again.ids), again)
        plain = self._model.encode_behind(text)
        again = self._with_calls(plain, calls)
        before, behind = (self._model.encode_parts([Part(frame)]) for frame in (INPUT, OUTPUT))
        return Live(Prompted(self._head, before + plain.ids + behind, again.ids), again)

    def showing(self, text: str, without: int | None = None, calls: Sequence[Candidate] = ()) -> Live:
        """The demonstrations with their calls, all or all but one, and the text: enough to weigh a call that is given.

        It costs half of the tokens of `asking`, and ranks as well.
        """
        if self.finetuned:
            return self._bare(text, calls)
        if without not in self._shown:
            shown = [*self._lesson.shown(self.syntax, without), Part(SHOWN)]
            self._shown[without] = self._model.encode_parts(shown)
        live = self._with_calls(self._model.encode_behind(text), calls)
        return Live(Prompted(self._shown[without], (), live.ids), live)

    def room(self) -> int:
        """How many tokens a text may have so that it fits twice beside the lesson and a call."""
        empty = self.asking("")
        taken = len(empty.prompted.head) + len(empty.prompted.tail) + self._lesson.max_tokens + SLACK
        return (self._model.context - taken) // 2

    def _bare(self, text: str, calls: Sequence[Candidate]) -> Live:
        encoded = self._with_calls(self._model.encode(text), calls)
        return Live(Prompted((), (), encoded.ids), encoded)

    def _with_calls(self, encoded: Encoded, calls: Sequence[Candidate]) -> Encoded:
        return with_calls(encoded, calls, lambda call: self._model.encode_parts(self.syntax.parts(call)))


SLACK = 8
"""Tokens by which a text in its prompt may be longer than by itself: words at its ends may be cut otherwise."""
