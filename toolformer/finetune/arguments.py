"""Our settings in the words of `transformers.TrainingArguments`."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from toolformer.errors import ConfigError, first_line, unknown_name
from toolformer.finetune.batches import Plan, plan
from toolformer.finetune.config import TrainConfig
from toolformer.hf.precision import device_of


def make_trackers(names: Sequence[str]) -> list[TrainerCallback]:
    """Whom to report to, by transformers' names for them."""
    if unknown := [name for name in names if name not in INTEGRATION_TO_CALLBACK]:
        raise ConfigError(unknown_name("tracker", unknown[0], INTEGRATION_TO_CALLBACK))
    try:
        return [INTEGRATION_TO_CALLBACK[name]() for name in names]
    except (ImportError, RuntimeError) as error:
        raise ConfigError(first_line(error)) from error


def training_arguments(config: TrainConfig, checkpoints: Path, device: str = "auto") -> TrainingArguments:
    """What is known before the model and the texts are. From here on the process knows its device."""
    kind = device_kind(device)
    gpu = kind == "cuda"
    bf16 = config.precision == "bf16" or (config.precision == "auto" and gpu and torch.cuda.is_bf16_supported())
    again: dict[str, Any] = {}
    if config.checkpoint_gradients:
        again = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}
    with warnings.catch_warnings():
        # The setting has another name in later versions, which the earlier ones do not know.
        warnings.simplefilter("ignore", FutureWarning)
        return TrainingArguments(
            output_dir=str(checkpoints),
            per_device_train_batch_size=1,
            learning_rate=config.learning_rate,
            lr_scheduler_type={"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
            optim={"adamw": "adamw_torch", "adamw8bit": "adamw_bnb_8bit"}[config.optimizer],
            bf16=bf16,
            seed=config.seed,
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_strategy="steps",
            greater_is_better=False,
            report_to="none",
            remove_unused_columns=False,
            ddp_find_unused_parameters=False,
            dataloader_pin_memory=gpu,
            disable_tqdm=True,
            use_cpu=kind == "cpu",
            use_cache=True,
            **again,
        )


def device_kind(device: str) -> str:
    """The kind of device that is asked for. Of several of a kind, a run takes all that its processes see."""
    if ":" in device:
        raise ConfigError(f"device={device}: training takes all of them; $CUDA_VISIBLE_DEVICES says which there are")
    return torch.device(device_of(device)).type


def schedule(arguments: TrainingArguments, config: TrainConfig, lengths: Sequence[int]) -> Plan:
    """Plan the steps over rows of these lengths, and say when to measure and to save."""
    steps = config.steps or max(1, math.ceil(config.epochs * len(lengths) / min(config.batch_size, len(lengths))))
    planned = plan(lengths, config.batch_size, config.device_batch, arguments.world_size, steps, config.seed)
    arguments.max_steps = steps
    arguments.warmup_steps = round(config.warmup * steps)
    arguments.gradient_accumulation_steps = planned.groups // arguments.world_size
    arguments.eval_steps = arguments.save_steps = min(config.evaluate_every or max(1, steps // 10), steps)
    return planned


def measure(arguments: TrainingArguments, config: TrainConfig, held_out: Sequence[str], *, resumed: bool) -> None:
    """Say what is measured, and by what the best checkpoint is chosen: the last is kept if that was not held out."""
    arguments.eval_strategy = "steps" if held_out else "no"
    arguments.eval_on_start = bool(held_out) and not resumed
    if config.keep in held_out:
        arguments.metric_for_best_model = f"perplexity_{config.keep}"
    elif config.keep == "both" and held_out:
        arguments.metric_for_best_model = "loss"
