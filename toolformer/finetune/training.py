"""A finetuning run from texts to a folder: `train`. The parts are in the other files here, put together."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from transformers import TrainerCallback, TrainingArguments

from toolformer.calls import Call, CallSyntax
from toolformer.errors import DataError
from toolformer.finetune.arguments import device_kind, make_trackers, training_arguments
from toolformer.finetune.config import TrainConfig
from toolformer.finetune.learn import learn
from toolformer.finetune.mixture import Held, Texts, choose, make_rows
from toolformer.finetune.model_card import model_card
from toolformer.finetune.prepare import Prepared, check_packing, check_turns, prepare
from toolformer.finetune.train_display import Progress
from toolformer.finetune.trainer import Teacher
from toolformer.finetune.training_folder import TrainingFolder
from toolformer.finetune.training_rows import Example, RowMaker
from toolformer.hf import fetch
from toolformer.hf.network import context_of
from toolformer.hf.precision import check_words
from toolformer.hf.source import find, lasting, public
from toolformer.loading import Loading
from toolformer.own_json import made_of
from toolformer.version import __version__


@dataclass(frozen=True)
class Trained:
    """What a finished run says of itself."""

    folder: Path
    step: int
    """The step whose weights were kept."""
    steps: int
    before: Mapping[str, float]
    """Perplexities of held-out texts, without and with calls, before training."""
    perplexity: Mapping[str, float]
    """The same at the step that was kept."""
    tokens_per_second: float
    padding: float
    """The share of what went through the model that only filled up."""
    cut: int
    """Rows that lost their ends because they were too long."""


def train(
    examples: Iterable[Example],
    out: Path,
    *,
    model: str = "builtin",
    config: TrainConfig = TrainConfig(),
    loading: Loading = Loading(),
    plain: Iterable[str] = (),
    held: Held | None = None,
    undecided: Mapping[str, Collection[int]] = MappingProxyType({}),
    made_with: str | None = None,
    trackers: Sequence[str] = (),
    on_progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Finetune a model on texts with calls; the same again goes on where it was stopped.

    Args:
        examples: The texts, such as `AnnotatedFolder(path).kept()` gives them; those without a call are left out.
        out: The folder to write; `training_folder.py` says what is in it.
        model: By name or path. A folder of an earlier run goes on with its adapter.
        config: The settings; `PAPER` holds the paper's.
        loading: How the model is loaded: `quantize` is QLoRA, and an adapter goes on to be trained.
        plain: Texts to learn from as they are, but for those that kept a call; some are held out.
        held: Texts to measure on, so that several runs are measured on the same; by default a share of the others.
        undecided: For a text, the characters at which the loss does not ask whether a call is opened, such as
            `data_gen.undecided` finds them.
        made_with: The fingerprint of the model that judged the calls, which has to be this one.
        trackers: Whom to report to, as transformers calls them: tensorboard, wandb, mlflow, ...
        on_progress: Called after each step.
    """
    config.check(loading)
    check_words(loading)
    device_kind(loading.device)
    callbacks = make_trackers(trackers)
    main = int(os.environ.get("RANK", "0")) == 0
    name = lasting(model)
    texts = choose(examples, plain, config, held, undecided)
    # One process is enough to look.
    name, mark = _check_model(name, made_with, loading) if main else (name, "")
    with TrainingFolder(out, described(name, mark, texts, config, loading), main=main) as folder:
        if results := folder.results:
            return known(out, results)
        return run(folder, name, config, loading, texts, callbacks, on_progress)


def known(out: Path, results: Any) -> Trained:
    """What a run that was finished before has written of itself."""
    try:
        return made_of(Trained, results, folder=out)
    except ValueError as error:
        raise DataError(f"{out / 'training.json'} has damaged results ({error}): choose another folder") from error


def _check_model(name: str, made_with: str | None, loading: Loading) -> tuple[str, str]:
    """What the model is called, and its fingerprint, which has to be the one that the corpus was made with. In which
    precision that was makes no difference: where losses were in doubt, the annotator asked in fp32."""
    name, mark = fetch(name, loading)
    if made_with is not None and mark != made_with:
        raise DataError(
            f"the corpus was made with another model (fingerprint {made_with}; {name} has {mark}), so its calls may "
            "not help this one: name the model that it was made with, or allow any corpus"
        )
    return name, mark


def described(name: str, mark: str, texts: Texts, config: TrainConfig, loading: Loading) -> dict[str, Any]:
    """What the folder says of the run from its beginning on: of an adapter that goes on, whose it is and its own rank,
    whatever was asked for. It may be pushed to a hub, so no path is in it."""
    source, earlier = find(name, loading)
    tools = sorted({placed.call.tool for example in texts.learnt for placed in example.calls})
    syntax = CallSyntax.TEXT if config.how == "prompt" else CallSyntax.TOKENS
    return {
        "toolformer": __version__,
        "model": public(source.name),
        **({"went_on_from": public(loading.adapter or name)} if earlier else {}),
        "model_fingerprint": mark,
        "data": texts.digest,
        "texts": {
            "learnt": len(texts.learnt),
            "plain": len(texts.plain),
            "held_out": len(texts.held),
            "held_out_plain": len(texts.held_plain),
        },
        "tools": tools,
        "call": syntax.format(Call(tools[0], "input", "result")).strip(),
        "settings": config.settings() | ({"rank": earlier.rank} if earlier else {}),
        "loading": {name: getattr(loading, name) for name in ("dtype", "quantize", "revision")},
    }


def run(
    folder: TrainingFolder,
    name: str,
    config: TrainConfig,
    loading: Loading,
    texts: Texts,
    trackers: Sequence[TrainerCallback],
    on_progress: Callable[[Progress], None] | None,
    teacher: Teacher | None = None,
) -> Trained:
    """Train, from the last checkpoint if there is one, and write what came out. With a teacher, its distribution is
    learnt instead of the texts' words."""
    arguments = training_arguments(config, folder.checkpoints, loading.device)
    prepared = prepared_on(arguments, name, config, loading)
    maker = _row_maker(prepared, config, texts.undecided)
    mixture = make_rows(texts, maker, config, folder.path)
    held = {"plain": mixture.held_plain, "calls": mixture.held_calls}
    trainer, results = learn(folder, prepared, config, arguments, mixture.rows, held, trackers, on_progress, teacher)
    results["cut"] = maker.cut
    if trainer.is_world_process_zero():
        card = model_card(folder.read(), results, str(folder.path))
        folder.finish(results["step"], card, results, trainer.history)
    return Trained(folder.path, **results)


def prepared_on(arguments: TrainingArguments, name: str, config: TrainConfig, loading: Loading) -> Prepared:
    """The model, ready to be trained where the arguments say."""
    # Weights that are themselves trained are always fp32.
    auto = "bfloat16" if arguments.bf16 and config.how != "full" else "float32"
    dtype = auto if loading.dtype == "auto" else loading.dtype
    prepared = prepare(name, config, replace(loading, device=str(arguments.device), dtype=dtype))
    if config.pack:
        check_packing(prepared)
    if config.turns:
        check_turns(prepared, name)
    return prepared


def _row_maker(prepared: Prepared, config: TrainConfig, undecided: Mapping[str, Collection[int]]) -> RowMaker:
    network = prepared.network.config
    return RowMaker(
        prepared.codec,
        prepared.syntax,
        min(config.max_length, context_of(prepared.network) - (config.prompt_length if config.how == "prompt" else 0)),
        decoder_start=network.decoder_start_token_id if network.is_encoder_decoder else None,
        mask_results=config.mask_results,
        undecided=undecided,
    )
