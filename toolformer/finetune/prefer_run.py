"""A run of training on preferences, from an annotated folder to a model that calls where it should: `prefer`."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from toolformer.data_gen.annotated_folder import AnnotatedFolder, KeptText
from toolformer.data_gen.preference import Preference, preferences
from toolformer.data_gen.records import Document
from toolformer.data_gen.undecided import Undecided, undecided
from toolformer.errors import ConfigError, DataError
from toolformer.finetune.arguments import device_kind
from toolformer.finetune.config import PreferConfig, TrainConfig
from toolformer.finetune.mixture import PlainText, without_calls
from toolformer.finetune.model_card import preference_card
from toolformer.finetune.own_calls import Mistake, own_mistakes
from toolformer.finetune.pairs import KINDS, Drawn, Pair, PairMaker, draw, log_probabilities
from toolformer.finetune.prepare import Prepared, prepare, save
from toolformer.finetune.train_display import Progress, Watcher
from toolformer.finetune.training_folder import TrainingFolder
from toolformer.hf import fetch
from toolformer.hf.source import lasting
from toolformer.loading import Loading
from toolformer.own_json import made_of
from toolformer.tool import Tool
from toolformer.version import DISTRIBUTION, __version__


@dataclass(frozen=True)
class Preferred:
    """What a finished run says of itself."""

    folder: Path
    steps: int
    pairs: Mapping[str, int]
    """How many pairs of each kind were learnt from."""
    held: Mapping[str, int]
    """How many were held out."""
    before: Mapping[str, float]
    """The share of the held-out pairs of which the model found the chosen way likelier, before training."""
    accuracy: Mapping[str, float]
    """The same after it."""
    tokens_per_second: float


@dataclass(frozen=True)
class _Sources:
    """What pairs are made of."""

    kept: Sequence[KeptText]
    compared: Sequence[tuple[str, Preference]]
    """Texts, and what annotating found better and worse in them."""
    plain: Sequence[PlainText]
    undecided: Undecided
    mistakes: Sequence[Mistake] = ()
    """Calls of the model's own in the place of kept ones."""

    @property
    def digest(self) -> str:
        """A hash of all of it."""
        said = [
            [[one.annotated, [placed.start for placed in one.calls]] for one in self.kept],
            [[text, *vars(one).values()] for text, one in self.compared],
            [[one.text, sorted(self.undecided.get(one.text, ()))] for one in self.plain],
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def prefer(
    corpus: AnnotatedFolder,
    out: Path,
    *,
    model: str,
    plain: Sequence[Document] = (),
    tools: Sequence[Tool] = (),
    config: PreferConfig = PreferConfig(),
    loading: Loading = Loading(),
    on_progress: Callable[[Progress], None] | None = None,
) -> Preferred:
    """Train a model on what it should rather do than something else; the same again goes on where it was stopped.

    Args:
        corpus: The annotated folder that the model was finetuned on: its kept calls, and those that were worse.
        out: The folder to write, as `train` writes one.
        model: By name or path: a model that calls tools, such as a folder of `train`. LoRA goes on from it.
        plain: Texts in which the model should not call, but for those that kept a call and for places that are
            undecided. They are read by the model: what it learns from are the places where it wants to call.
        tools: Those that the model's own calls ask, if `config.own_calls` wants some.
        config: The settings.
        loading: How the model is loaded.
        on_progress: Called after each step.
    """
    config.check()
    if config.own_calls and not tools:
        raise ConfigError(f"own_calls={config.own_calls}: give the tools that answer them")
    device_kind(loading.device)
    _check_installed()
    name, mark = fetch(lasting(model), loading)
    sources = _read(corpus, plain)
    described = {
        "toolformer": __version__,
        "model": name,
        "model_fingerprint": mark,
        "data": sources.digest,
        "tools": sorted({placed.call.tool for one in sources.kept for placed in one.calls}),
        "preference": asdict(config),
        "loading": {name: getattr(loading, name) for name in ("dtype", "quantize", "adapter", "revision")},
    }
    with TrainingFolder(out, described) as folder:
        if folder.results:
            return _known(folder)
        own = (folder.path, name, loading, tools, sources.kept, config.own_calls, config.seed)
        mistakes = own_mistakes(*own) if config.own_calls else []
        return _run(folder, name, config, loading, replace(sources, mistakes=mistakes), on_progress)


def _check_installed() -> None:
    try:
        import trl  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"trl is not installed: pip install '{DISTRIBUTION}[rl]'") from error


def _read(corpus: AnnotatedFolder, plain: Sequence[Document]) -> _Sources:
    kept: list[KeptText] = []
    compared: list[tuple[str, Preference]] = []
    for text, dropped in corpus.kept_with_rejected():
        kept.append(text)
        compared += [(text.text, one) for one in preferences(text, dropped)]
    texts = without_calls([one for one in kept if one.calls], (one.text for one in plain))
    without = [PlainText(text) for text in dict.fromkeys(texts) if text.strip()]
    return _Sources(kept, compared, without, undecided([corpus], plain) if plain else {})


def _known(folder: TrainingFolder) -> Preferred:
    """What a run that was finished before has written of itself."""
    try:
        return made_of(Preferred, folder.results, folder=folder.path)
    except ValueError as error:
        raise DataError(f"{folder.path} has damaged results ({error}): choose another folder") from error


def _run(
    folder: TrainingFolder,
    name: str,
    config: PreferConfig,
    loading: Loading,
    sources: _Sources,
    on_progress: Callable[[Progress], None] | None,
) -> Preferred:
    """Train, from the last checkpoint if there is one, and write what came out."""
    from toolformer.finetune.preference_trainer import preference_arguments, preference_trainer

    prepared = _prepared(name, config, loading)
    drawn = _drawn(prepared, config, sources)
    reference = log_probabilities(prepared.network, [*drawn.learnt, *drawn.held])
    arguments = preference_arguments(config, folder.checkpoints, loading.device, len(drawn.learnt))
    mean = config.batch_size * sum(map(len, drawn.learnt)) // len(drawn.learnt)
    watcher = Watcher(arguments.max_steps, [mean] * arguments.max_steps, on_progress)
    learnt = reference[: len(drawn.learnt)]
    last = folder.last()
    trainer = preference_trainer(
        prepared, drawn.learnt, learnt, arguments, partial(save, prepared), folder.complete, [watcher]
    )
    begun = time.monotonic()
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    speed = watcher.progress.tokens / (time.monotonic() - begun)
    prepared.model.eval()
    results: dict[str, Any] = {
        "steps": trainer.state.global_step,
        "pairs": _counts(drawn.learnt),
        "held": _counts(drawn.held),
        "before": _accuracy(drawn.held, reference[len(drawn.learnt) :]),
        "accuracy": _accuracy(drawn.held, log_probabilities(prepared.network, drawn.held)),
        "tokens_per_second": round(speed, 1),
    }
    card = preference_card(folder.read(), results, str(folder.path))
    folder.finish(trainer.state.global_step, card, results, trainer.history)
    return Preferred(folder.path, **results)


def _prepared(name: str, config: PreferConfig, loading: Loading) -> Prepared:
    dtype = "float32" if loading.dtype == "auto" else loading.dtype
    prepared = prepare(name, TrainConfig(seed=config.seed), replace(loading, dtype=dtype), taught=True)
    if prepared.network.config.is_encoder_decoder:
        raise ConfigError(f"{name} is an encoder-decoder: preferences are for causal models")
    prepared.model.eval()
    return prepared


def _drawn(prepared: Prepared, config: PreferConfig, sources: _Sources) -> Drawn:
    maker = PairMaker(prepared, config)
    found: list[Pair] = [pair for one in sources.kept for pair in maker.kept(one)]
    found += [pair for text, one in sources.compared for pair in maker.compared(text, one)]
    found += [pair for one in sources.mistakes for pair in maker.own(sources.kept[one.text], one)]
    found += maker.needless(sources.plain, sources.undecided)
    drawn = draw(found, config)
    if not drawn.learnt:
        raise DataError(
            f"the model wants to call nowhere where it should not, in {len(sources.plain)} plain texts and "
            f"{len(sources.kept)} with calls: there is nothing to learn. Give it more plain texts, a higher k, or "
            "own_calls"
        )
    return drawn


def _counts(pairs: Sequence[Pair]) -> dict[str, int]:
    return {kind: sum(pair.kind == kind for pair in pairs) for kind in KINDS}


def _accuracy(pairs: Sequence[Pair], said: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Of the pairs of each kind, the share of which the chosen way is the likelier."""
    right: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for pair, (chosen, rejected) in zip(pairs, said, strict=True):
        right[pair.kind].append(chosen > rejected)
    return {kind: round(sum(all_) / len(all_), 4) for kind, all_ in right.items() if all_}
