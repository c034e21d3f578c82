"""A finetuned model as one folder that needs no other, run by transformers with its tools. `exporting.py` writes it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolformer.export_model.exporting import Exported, export_model

__all__ = ["Exported", "export_model"]


def __getattr__(name: str) -> object:
    """Import what needs torch at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    import toolformer.hf  # noqa: F401 - first, since it silences what libraries say when they are imported

    return getattr(import_module(f"{__name__}.exporting"), name)
