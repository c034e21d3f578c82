"""Rounds: a model's own calls make the next model better at calling. `bootstrapping.py` goes through them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolformer.bootstrap.bootstrapping import Rounds, bootstrap
    from toolformer.bootstrap.rounds import Round
    from toolformer.bootstrap.stages import Watch

__all__ = ["Round", "Rounds", "Watch", "bootstrap"]

_PLACES = {"Round": "rounds", "Rounds": "bootstrapping", "Watch": "stages", "bootstrap": "bootstrapping"}


def __getattr__(name: str) -> object:
    """Import a name at its first use, so that the command line stays light."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
