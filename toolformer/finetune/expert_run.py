"""A run that trains an expert, from inputs with their outputs to a folder: `train_expert`."""

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

from toolformer.errors import ConfigError, DataError
from toolformer.expert import PROMPT, check_prompt
from toolformer.finetune.arguments import device_kind, training_arguments
from toolformer.finetune.config import ExpertConfig
from toolformer.finetune.exchanges import Exchange, ExchangeRows, Exchanges, hold_out
from toolformer.finetune.learn import learn
from toolformer.finetune.model_card import expert_card
from toolformer.finetune.train_display import Progress
from toolformer.finetune.training import Trained, known, prepared_on
from toolformer.finetune.training_folder import TrainingFolder
from toolformer.hf import fetch
from toolformer.hf.network import context_of
from toolformer.hf.precision import check_words
from toolformer.hf.source import find, lasting
from toolformer.loading import Loading
from toolformer.version import __version__


def train_expert(
    exchanges: Iterable[Exchange],
    out: Path,
    *,
    model: str,
    prompt: str = PROMPT,
    config: ExpertConfig = ExpertConfig(),
    loading: Loading = Loading(),
    on_progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train an expert on inputs and their outputs; the same again goes on where it was stopped.

    Args:
        exchanges: What it learns from, such as `read_exchanges(path)` gives them. Only the outputs are learnt.
        out: The folder to write, as `train` writes one. It holds the prompt, too.
        model: By name or path. Where it is an adapter, such as one that calls tools, its base model is taken: an expert
            answers beside that adapter, and not on top of it.
        prompt: What stands around an input, whose place is `{input}`.
        config: The settings.
        loading: How the model is loaded.
        on_progress: Called after each step.
    """
    config.training.check(loading)
    check_prompt(prompt)
    check_words(loading)
    device_kind(loading.device)
    if loading.adapter is not None:
        raise ConfigError(f"adapter={loading.adapter}: an expert is trained on a base model, beside other adapters")
    source, _ = find(lasting(model), loading)
    loading = replace(loading, revision=source.revision)
    name, mark = fetch(source.name, loading)
    parts = hold_out(exchanges, config.held_out, config.seed)
    described = {
        "toolformer": __version__,
        "model": name,
        "model_fingerprint": mark,
        "data": parts.digest,
        "pairs": {"learnt": len(parts.learnt), "held_out": len(parts.held)},
        "prompt": prompt,
        "expert": asdict(config),
        "loading": {name: getattr(loading, name) for name in ("dtype", "quantize", "revision")},
    }
    with TrainingFolder(out, described, main=int(os.environ.get("RANK", "0")) == 0) as folder:
        if results := folder.results:
            return known(out, results)
        return _run(folder, name, prompt, config, loading, parts, on_progress)


def _run(
    folder: TrainingFolder,
    name: str,
    prompt: str,
    config: ExpertConfig,
    loading: Loading,
    exchanges: Exchanges,
    on_progress: Callable[[Progress], None] | None,
) -> Trained:
    """Train, from the last checkpoint if there is one, and write what came out."""
    training = config.training
    arguments = training_arguments(training, folder.checkpoints, loading.device)
    prepared = prepared_on(arguments, name, training, loading)
    if prepared.network.config.is_encoder_decoder:
        raise ConfigError(f"{name} is an encoder-decoder: experts are for causal models")
    maker = ExchangeRows(prepared.codec, prompt, min(config.max_length, context_of(prepared.network)))
    rows, held = maker.rows(exchanges.learnt), maker.rows(exchanges.held)
    if not rows:
        raise DataError(f"all pairs have more than {config.max_length} tokens: shorten the inputs, or allow more")
    trainer, results = learn(folder, prepared, training, arguments, rows, {"outputs": held}, (), on_progress)
    results["cut"] = maker.cut
    if trainer.is_world_process_zero():
        card = expert_card(folder.read(), results, str(folder.path))
        folder.finish(results["step"], card, results, trainer.history)
    return Trained(folder.path, **results)
