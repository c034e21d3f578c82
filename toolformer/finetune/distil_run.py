"""A run that makes a smaller model of a larger one: `distil`.

Where both have one vocabulary, the student learns the teacher's distribution at every token of texts with calls: of the
calls, of where they open, and of the rest. Where not, the teacher goes on from the beginning of each text, with its
tools, and the student is finetuned on what it writes. What is held out is the same either way, and that of `train`.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from toolformer.calls import Call, CallSyntax
from toolformer.decode.decoder import STRIDE, Decoder
from toolformer.decode.options import Options
from toolformer.errors import ConfigError, DataError
from toolformer.expert import with_model
from toolformer.finetune.arguments import device_kind
from toolformer.finetune.batches import Inputs
from toolformer.finetune.config import TrainConfig
from toolformer.finetune.mixture import PlainText, Texts, choose
from toolformer.finetune.train_display import Progress
from toolformer.finetune.trainer import LogitsAtLabels
from toolformer.finetune.training import Trained, described, known, run
from toolformer.finetune.training_folder import TrainingFolder
from toolformer.finetune.training_rows import Example
from toolformer.generation import Gathered, Generation
from toolformer.hf import fetch, load, load_network
from toolformer.hf.load import words_of
from toolformer.hf.precision import check_words
from toolformer.hf.source import lasting, public
from toolformer.loading import Loading
from toolformer.own_json import made_of, parse_own
from toolformer.tool import Tool
from toolformer.toolbox import Toolbox
from toolformer.whole_file import whole_file

By = Literal["auto", "distribution", "texts"]
WRITTEN = "written.jsonl"
"""The teacher's texts, in the folder of the run."""
_TOKENS = 64
"""How many the teacher writes behind the beginning of a text."""


@dataclass(frozen=True)
class Placed:
    """A call that the teacher made, and its place."""

    call: Call
    start: int


@dataclass(frozen=True)
class Written:
    """A text that the teacher wrote."""

    text: str
    calls: tuple[Placed, ...]


def distil(
    teacher: str,
    examples: Iterable[Example],
    out: Path,
    *,
    student: str,
    by: By = "auto",
    temperature: float = 1.0,
    tools: Sequence[Tool] = (),
    config: TrainConfig = TrainConfig(),
    loading: Loading = Loading(),
    plain: Iterable[str] = (),
    on_progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train a student on what a teacher would say; the same again goes on where it was stopped.

    Args:
        teacher: By name or path: a model that calls tools.
        examples: Texts with calls, as `train` takes them.
        out: The folder to write, as `train` writes one.
        student: By name or path: the model to train.
        by: What is learnt: the teacher's distribution, or texts that it writes. `auto` is the first where both models
            have one vocabulary, and the second where not.
        temperature: Of the distribution: above 1, the student learns more of what is unlikely.
        tools: Those that the teacher calls while it writes.
        config: The settings.
        loading: How both models are loaded.
        plain: Texts without calls to learn from as well.
        on_progress: Called after each step.
    """
    _check(config, temperature, loading)
    way = taught_by(teacher, student, by, config, loading)
    texts = choose(examples, plain, config)
    name, mark = fetch(lasting(student), loading)
    teacher, teacher_mark = fetch(lasting(teacher), loading)
    about = described(name, mark, texts, config, loading) | {
        "teacher": public(teacher),
        "teacher_fingerprint": teacher_mark,
        "taught_by": way,
        "temperature": temperature if way == "distribution" else None,
    }
    with TrainingFolder(out, about) as folder:
        if results := folder.results:
            return known(out, results)
        if way == "texts":
            return run(folder, name, config, loading, _taught(folder, teacher, tools, texts, loading), (), on_progress)
        shown = _Shown(teacher, loading, temperature)
        return run(folder, name, config, loading, texts, (), on_progress, shown)


def taught_by(
    teacher: str, student: str, by: By, config: TrainConfig, loading: Loading
) -> Literal["distribution", "texts"]:
    """What the student can learn from this teacher. Looks at the tokenizers alone."""
    if by == "texts":
        return by
    theirs, own = (dict(words_of(name, loading).codec.tokenizer.get_vocab()) for name in (teacher, student))
    for token in CallSyntax.TOKENS.control_tokens if config.how != "prompt" else ():
        own.setdefault(token, len(own))  # the student is given them
    if theirs == own:
        return "distribution"
    if by == "distribution":
        raise ConfigError(
            f"{teacher} has another vocabulary than {student} ({len(theirs):,} and {len(own):,} tokens), so its "
            "distribution cannot be learnt: let the student learn from texts that it writes, by=texts"
        )
    return "texts"


def _check(config: TrainConfig, temperature: float, loading: Loading) -> None:
    """Refuse what cannot be, before anything is loaded."""
    config.check(loading)
    check_words(loading)
    device_kind(loading.device)
    if not 0 < temperature < float("inf"):
        raise ConfigError(f"temperature={temperature}: it has to be above 0")
    if loading.adapter is not None:
        raise ConfigError(f"adapter={loading.adapter}: name the adapter itself as the teacher or the student")
    for name in ("control", "anchor", "keep_out", "spare_undecided"):
        if getattr(config, name):
            raise ConfigError(f"{name} does not go with a teacher, which says what is learnt: leave it out")


class _Shown:
    """The teacher's distribution, as the loss asks for it. The teacher is loaded when it is asked first."""

    def __init__(self, teacher: str, loading: Loading, temperature: float) -> None:
        self.temperature = temperature
        self._name, self._loading = teacher, loading
        self._network: Any = None

    def __call__(self, inputs: Inputs) -> Tensor:
        """The teacher's logits of all tokens to be said."""
        if self._network is None:
            self._network, _ = load_network(self._name, self._loading)
            self._network.requires_grad_(False)
            self._logits = LogitsAtLabels(self._network)
        with torch.no_grad():
            return self._logits(self._network, inputs)


def _taught(folder: TrainingFolder, teacher: str, tools: Sequence[Tool], texts: Texts, loading: Loading) -> Texts:
    """The same texts as the teacher writes them, from their beginnings on; kept in the folder, so that a run that goes
    on does not wait for them again."""
    file = folder.path / WRITTEN
    if not file.exists():
        begun = [one.text[: one.calls[0].start] for one in texts.learnt]
        written = _write(teacher, tools, [beginning for beginning in begun if beginning.strip()], loading)
        with whole_file(file) as out:
            for one in written:
                out.write(json.dumps(asdict(one)).encode() + b"\n")
    found = _read(file)
    learnt: list[Example] = [one for one in found if one.calls]
    if not learnt:
        raise DataError(
            f"{teacher} called no tool in the {len(found)} texts that it wrote: there are no calls to learn. Take a "
            "teacher that calls the tools of this corpus"
        )
    return replace(texts, learnt=learnt, plain=[*texts.plain, *(PlainText(one.text) for one in found if not one.calls)])


def _read(file: Path) -> list[Written]:
    try:
        return [made_of(Written, parse_own(line)) for line in file.read_text("utf-8").splitlines()]
    except ValueError as error:
        raise DataError(f"{file} is damaged ({error}): delete it and run again") from error


def _write(teacher: str, tools: Sequence[Tool], begun: Sequence[str], loading: Loading) -> list[Written]:
    """What the teacher writes behind each beginning, up to the end of the line."""
    model = load(teacher, **vars(loading))
    options = Options(max_new_tokens=_TOKENS, stop=("\n",), late_stop=True)
    with Toolbox(with_model(tools, model)) as box:
        decoder = Decoder(model, box)
        rows = [Gathered(decoder.syntax) for _ in begun]
        prompts = [model.encode(text).ids[-model.context + 2 * _TOKENS :] for text in begun]
        for event in decoder.run(prompts, options, stride=STRIDE):
            rows[event.row].add(event)
    return [_behind(text, row.generation()) for text, row in zip(begun, rows, strict=True)]


def _behind(text: str, made: Generation) -> Written:
    calls = (Placed(Call(one.tool, one.input, one.result), len(text) + one.start) for one in made.calls)
    return Written(text + made.text, tuple(calls))
