"""Finetuning on texts with calls, so that a model opens calls by itself. Import from here; `config` needs no torch."""

from typing import TYPE_CHECKING

from toolformer.finetune.config import PAPER, ExpertConfig, PreferConfig, TrainConfig

if TYPE_CHECKING:
    from toolformer.finetune.distil_run import distil
    from toolformer.finetune.exchanges import Exchange, read_exchanges
    from toolformer.finetune.expert_run import train_expert
    from toolformer.finetune.practice import Practice
    from toolformer.finetune.prefer_run import Preferred, prefer
    from toolformer.finetune.training import Trained, train

__all__ = [
    "PAPER",
    "Exchange",
    "ExpertConfig",
    "Practice",
    "PreferConfig",
    "Preferred",
    "TrainConfig",
    "Trained",
    "distil",
    "prefer",
    "read_exchanges",
    "train",
    "train_expert",
]

_PLACES = {
    **dict.fromkeys(("Exchange", "read_exchanges"), "exchanges"),
    **dict.fromkeys(("Preferred", "prefer"), "prefer_run"),
    **dict.fromkeys(("Trained", "train"), "training"),
    "Practice": "practice",
    "distil": "distil_run",
    "train_expert": "expert_run",
}


def __getattr__(name: str) -> object:
    """Import what needs torch at its first use."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    import toolformer.hf  # noqa: F401 - first, since it silences what libraries say when they are imported

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
