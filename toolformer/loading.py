"""How a model is loaded, wherever one is named: what `load` takes, as flags and as one value. Loads no torch."""

from dataclasses import dataclass
from typing import Literal

Quantize = Literal["int8", "nf4"]


@dataclass(frozen=True)
class Loading:
    """How the model is loaded."""

    device: str = "auto"
    """cpu, cuda, mps, ...; auto is the GPU, if there is one."""
    dtype: str = "auto"
    """float32, bfloat16 or float16; auto is the checkpoint's own, if the device supports it, or else float32."""
    revision: str | None = None
    """A branch, a tag or a commit of a model on the hub."""
    quantize: Quantize | None = None
    """Load the weights in 8 or 4 bits."""
    adapter: str | None = None
    """A LoRA or prompt-tuning adapter for the model, by name or path."""
    offline: bool = False
    """Use only models and files that are on this machine."""
