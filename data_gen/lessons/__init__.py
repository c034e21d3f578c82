"""How a tool is taught: its prompt, its demonstrations, which texts are worth it, and the method's numbers for it.

A lesson is written without any spelling of a call: the input of a call stands in braces where the call belongs,

    Joe Biden was born in {Where was Joe Biden born?} Scranton, {In which state is Scranton?} Pennsylvania.

and becomes a call in the spelling of the model that is asked. Doubled braces stand for themselves. The lessons that
come with the package are the TOML files in this folder; a user's own has the same form.
"""

import hashlib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path

from toolformer.calls import NAME, Call, CallSyntax, Part
from toolformer.data_gen.lessons.places import PLACES, Where
from toolformer.data_gen.lessons.proposals import PROPOSALS, Propose, Proposed
from toolformer.data_gen.lessons.rules import RULES
from toolformer.data_gen.records import Document
from toolformer.errors import ConfigError, unknown_name

AGAIN = "Write each text again, word for word, with the calls put in where they belong, and nothing else."
"""What a chat is told beside the instruction, which is written for a model that goes on with a prompt."""

INPUT, OUTPUT = "Input:", "\nOutput:"
"""What stands before a text in a prompt, and before the same text with calls; a space follows both."""
SHOWN = OUTPUT.strip()

_MOST = {"demonstrations": 1_000, "positions": 1_000, "samples": 1_000, "max_tokens": 4_096}
"""Fifty times what anybody has had use for: more is a slip, and work without an end."""
_LARGEST = 1 << 20
"""Bytes of a file with a lesson at most."""
_HERE = files("toolformer.data_gen.lessons")
_SLOT = re.compile(r"\{\{|\}\}| ?\{(?P<input>[^{}]*)\}")


@dataclass(frozen=True)
class Lesson:
    """One tool's lesson. The defaults are the paper's for most of its tools."""

    tool: str
    instruction: str
    """What the model is told first; a call in it, as in `writing "{question}"`, shows how one is written."""
    demonstrations: tuple[str, ...]
    """Texts with the inputs of good calls in braces."""
    positions: int = 5
    """k: at most so many places in a text."""
    samples: int = 5
    """m: so many calls at each."""
    sampling_threshold: float = 0.05
    """τ_s: a place must be likelier than this."""
    filtering_threshold: float = 1.0
    """τ_f: a result must lower the loss by this much, in nats."""
    cost: float = 0.0
    """Subtracted from the gain: what a call must bring beyond the threshold. The paper has none."""
    when: str | Callable[[Document], bool] = "any"
    """Which texts are worth it: the name of a rule (see rules.py), or in Python a function."""
    where: str | Where = "any"
    """At which places a result could stand: the name of a rule (see places.py), or in Python a function of the text
    and an offset in it."""
    propose: str | Propose | None = None
    """Who proposes calls where rules do: the name of a rule (see proposals.py), or in Python a function of the document
    that gives `Proposed` calls. Without one, rules propose none for this tool."""
    must_name: bool = False
    """Where rules propose, reject a call whose result does not contain its input: it is about something else."""
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 64
    """A call that is not closed by then is given up."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.tool):
            raise ConfigError(f"lesson for {self.tool!r}: that is no tool name")
        for what, named, known in (
            ("rule for texts", self.when, RULES),
            ("rule for places", self.where, PLACES),
            ("rule that proposes calls", self.propose, PROPOSALS),
        ):
            if isinstance(named, str) and named not in known:
                raise ConfigError(f"lesson for {self.tool}: {unknown_name(what, named, known)}")
        for template in (self.instruction, *self.demonstrations):
            if brace := re.search("[{}]", _SLOT.sub("", template)):
                raise ConfigError(
                    f"lesson for {self.tool}: a {brace.group()} without its partner in {template[:60]!r}; braces are "
                    "for inputs of calls, and one that is meant as such is doubled"
                )
        for demonstration in self.demonstrations:
            if not any(match["input"] is not None for match in _SLOT.finditer(demonstration)):
                raise ConfigError(
                    f"lesson for {self.tool}: the demonstration {demonstration[:60]!r} holds no call; write the input "
                    "of one in braces where it belongs: Paris is in {Where is Paris?} France"
                )
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not 1 <= (len(value) if isinstance(value, tuple) else value) <= most:
                raise ConfigError(f"lesson for {self.tool}: {name} must be at least one, and at most {most:,}")
        if not (0 <= self.sampling_threshold < 1 and 0 < self.top_p <= 1 and 0 < self.temperature < math.inf):
            raise ConfigError(
                f"lesson for {self.tool}: sampling_threshold is from 0 up to 1, top_p above 0 up to 1, temperature "
                "above 0"
            )
        if not max(abs(self.filtering_threshold), abs(self.cost)) < math.inf:
            raise ConfigError(f"lesson for {self.tool}: filtering_threshold and cost must be finite")

    def wants(self, document: Document) -> bool:
        """Whether the document is worth the lesson."""
        rule = RULES[self.when] if isinstance(self.when, str) else self.when
        return rule(document)

    def could_stand(self, text: str, at: int) -> bool:
        """Whether the tool's result could stand at this place of a text."""
        rule = PLACES[self.where] if isinstance(self.where, str) else self.where
        return rule(text, at)

    def proposed(self, document: Document) -> Iterable[Proposed]:
        """The calls that the lesson's rule proposes for a document."""
        if self.propose is None:
            return ()
        rule = PROPOSALS[self.propose] if isinstance(self.propose, str) else self.propose
        return rule(document)

    def head(self, syntax: CallSyntax) -> list[Part]:
        """The part of the prompt that all texts share: the instruction and the demonstrations.

        It is cut where the text's own part is (see `samplers/prompts.py`), so that a tokenizer, which is given one part
        at a time, cuts both alike.
        """
        parts = [*_joined(self._spelled(self.instruction.strip(), syntax)), Part("\n\n")]
        for demonstration in self.demonstrations:
            parts += [Part(INPUT), Part(f" {_plain(demonstration)}"), Part(OUTPUT)]
            parts += [*_joined(self._spelled(f" {demonstration.strip()}", syntax)), Part("\n\n")]
        return parts

    def shown(self, syntax: CallSyntax, without: int | None = None) -> list[Part]:
        """The demonstrations with their calls, all or all but one, and nothing else: what a call looks like."""
        parts = []
        for number, demonstration in enumerate(self.demonstrations):
            if number != without:
                parts += [Part(SHOWN), *_joined(self._spelled(f" {demonstration.strip()}", syntax)), Part("\n\n")]
        return parts

    def examples(self) -> list[tuple[int, str, int, Call]]:
        """The calls of the demonstrations: in which one, its text without calls, the call's offset there, the call."""
        found = []
        for number, demonstration in enumerate(self.demonstrations):
            text = _plain(demonstration)
            for match in _SLOT.finditer(demonstration.strip()):
                if match["input"] is not None:
                    before = _plain_of(demonstration.strip()[: match.start()])
                    found.append((number, text, len(before), Call(self.tool, match["input"])))
        return found

    def prompt(self, text: str, syntax: CallSyntax) -> str:
        """The whole prompt as text, for who reads no ids; what goes on behind it begins with a space."""
        return "".join(part.text for part in [*self.head(syntax), Part(f"{INPUT} {text}{OUTPUT}")])

    def chat(self, text: str) -> list[str]:
        """The lesson as what a user and an assistant say in turn, the text last, for whoever only chats.

        Each demonstration is said without its calls and answered with them, in the text spelling.
        """
        said = [piece for one in self.demonstrations for piece in (_plain(one), self._written(one))]
        return [f"{self._written(self.instruction)}\n\n{AGAIN}\n\n{said[0]}", *said[1:], text]

    @property
    def needed(self) -> float:
        """The least gain that keeps a call: τ_f and the tool's cost."""
        return self.filtering_threshold + self.cost

    @property
    def fingerprint(self) -> str:
        """Changes when anything in the lesson does. A function's own text is not looked at, only its name."""
        facts = asdict(self)
        for name in ("when", "where", "propose"):
            if callable(rule := facts[name]):
                facts[name] = f"{rule.__module__}.{rule.__qualname__}"
        return hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()[:16]

    def _written(self, template: str) -> str:
        return "".join(part.text for part in self._spelled(template.strip(), CallSyntax.TEXT))

    def _spelled(self, template: str, syntax: CallSyntax) -> Iterator[Part]:
        end = 0
        for match in _SLOT.finditer(template):
            yield Part(template[end : match.start()])
            if match["input"] is None:
                yield Part(match.group()[0])
            else:
                yield from syntax.parts(Call(self.tool, match["input"]))
            end = match.end()
        yield Part(template[end:])


def _plain(template: str) -> str:
    """The demonstration without its calls."""
    return _plain_of(template).strip()


def _plain_of(template: str) -> str:
    return _SLOT.sub(lambda match: match.group()[0] if match["input"] is None else "", template)


def _joined(parts: Iterable[Part]) -> Iterator[Part]:
    """Neighbouring plain pieces as one, so that a tokenizer sees running text."""
    plain = ""
    for part in parts:
        if part.control:
            if plain:
                yield Part(plain)
            plain = ""
            yield part
        else:
            plain += part.text
    if plain:
        yield Part(plain)


def builtin_lessons() -> dict[str, Lesson]:
    """The lessons that come with the package, by the name of their tool."""
    texts = {item.name: item.read_text("utf-8") for item in _HERE.iterdir() if item.name.endswith(".toml")}
    lessons = [_from_toml(texts[name], name) for name in sorted(texts)]
    return {lesson.tool: lesson for lesson in lessons}


def load_lesson(path: Path) -> Lesson:
    """A lesson from a TOML file with the fields of `Lesson`."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"lesson {path} is no file: name a TOML file")
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"lesson {path} is longer than {_LARGEST >> 20} MiB, which no lesson is")
        return _from_toml(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"lesson {path} cannot be read: {error}") from error


def _from_toml(text: str, source: str) -> Lesson:
    try:
        given = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
        raise ConfigError(f"lesson {source} is no TOML: {error}") from error
    known = {field.name for field in fields(Lesson)}
    for name in sorted(given.keys() - known):
        raise ConfigError(f"lesson {source}: {unknown_name('field', name, known)}")
    for name in sorted({"tool", "instruction", "demonstrations"} - given.keys()):
        raise ConfigError(f"lesson {source} lacks {name}")
    for name, value in given.items():
        if not _fits(name, value):
            raise ConfigError(f"lesson {source}: {name} cannot be {value!r:.60}")
    return Lesson(**{**given, "demonstrations": tuple(given["demonstrations"])})


def _fits(name: str, value: object) -> bool:
    """Whether a value from TOML is of the field's kind, which its default shows; where there is none, text."""
    if name == "demonstrations":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    default = getattr(Lesson, name, None)
    default = "" if default is None else default
    kinds = (int, float) if isinstance(default, float) else type(default)
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return False
    return isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)
