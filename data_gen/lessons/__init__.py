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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path

from toolformer.calls import NAME, Call, CallSyntax, Part
from toolformer.data_gen.lessons.rules import RULES
from toolformer.data_gen.records import Document
from toolformer.errors import ConfigError, unknown_name

AGAIN = "Write each text again, word for word, with the calls put in where they belong, and nothing else."
"""What a chat is told beside the instruction, which is written for a model that goes on with a prompt."""

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
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 64
    """A call that is not closed by then is given up."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.tool):
            raise ConfigError(f"lesson for {self.tool!r}: that is no tool name")
        if isinstance(self.when, str) and self.when not in RULES:
            raise ConfigError(f"lesson for {self.tool}: {unknown_name('rule for texts', self.when, RULES)}")
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
        if not self.demonstrations or min(self.positions, self.samples, self.max_tokens) < 1:
            raise ConfigError(
                f"lesson for {self.tool}: demonstrations, positions, samples and max_tokens must be at least one"
            )
        if not (0 <= self.sampling_threshold < 1 and 0 < self.top_p <= 1 and 0 < self.temperature < math.inf):
            raise ConfigError(
                f"lesson for {self.tool}: sampling_threshold is from 0 up to 1, top_p above 0 up to 1, temperature "
                "above 0"
            )
        if not (math.isfinite(self.filtering_threshold) and math.isfinite(self.cost)):
            raise ConfigError(f"lesson for {self.tool}: filtering_threshold and cost must be finite")

    def wants(self, document: Document) -> bool:
        """Whether the document is worth the lesson."""
        rule = RULES[self.when] if isinstance(self.when, str) else self.when
        return rule(document)

    def head(self, syntax: CallSyntax) -> list[Part]:
        """The part of the prompt that all texts share: the instruction and the demonstrations."""
        parts = [*self._spelled(self.instruction.strip(), syntax), Part("\n\n")]
        for demonstration in self.demonstrations:
            parts += [Part(f"Input: {_plain(demonstration)}\nOutput: ")]
            parts += [*self._spelled(demonstration.strip(), syntax), Part("\n\n")]
        return list(_joined(parts))

    def tail(self, text: str) -> str:
        """The part of the prompt that is the text's own; behind it the model writes the text again, with calls."""
        return f"Input: {text}\nOutput: "

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
        if not isinstance(self.when, str):
            facts["when"] = f"{self.when.__module__}.{self.when.__qualname__}"
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
    return _SLOT.sub(lambda match: match.group()[0] if match["input"] is None else "", template).strip()


def _joined(parts: list[Part]) -> Iterator[Part]:
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
        return _from_toml(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"lesson {path} cannot be read: {error}") from error


def _from_toml(text: str, source: str) -> Lesson:
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
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
    """Whether a value from TOML is of the field's kind, which its default shows."""
    if name == "demonstrations":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    default = getattr(Lesson, name, "")
    kinds = (int, float) if isinstance(default, float) else type(default)
    return isinstance(value, kinds) and not isinstance(value, bool)
