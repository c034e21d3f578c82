"""Put a finished run's adapter into the package, as small as it can be.

    python -m recipes.smollm2.ship RUN
    python -m recipes.smollm2.ship EXPERT --name smollm2-reader

The weights are rounded to bf16, and the tokenizer is left out: it is the base model's, with the call tokens behind it.
If the run went on from others, the card tells of them, too; of an expert, the prompt that it was trained with is kept.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from toolformer.finetune.training_folder import RECORD
from toolformer.hf.adapter import SETTINGS, WEIGHTS

BUILTIN = Path(__file__).parents[2] / "toolformer" / "builtin"
SHIPPED = {"smollm2-tools": BUILTIN / "smollm2_adapter", "smollm2-reader": BUILTIN / "smollm2_reader"}
"""Where an adapter goes, by the name that its card calls it instead of the folder that it was trained in."""
CARD = "README.md"
MOST = 6_000_000
"""Bytes of weights."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Put a run's adapter into the package.")
    parser.add_argument("run", type=Path, help="what `toolformer train` wrote, or a round's model of `bootstrap`")
    parser.add_argument("--name", choices=[*SHIPPED], default="smollm2-tools", help="what it is called from now on")
    arguments = parser.parse_args()
    ship(arguments.run, arguments.name, SHIPPED[arguments.name])


def ship(run: Path, name: str, into: Path) -> None:
    """Write weights, settings and card, and an expert's prompt."""
    weights = {name: value.to(torch.bfloat16) for name, value in load_file(run / WEIGHTS).items()}
    size = sum(value.nbytes for value in weights.values())
    if size > MOST:
        sys.exit(f"{run} has {size:,} bytes of weights, and {MOST:,} may be shipped: train with a lower rank")
    into.mkdir(parents=True, exist_ok=True)
    save_file(weights, into / WEIGHTS, metadata={"format": "pt"})
    settings = json.loads((run / SETTINGS).read_text("utf-8"))
    (into / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    (into / CARD).write_text(card(run, name), "utf-8")
    if prompt := json.loads((run / RECORD).read_text("utf-8")).get("prompt"):
        (into / RECORD).write_text(json.dumps({"prompt": prompt}) + "\n", "utf-8")
    print(f"{into}: {size:,} bytes of weights")


def card(run: Path, name: str) -> str:
    """The run's card, without the folders of this machine, and with the runs before it."""
    told = (run / CARD).read_text("utf-8").replace(str(run), name)
    for before in earlier(run):
        record = json.loads((before / RECORD).read_text("utf-8"))
        how, texts = record["settings"], record["texts"]["learnt"]
        told = told.replace(f"`{before.name}`", f"`{name}` as it was")
        told += (
            f"\nBefore that, {record['results']['step']} steps at a learning rate of {how['learning_rate']:g} on "
            f"{texts:,} texts with calls, from `{record['model']}`.\n"
        )
    return told


def earlier(run: Path) -> list[Path]:
    """The folders of the runs that a run went on from, the last one first. They lie beside it."""
    record = json.loads((run / RECORD).read_text("utf-8"))
    if "went_on_from" not in record:
        return []
    before = run.parent / record["went_on_from"]
    return [before, *earlier(before)] if (before / RECORD).exists() else []


if __name__ == "__main__":
    main()
