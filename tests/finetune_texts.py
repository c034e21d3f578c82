"""Texts with calls, and a quick training run on them with a tiny model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import tiny_models
from toolformer.calls import Call
from toolformer.finetune import TrainConfig, Trained, train

SMALL = TrainConfig(steps=4, batch_size=4, device_batch=2, max_length=64, held_out=0.2, rank=4, evaluate_every=2)
"""Done in a second."""


@dataclass(frozen=True)
class Placed:
    """A call at its place."""

    call: Call
    start: int


@dataclass(frozen=True)
class Text:
    """A text with calls."""

    text: str
    calls: tuple[Placed, ...]


def text(words: str, *calls: tuple[str, str, str]) -> Text:
    """A text with calls of the calculator; each stands before some words."""
    placed = [Placed(Call("Calculator", asked, result), words.index(before)) for before, asked, result in calls]
    return Text(words, tuple(placed))


def texts(number: int = 20) -> list[Text]:
    """Sums of some lengths, each with its call."""
    made = []
    for n in range(number):
        end = " in all" * (n % 3)
        made.append(
            text(f"{n} and {n + 3} are {2 * n + 3}{end}.", (f" {2 * n + 3}{end}.", f"{n} + {n + 3}", str(2 * n + 3)))
        )
    return made


def saved(kind: str, folder: Path) -> str:
    """A tiny model of this kind on disk, with its tokenizer."""
    tiny_models.model(kind).save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)
    return str(folder)


def trained(model: str, out: Path, config: TrainConfig = SMALL, examples: Sequence[Text] | None = None) -> Trained:
    """The run."""
    return train(texts() if examples is None else examples, out, model=model, config=config)
