"""Rows in; out come the checkpoint that is kept, and what was measured on the way. Every run on rows ends here."""

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from transformers import TrainerCallback, TrainerState, TrainingArguments

from toolformer.calls import Part
from toolformer.finetune.arguments import measure, schedule
from toolformer.finetune.batches import Groups, Plan, once
from toolformer.finetune.config import TrainConfig
from toolformer.finetune.prepare import Prepared, save
from toolformer.finetune.train_display import Progress, Watcher
from toolformer.finetune.trainer import CallTrainer, LossAtLabels, Teacher
from toolformer.finetune.training_folder import TrainingFolder
from toolformer.finetune.training_rows import TrainingRow
from toolformer.hf.network import filler_of

if TYPE_CHECKING:
    from peft import PeftModel


def learn(
    folder: TrainingFolder,
    prepared: Prepared,
    config: TrainConfig,
    arguments: TrainingArguments,
    rows: Sequence[TrainingRow],
    held: Mapping[str, Sequence[TrainingRow]],
    trackers: Sequence[TrainerCallback],
    on_progress: Callable[[Progress], None] | None,
    teacher: Teacher | None = None,
) -> tuple[CallTrainer, dict[str, Any]]:
    """Train on the rows, from the folder's last checkpoint if there is one; the trainer, and the results.

    `held` are the rows that are measured, by name. The folder is not finished by this.
    """
    lengths = _lengths(rows)
    planned = schedule(arguments, config, lengths)
    groups = partial(
        Groups,
        device=arguments.process_index,
        devices=arguments.world_size,
        filler=filler_of(prepared.network),
        pack=config.max_length if config.pack else None,
    )
    measured = {
        name: groups(some, once(_lengths(some), config.device_batch, arguments.world_size))
        for name, some in held.items()
        if some
    }
    last = folder.last()
    measure(arguments, config, [*measured], resumed=last is not None)
    watcher = Watcher(planned.steps, _tokens_of_steps(lengths, planned), on_progress)
    trainer = CallTrainer(
        prepared.model,
        arguments,
        LossAtLabels(prepared.network, *_call_ids(prepared), _as_it_was(prepared, config), config.keep_out, teacher),
        groups(rows, planned),
        measured,
        partial(save, prepared),
        folder.complete,
        callbacks=[watcher, *trackers],
    )
    begun = time.monotonic()
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    speed = watcher.progress.tokens / (time.monotonic() - begun)
    results = {
        **_kept(trainer.state),
        "tokens_per_second": round(speed, 1),
        "padding": round(_padding(lengths, planned), 4),
    }
    return trainer, results


def _as_it_was(prepared: Prepared, config: TrainConfig) -> Callable[[], AbstractContextManager[None]] | None:
    """What makes the model what it was before training, where it is to be anchored there."""
    if not config.anchor:
        return None
    return cast("PeftModel", prepared.model).disable_adapter  # check() asked for LoRA


def _call_ids(prepared: Prepared) -> tuple[int, tuple[int, ...]]:
    """The token that opens a call, and those that are no text at all."""
    control = [Part(token, control=True) for token in prepared.syntax.control_tokens]
    return prepared.codec.encode_parts([prepared.syntax.opening])[0], prepared.codec.encode_parts(control)


def _kept(state: TrainerState) -> dict[str, Any]:
    """Which step is kept, and the perplexities before training and there."""
    step = state.global_step if state.best_global_step is None else state.best_global_step
    measured = {
        line["step"]: {key.removeprefix("eval_perplexity_"): line[key] for key in line if "perplexity" in key}
        for line in state.log_history
        if "eval_loss" in line
    }
    return {
        "step": step,
        "steps": state.global_step,
        "before": measured.get(0, {}),
        "perplexity": measured.get(step, {}),
    }


def _lengths(rows: Sequence[TrainingRow]) -> "array[int]":
    """Read once: the rows may lie on disk."""
    return array("q", map(len, rows))


def _tokens_of_steps(lengths: Sequence[int], planned: Plan) -> list[int]:
    """How many tokens each step learns from."""
    sizes = [sum(lengths[index] for index in group) for group in planned.members]
    return [sum(sizes[at : at + planned.groups]) for at in range(0, len(sizes), planned.groups)]


def _padding(lengths: Sequence[int], planned: Plan) -> float:
    """The share of what goes through the model that only fills up, if nothing is packed."""
    real = sum(lengths[index] for group in planned.members for index in group)
    return 1 - real / sum(max(lengths[index] for index in group) * len(group) for group in planned.members)
