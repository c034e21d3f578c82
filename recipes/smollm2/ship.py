"""Put a finished run's adapter into the package, as small as it can be.

    python -m recipes.smollm2.ship RUN

The weights are rounded to bf16, and the tokenizer is left out: it is the base model's, with the call tokens behind it.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from toolformer.hf.adapter import SETTINGS, WEIGHTS

SHIPPED = Path(__file__).parents[2] / "toolformer" / "builtin" / "smollm2_adapter"
CARD = "README.md"
NAME = "smollm2-tools"
"""What the card calls the model, instead of the folder that it was trained in."""
MOST = 6_000_000
"""Bytes of weights."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Put a run's adapter into the package.")
    parser.add_argument("run", type=Path, help="what `toolformer train` wrote, or a round's model of `bootstrap`")
    parser.add_argument("--into", type=Path, default=SHIPPED, help="the folder to write (default: %(default)s)")
    arguments = parser.parse_args()
    ship(arguments.run, arguments.into)


def ship(run: Path, into: Path) -> None:
    """Write weights, settings and card."""
    weights = {name: value.to(torch.bfloat16) for name, value in load_file(run / WEIGHTS).items()}
    size = sum(value.nbytes for value in weights.values())
    if size > MOST:
        sys.exit(f"{run} has {size:,} bytes of weights, and {MOST:,} may be shipped: train with a lower rank")
    into.mkdir(parents=True, exist_ok=True)
    save_file(weights, into / WEIGHTS, metadata={"format": "pt"})
    settings = json.loads((run / SETTINGS).read_text("utf-8"))
    (into / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    card = (run / CARD).read_text("utf-8")
    (into / CARD).write_text(card.replace(str(run), NAME), "utf-8")
    print(f"{into}: {size:,} bytes of weights")


if __name__ == "__main__":
    main()
