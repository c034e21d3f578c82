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
    "keep_out": 1_000,
}
"""Far beyond what anybody has had use for."""


@dataclass(frozen=True)
class TrainConfig:
    """How to finetune. The defaults suit LoRA on some hundred to some thousand texts; `PAPER` is the paper's."""

    how: How = "lora"
    """Train low-rank adapters and the call tokens (lora), a prompt of learned vectors (prompt), or all weights (full).
    A prompt leaves the vocabulary alone: such a model writes calls as plain text."""
    rank: int = 16
    """Rank of the LoRA matrices on all linear layers but the vocabulary head."""
    prompt_length: int = 20
    """Number of learned vectors, for how = prompt."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    warmup: float = 0.1
    """Share of the steps over which the learning rate rises."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate changes after the warmup."""
    epochs: float = 3.0
    """Number of passes over the texts, unless `steps` is given."""
    steps: int | None = None
    """Number of optimizer steps."""
    batch_size: int = 32
    """Texts per step, over all devices."""
    device_batch: int = 8
    """Texts per forward pass on one device; gradients accumulate until a batch is full."""
    max_length: int = 1024
    """Maximum number of tokens of a text, calls included. Longer texts are cut, but never inside a call."""
    limit_per_tool: int | None = None
    """Maximum number of texts for each tool."""
    held_out: float = 0.05
    """Share of the texts held out for evaluation."""
    held_out_most: int = 1000
    """Maximum number of held-out texts, for those with calls and for those without."""
    without_calls: float = 1.0
    """Copies without calls for each text with calls: they keep the model as good as it was with calls disabled. Where
    a copy lacks a call, the loss ignores the opening token, so that the model does not unlearn to call."""
    turns: float = 0.0
    """Share of the texts to learn as two turns of a chat, in the model's chat template, where a text asks something and
    then answers it: up to the last question mark before its first call, the user says it. Only answers are learnt."""
    spare_undecided: bool = False
    """Where the annotator dropped a call whose result is what the text says next, leave the opening token out of the
    loss: the model learns neither to call there nor not to."""
    anchor: bool = False
    """Before a text's first call, train towards the base model's own distribution instead of the text, and towards no
    call: the model stays as it was where it does not call, and learns no text by heart. Where the call opens, train
    towards what the base model would say without it, too. LoRA only."""
    keep_out: int = 0
    """Before a text's first call, push the opening of a call out of the likeliest tokens, so many of them. Use the k
    that you will decode with: without this, large k call in texts where nothing is gained."""
    control: bool = False
    """Train on the same texts without any call, as a baseline."""
    mask_results: bool = False
    """Leave the results of tools out of the loss."""
    pack: bool = False
    """Pack several texts into one row. They do not attend to each other; only the speed changes."""
    checkpoint_gradients: bool = False
    """Recompute activations in the backward pass: less memory, a third slower."""
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"
    """adamw8bit keeps the optimizer state in 8 bits."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto is bf16 on GPUs that support it, and fp32 elsewhere."""
    evaluate_every: int | None = None
    """Steps between evaluations, each followed by a checkpoint; by default a tenth of the run."""
    keep: Literal["both", "plain", "calls", "last"] = "both"
    """Which checkpoint to keep: the one with the lowest loss on all held-out texts, on those without calls, on those
    with calls, or the last."""
    seed: int = 0
    """Random seed."""

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
        if self.keep_out < 0:
            raise ConfigError(f"keep_out={self.keep_out}: it has to be at least 0, which keeps it out of nothing")
        for name, high in (("warmup", 1.0), ("held_out", 0.5), ("without_calls", 100.0), ("turns", 1.0)):
            if not 0 <= getattr(self, name) <= high:
                raise ConfigError(f"{name}={getattr(self, name)}: it has to be from 0 to {high:g}")
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
"""Schick et al. 2023, appendix B. Its 1,000 held-out plain texts are what `plain` is given."""


@dataclass(frozen=True)
class PreferConfig:
    """How to train on pairs of a better and a worse way to go on."""

    beta: float = 0.1
    """How closely the model stays to what it was: higher is closer."""
    better: float = 1.0
    """Weight of the loss of the better way by itself. With 0, only the difference of the two is learnt: both may become
    unlikely, and calls fall apart."""
    learning_rate: float = 5e-4
    """Peak learning rate."""
    epochs: float = 1.0
    """Number of passes over the pairs, unless `steps` is given."""
    steps: int | None = None
    """Number of optimizer steps."""
    batch_size: int = 16
    """Pairs per step."""
    device_batch: int = 4
    """Pairs per forward pass; gradients accumulate until a batch is full."""
    max_length: int = 256
    """Maximum number of tokens of a text, up to the place and with what follows. Places behind are left out."""
    pairs: int = 400
    """Maximum number of pairs of each kind: call, no call, which call."""
    k: int = 10
    """In plain texts, a place is where the opening of a call is among the k likeliest tokens."""
    own_calls: int = 0
    """At each kept call's place, let the model write up to this many calls of its own, the likeliest first, until one
    has another result: the kept call is better than that."""
    held_out: float = 0.1
    """Share of the texts whose pairs are held out for evaluation."""
    save_every: int | None = None
    """Steps between checkpoints; by default a quarter of the run."""
    seed: int = 0
    """Random seed."""

    def check(self) -> None:
        """Refuse what cannot be, before anything is loaded."""
        for name in (
            "beta",
            "learning_rate",
            "epochs",
            "steps",
            "batch_size",
            "device_batch",
            "pairs",
            "k",
            "save_every",
        ):
            if (value := getattr(self, name)) is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name}={value}: it has to be above 0")
        if not 0 <= self.better < float("inf"):
            raise ConfigError(f"better={self.better}: it has to be at least 0")
        if not 0 <= self.own_calls <= 1_000:
            raise ConfigError(f"own_calls={self.own_calls}: from 0 to 1,000")
        if self.batch_size % self.device_batch:
            raise ConfigError(
                f"batch_size={self.batch_size}: it has to be a multiple of device_batch={self.device_batch}"
            )
        if self.max_length < 16:
            raise ConfigError(f"max_length={self.max_length}: a call does not fit; at least 16")
        if not 0 < self.held_out <= 0.5:
            raise ConfigError(f"held_out={self.held_out}: it has to be above 0 and at most 0.5")


@dataclass(frozen=True)
class ExpertConfig:
    """How to train an expert: LoRA on all linear layers but the vocabulary head."""

    rank: int = 8
    """Rank of the LoRA matrices."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    epochs: float = 3.0
    """Number of passes over the pairs, unless `steps` is given."""
    steps: int | None = None
    """Number of optimizer steps."""
    batch_size: int = 16
    """Pairs per step, over all devices."""
    device_batch: int = 8
    """Pairs per forward pass on one device; gradients accumulate until a batch is full."""
    max_length: int = 512
    """Maximum number of tokens of an input with its prompt and its output. Longer pairs are left out."""
    held_out: float = 0.05
    """Share of the pairs held out for evaluation."""
    pack: bool = False
    """Pack several pairs into one row. They do not attend to each other; only the speed changes."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto is bf16 on GPUs that support it, and fp32 elsewhere."""
    evaluate_every: int | None = None
    """Steps between evaluations, each followed by a checkpoint; by default a tenth of the run."""
    seed: int = 0
    """Random seed."""

    @property
    def training(self) -> TrainConfig:
        """The same as the settings of any run: an expert learns no call, so no call tokens are added."""
        return TrainConfig(control=True, without_calls=0.0, **asdict(self))
