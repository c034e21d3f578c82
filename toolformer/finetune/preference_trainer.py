"""TRL's DPOTrainer on pairs of ids, for a LoRA adapter that goes on. Loads TRL, which is optional.

Three ways of TRL's do not suit such a run:

- It puts an end of text behind every completion. Ours are the beginning of what follows, so it is given ids.
- It takes as its reference a copy of the adapter, but does not copy the tokens that the adapter has trained. So the
  log-probabilities of the reference are given to it as well, and its copy is removed.
- It reads the bias of the vocabulary head (`show_bias`).
"""

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from toolformer.finetune.arguments import device_kind
from toolformer.finetune.config import PreferConfig
from toolformer.finetune.pairs import Pair
from toolformer.finetune.prepare import Prepared, show_bias
from toolformer.finetune.trainer import IntoFolder

_REFERENCE = "ref"
"""What TRL calls its copy of the adapter."""


class PreferenceTrainer(IntoFolder, DPOTrainer):
    """Trains on pairs whose ids, and log-probabilities by the reference, are known."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write none: the folder of the run has its own."""


def preference_trainer(
    prepared: Prepared,
    pairs: Sequence[Pair],
    reference: Sequence[tuple[float, float]],
    arguments: DPOConfig,
    save: Callable[[torch.nn.Module, str, Any], None],
    complete: Callable[[Path, int | None], None],
    callbacks: Sequence[TrainerCallback],
) -> PreferenceTrainer:
    """The trainer. `reference` says of each pair how likely the chosen and the rejected ids were."""
    rows = [
        {"prompt_ids": [*pair.prompt], "chosen_ids": [*pair.chosen], "rejected_ids": [*pair.rejected]}
        | {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        for pair, (chosen, rejected) in zip(pairs, reference, strict=True)
    ]
    show_bias(prepared.network.get_output_embeddings())  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        # TRL uses what transformers is about to rename.
        warnings.simplefilter("ignore")
        trainer = PreferenceTrainer(
            model=prepared.model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=prepared.tokenizer,
            save=save,
            complete=complete,
            callbacks=[*callbacks],
        )
        model: Any = prepared.model
        model.delete_adapter(_REFERENCE)
    return trainer


def preference_arguments(config: PreferConfig, checkpoints: Path, device: str, pairs: int) -> DPOConfig:
    """The settings in TRL's words, for so many pairs."""
    kind = device_kind(device)
    steps = config.steps or max(1, math.ceil(config.epochs * pairs / config.batch_size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DPOConfig(
            output_dir=str(checkpoints),
            per_device_train_batch_size=config.device_batch,
            gradient_accumulation_steps=config.batch_size // config.device_batch,
            max_steps=steps,
            learning_rate=config.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=round(0.1 * steps),
            beta=config.beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, config.better],
            precompute_ref_log_probs=True,
            max_length=None,
            gradient_checkpointing=False,
            bf16=kind == "cuda" and torch.cuda.is_bf16_supported(),
            seed=config.seed,
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_strategy="steps",
            save_steps=config.save_every or max(1, steps // 4),
            eval_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=kind == "cuda",
            use_cpu=kind == "cpu",
        )
