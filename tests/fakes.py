"""A language model that says what the test wrote down.

Its tokens are single characters, and the markers of `CallSyntax.TOKENS`, so that positions are character offsets. What
it would say next comes from one function of everything said so far; `script` makes such a function from whole texts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from toolformer.calls import CallSyntax, Part
from toolformer.lm import WINDOW, Continuation, Counter, Draw, Encoded, Ids, Prompted, Sample, Window, ranks
from toolformer.tools.calculator import Calculator

END = "\0END"
"""The end of a text, as a piece in a script."""

Next = Callable[[str], Mapping[str, float]]
"""The probabilities of the next pieces (a character, a marker or END) behind a text; the rest shares what is left."""

_PIECES = (END, *CallSyntax.TOKENS.control_tokens)
_SIZE = 512


def script(*texts: str) -> Next:
    """Whoever has said the beginning of one of these texts goes on with it; the first that fits; behind all, END."""

    def following(said: str) -> Mapping[str, float]:
        for text in texts:
            if text.startswith(said) and text != said:
                rest = text[len(said) :]
                return {next((piece for piece in _PIECES if rest.startswith(piece)), rest[0]): 0.9}
        return {END: 0.9}

    return following


@dataclass
class ScriptedLM:
    """`lm.LanguageModel` from three functions; each sees texts, never ids.

    `opens(prompt, text, position)` is the probability that a call opens there, `says(text, seed)` what a sample says
    behind a text that ends with the opening (if None, `follows` decides, greedily), `loss(prefix, text, position)` the
    window loss, `writes(behind, call)` the log-probability of writing a call there, `follows(text)` what a row says
    next.
    """

    opens: Callable[[str, str, int], float] = lambda prompt, text, position: 0.0
    says: Callable[[str, int], str] | None = None
    loss: Callable[[str, str, int], float] = lambda prefix, text, position: 1.0
    writes: Callable[[str, str], float] = lambda behind, call: -1.0
    follows: Next = field(default_factory=lambda: script())
    context: int = 4096
    name: str = "scripted"
    fingerprint: str = "scripted"
    precision: str = "float32"
    counter: Counter = field(default_factory=Counter)
    ends: frozenset[int] = frozenset([0])
    rounding: float = 0.0
    lone_space: bool = False
    reads_apart: bool = False
    known: int | None = None
    experts: Mapping[str, "ScriptedLM"] = field(default_factory=dict)
    _characters: list[str] = field(default_factory=list)

    def encode(self, text: str) -> Encoded:
        return Encoded(tuple(self._id(character) for character in text), tuple(range(len(text))))

    def encode_behind(self, text: str) -> Encoded:
        return Encoded(self.encode(" " + text).ids, (0, *range(len(text))))

    def encode_parts(self, parts: Sequence[Part]) -> tuple[int, ...]:
        return tuple(
            id_
            for part in parts
            for id_ in ([_PIECES.index(part.text)] if part.control else self.encode(part.text).ids)
        )

    def frame_turns(self, roles: Sequence[str]) -> list[tuple[int, ...]] | None:
        return None

    def decode(self, ids: Ids) -> str:
        return "".join([*_PIECES, *self._characters][id_] for id_ in ids)

    def _id(self, character: str) -> int:
        """The id of a plain character; one that looks like a marker has two."""
        if character not in self._characters:
            self._characters.append(character)
        return len(_PIECES) + self._characters.index(character)

    def open(
        self,
        prompted: Sequence[Prompted],
        opening: tuple[int, ...],
        places: Sequence[Sequence[int]] | None = None,
    ) -> "ScriptedOpenings":
        texts = [(self.decode(one.head + one.tail), self.decode(one.text)) for one in prompted]
        self.counter.tokens += sum(len(one.head) + len(one.tail) + len(one.text) for one in prompted)
        return ScriptedOpenings(self, texts, self.decode(opening))

    def log_probabilities(self, texts: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """The losses as if every token of a window were as surprising as the window's first."""
        return [[-self.loss("", self.decode(ids), position) for position in range(len(ids))] for ids in texts]

    def window_losses(self, windows: Sequence[Window], *, exact: bool = False) -> list[float]:
        return [
            self.loss(self.decode(one.prefix), self.decode(one.text), one.position)
            * sum(WINDOW[: len(one.text) - one.position])
            for one in windows
        ]

    def rows(self, prompts: Sequence[Ids]) -> "ScriptedRows":
        return ScriptedRows(self, prompts)

    def under(self, adapter: str) -> "ScriptedLM":
        return self.experts[adapter]

    def logits(self, said: str) -> torch.Tensor:
        """The logits behind a text: those of `follows`, and for everything else the same little bit each."""
        known = {
            _PIECES.index(piece) if piece in _PIECES else self._id(piece): share
            for piece, share in self.follows(said).items()
        }
        rest = (1 - sum(known.values())) / _SIZE
        shares = torch.full((_SIZE,), max(rest, 1e-9))
        for id_, share in known.items():
            shares[id_] = share
        return shares.log()


class ScriptedOpenings:
    """`lm.Openings` of a ScriptedLM."""

    def __init__(self, model: ScriptedLM, texts: list[tuple[str, str]], opening: str) -> None:
        self._model, self._texts, self._opening = model, texts, opening
        self.probabilities = [[model.opens(prompt, text, i) for i in range(len(text))] for prompt, text in texts]

    @property
    def ranks(self) -> list[list[int]]:
        """By what `follows` says there."""
        (first, *_) = self._model.encode_parts([Part(self._opening, control=self._opening in _PIECES)])
        return [
            [ranks(self._model.logits(prompt + text[:i])[None], first)[0] for i in range(len(text))]
            for prompt, text in self._texts
        ]

    def __enter__(self) -> "ScriptedOpenings":
        return self

    def __exit__(self, *exception: object) -> None: ...

    def sample(
        self,
        draws: Sequence[Draw],
        *,
        given: Ids = (),
        stops: Sequence[str],
        max_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> list[Sample]:
        return [self._sample(draw, self._model.decode(given), stops, max_tokens) for draw in draws]

    def log_probabilities(self, continuations: Sequence[Continuation]) -> list[float]:
        texts = [self._texts[one.row] for one in continuations]
        return [
            self._model.writes(prompt + text[: one.position], self._model.decode(one.ids))
            for (prompt, text), one in zip(texts, continuations, strict=True)
        ]

    def _sample(self, draw: Draw, given: str, stops: Sequence[str], max_tokens: int) -> Sample:
        prompt, text = self._texts[draw.row]
        behind = prompt + text[: draw.position] + self._opening + given
        said = self._model.says(behind, draw.seed) if self._model.says else self._greedy(behind, max_tokens)
        said = said[:max_tokens]
        ends = [said.index(stop) + len(stop) for stop in stops if stop in said]
        return Sample(said[: min(ends)] if ends else said, stopped=bool(ends), tokens=min(ends, default=len(said)))

    def _greedy(self, behind: str, max_tokens: int) -> str:
        said = ""
        while len(said) < max_tokens:
            shares = self._model.follows(behind + said)
            piece = max(shares, key=shares.__getitem__)
            if piece == END:
                break
            said += piece
        return said


class ScriptedRows:
    """`lm.Rows` of a ScriptedLM; it counts what was forwarded."""

    def __init__(self, model: ScriptedLM, prompts: Sequence[Ids]) -> None:
        self._model = model
        self._said: list[list[int]] = []
        self._logits: list[torch.Tensor] = []
        self.add(prompts)

    @property
    def logits(self) -> torch.Tensor:
        return torch.stack(self._logits or [torch.zeros(_SIZE)])

    @property
    def lengths(self) -> Sequence[int]:
        return [len(ids) for ids in self._said]

    @property
    def room(self) -> Sequence[int]:
        return [self._model.context - len(ids) for ids in self._said]

    def texts(self) -> list[str]:
        """What each row has been given so far."""
        return [self._model.decode(ids) for ids in self._said]

    def extend(self, ids: Sequence[Ids]) -> None:
        for row, (said, new) in enumerate(zip(self._said, ids, strict=True)):
            assert len(said) + len(new) <= self._model.context
            said.extend(new)
            self._model.counter.tokens += len(new)
            if new:
                self._logits[row] = self._model.logits(self._model.decode(said))

    def truncate(self, row: int, length: int, logits: torch.Tensor) -> None:
        assert length <= len(self._said[row])
        del self._said[row][length:]
        self._logits[row] = logits

    def keep(self, rows: Sequence[int]) -> None:
        self._said = [[*self._said[row]] for row in rows]
        self._logits = [self._logits[row] for row in rows]

    def add(self, prompts: Sequence[Ids]) -> None:
        self._said += [[*prompt] for prompt in prompts]
        self._logits += [self._model.logits(self._model.decode(prompt)) for prompt in prompts]
        self._model.counter.tokens += sum(map(len, prompts))


class CountingCalculator:
    """A calculator that notes what it is asked."""

    name, description, traits = Calculator.name, Calculator.description, Calculator().traits

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def __call__(self, text: str, /) -> str:
        self._asked.append(text)
        return Calculator()(text)
