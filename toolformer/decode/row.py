"""One text while it is written: what was said, and what its row is doing (`states.py`)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from toolformer.calls import Call
from toolformer.decode.events import Answered, Event, Text
from toolformer.decode.options import Options
from toolformer.decode.states import FOLLOWS, Feeding, State, Writing, goal
from toolformer.decode.writer import Writer
from toolformer.lm import Ids
from toolformer.tool import DocumentFacts


@dataclass(frozen=True)
class Asked:
    """A prompt to go on from."""

    index: int
    """The row of its events."""
    prompt: Ids
    options: Options
    before: int = 0
    """How often the same prompt came before it: each time it gets other random numbers."""
    every: int = 1
    """Its text comes at least every so many tokens."""
    facts: DocumentFacts | None = None
    """What tools that depend on it may know."""

    @property
    def stride(self) -> int:
        """After so many tokens the text is looked at: at every one where a stop string may end it."""
        return 1 if self.options.stop else self.every


def all_asked(
    prompts: Sequence[Ids],
    options: Options,
    *,
    first: int = 0,
    every: int = 1,
    facts: Sequence[DocumentFacts] | None = None,
) -> list[Asked]:
    """All these prompts under the same options, numbered from `first` on."""
    came: Counter[tuple[int, ...]] = Counter()
    asked = []
    for place, prompt in enumerate(prompts):
        known = facts[place] if facts else None
        asked.append(Asked(first + place, prompt, options, came[tuple(prompt)], every, known))
        came[tuple(prompt)] += 1
    return asked


@dataclass
class Branch:
    """What a row knows of its call as long as it is one of several at one place."""

    number: int = 0
    """Which of the samples it is."""
    likelihood: float = 0.0
    """The log-probability of the call: of its name, among the registered ones, and of its input."""
    votes: int = 1
    """How many samples wrote this call."""
    asked: Call | None = None
    answered: Answered | None = None
    held: list[Event] = field(default_factory=list)
    """What happened, to be told if this branch lives."""


@dataclass
class Row:
    """One prompt's text, or one of several branches of it."""

    asked: Asked
    seed: int
    writer: Writer
    state: State = field(default_factory=Writing)
    said: list[int] = field(default_factory=list)
    """The tokens of the text; those of calls are not among them."""
    told: int = 0
    """How many of them came with a text that was told."""
    calls: tuple[tuple[int, Call], ...] = ()
    """Those that were answered, each with how many tokens of the text stand before it."""
    undone: int = 0
    barred: int = -1
    """The length of the text at which a call failed: none opens there again."""
    branch: Branch | None = None

    @property
    def index(self) -> int:
        """Which prompt it is."""
        return self.asked.index

    def become(self, state: State) -> None:
        """Go on to a state that may follow the present one."""
        assert type(goal(state)) in FOLLOWS[type(self.state)], f"{state} cannot follow {self.state}"
        self.state = state

    @property
    def feed(self) -> tuple[int, ...]:
        """What goes through the model at the end of this step."""
        return self.state.ids if isinstance(self.state, Feeding) else ()

    def fed(self) -> None:
        """That went through the model."""
        if isinstance(self.state, Feeding):
            self.state = self.state.then

    def text(self, *, final: bool = False) -> list[Text]:
        """Tell the text that has become certain since the last time; `final`: there will be no more."""
        text = self.writer.take(final=final)
        if not text:
            return []
        ids, self.told = tuple(self.said[self.told :]), len(self.said)
        return [Text(self.index, text, ids)]

    def copy(self) -> "Row":
        """The same, to go on in another way."""
        branch = self.branch and replace(self.branch, held=[*self.branch.held])
        return replace(self, writer=self.writer.copy(), said=[*self.said], branch=branch)
