"""The settings of a training run. Everything here decides what comes out; nothing here loads torch."""

from dataclasses import asdict, dataclass
from typing import Literal

from toolformer.errors import ConfigError
from toolformer.loading import Loading

How = Literal["lora", "prompt", "full"]


_MOST = {
    "rank": 10_000,
    "prompt_length": 100_000,
    "epochs": 1_000_000,
    "steps": 1_000_000_000,
    "batch_size": 1_000_000,
    "device_batch": 1_000_000,
    "max_length": 10_000_000,
    "limit_per_tool": 1_000_000_000_000,
    "held_out_most": 1_000_000_000_000,
    "evaluate_every": 1_000_000_000,
}
"""Far beyond what anybody has had use for."""


@dataclass(frozen=True)
class TrainConfig:
    """How to finetune. The defaults suit LoRA on some hundred to some thousand texts; `PAPER` is the paper's."""

    how: How = "lora"
    """Train low-rank adapters and the call tokens (lora), a prompt of learned vectors (prompt), or all weights (full).
    A prompt leaves the vocabulary alone: such a model writes calls as plain text."""
    rank: int = 16
    """Of the LoRA matrices, which go on all linear layers but the vocabulary head."""
    prompt_length: int = 20
    """Learned vectors, for how = prompt."""
    learning_rate: float = 1e-3
    """At its height."""
    warmup: float = 0.1
    """The share of the steps in which the learning rate rises."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """What the learning rate does after that."""
    epochs: float = 3.0
    """How often each text is seen, if `steps` does not say otherwise."""
    steps: int | None = None
    """Optimizer steps."""
    batch_size: int = 32
    """Texts a step, over all devices."""
    device_batch: int = 8
    """Texts that go through one device at a time; gradients are added up until a batch is full."""
    max_length: int = 1024
    """Tokens of a text, calls included; what is longer is cut, though never inside a call."""
    limit_per_tool: int | None = None
    """Texts that are used for each tool, at most."""
    held_out: float = 0.05
    """The share of the texts that is measured on and not learnt from."""
    held_out_most: int = 1000
    """Texts held out, at most, of those with calls and of those without."""
    without_calls: float = 1.0
    """Copies without calls for each text with calls, so that the model stays as good as it was where calls are
    disabled. Where a copy lacks a call, opening one is left out of the loss, so that it is not unlearnt."""
    anchor: bool = False
    """Up to a text's first call, learn what the model itself would have said instead of the text's words, and that no
    call opens: so it stays what it was where it does not call, and learns no text by heart. With LoRA only."""
    control: bool = False
    """Train on the same texts without any call, to compare with."""
    mask_results: bool = False
    """Leave the tools' results out of the loss."""
    pack: bool = False
    """Put several texts in one row. They do not see each other, and nothing changes but speed."""
    checkpoint_gradients: bool = False
    """Compute activations again in the backward pass: less memory, a third slower."""
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"
    """adamw8bit keeps its state in 8 bits."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto is bf16 on GPUs that have it, fp32 elsewhere."""
    evaluate_every: int | None = None
    """Steps between measurements on held-out texts, each followed by a checkpoint; by default a tenth of the run."""
    keep: Literal["both", "plain", "calls", "last"] = "both"
    """Which checkpoint is kept in the end: the one with the lowest loss on all held-out texts, on those without calls,
    on those with calls, or the last."""
    seed: int = 0
    """Of everything that is random."""

    def check(self, loading: Loading = Loading()) -> None:
        """Refuse what cannot be, by itself or with a model that is loaded so, before anything is loaded."""
        if loading.quantize and self.how != "lora":
            raise ConfigError(f"quantize={loading.quantize} freezes the weights: it goes with how=lora, not {self.how}")
        if loading.dtype not in ("auto", "float32") and self.how == "full":
            raise ConfigError(f"dtype={loading.dtype}: all weights are trained in float32; precision=bf16 saves time")
        self._check_numbers()
        if self.max_length < 16:
            raise ConfigError(f"max_length={self.max_length}: a call does not fit; at least 16")
        if self.anchor and self.how != "lora":
            raise ConfigError(f"anchor needs the model as it was: it goes with how=lora, not {self.how}")
        if self.pack and self.how == "prompt":
            raise ConfigError("pack does not go with how=prompt: a learned prompt stands before every single text")

    def _check_numbers(self) -> None:
        for name in ("learning_rate", "epochs", "steps", "batch_size", "device_batch", "rank", "prompt_length"):
            if (value := getattr(self, name)) is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name}={value}: it has to be above 0")
        for name in ("evaluate_every", "limit_per_tool", "held_out_most"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name}={value}: it has to be at least 1")
        for name, low, high in (("warmup", 0.0, 1.0), ("held_out", 0.0, 0.5), ("without_calls", 0.0, 100.0)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name}={getattr(self, name)}: it has to be from {low:g} to {high:g}")
        for name, most in _MOST.items():
            if (getattr(self, name) or 0) > most:
                raise ConfigError(f"{name}: it has to be at most {most:,}; more is a slip, and work without an end")

    def settings(self) -> dict[str, object]:
        """The settings as plain data."""
        return asdict(self)


PAPER = TrainConfig(
    how="full",
    learning_rate=1e-5,
    warmup=0.1,
    schedule="constant",
    steps=2000,
    batch_size=128,
    max_length=1024,
    limit_per_tool=25_000,
    held_out_most=1000,
    without_calls=0.0,
    evaluate_every=500,
    keep="plain",
)
"""Schick et al. 2023, appendix B. Its 1,000 held-out plain texts are what `plain` is given (`--plain` a corpus)."""
