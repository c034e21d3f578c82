"""Finetuning on texts with calls, so that a model opens calls by itself. Import from here; `config` needs no torch."""

from typing import TYPE_CHECKING

from toolformer.finetune.config import PAPER, TrainConfig

if TYPE_CHECKING:
    from toolformer.finetune.run import Trained, train

__all__ = ["PAPER", "TrainConfig", "Trained", "train"]


def __getattr__(name: str) -> object:
    """Import what needs torch at its first use."""
    if name not in {"Trained", "train"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import toolformer.hf  # noqa: F401 - first, since it silences what libraries say when they are imported
    from toolformer.finetune import run

    return getattr(run, name)
