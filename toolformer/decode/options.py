"""What a caller can say about decoding. Importing this loads nothing heavy."""

import dataclasses
import math
from dataclasses import dataclass, fields
from typing import Literal, Self, TypedDict, Unpack

from toolformer.decode.trigger import FILE, Bar, Thresholds
from toolformer.errors import ConfigError, unknown_name

ONLY_SAMPLED = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "top_h",
    "epsilon_cutoff",
    "eta_cutoff",
)
_OF_ALL_TOKENS = ("top_h", "repetition_penalty", "no_repeat_ngram_size", "min_new_tokens")
"""What looks at tokens, or rules some out, before top_k keeps the likeliest."""
_BOUNDS = {
    "k": (0, float("inf")),
    "calls": (0, 10_000),
    "branches": (1, 100),
    "calls_sampled": (1, 1_000),
    "max_new_tokens": (1, 1_000_000),
    "batch": (1, 10_000),
    "input_tokens": (1, 100_000),
    "result_tokens": (1, 100_000),
}
"""What each is at least and at most. The latter is far beyond any use: more is a slip, and work without an end."""
_WARM = 0.7
"""The temperature of several calls at one place, where nobody says another: below 1, most of them can be executed."""

_K = 10
"""The paper's."""

Choose = Literal["text", "call", "votes"]
Trigger = Literal["top_k", "probability"]


@dataclass(frozen=True)
class Options:
    """When calls are made, how much is written, and how tokens are chosen. The latter as transformers' GenerationConfig
    names it, and computed by transformers itself; what is not given has no effect. A call is written greedily."""

    k: int | None = None
    """A call opens where its opening is among the k likeliest next tokens. 1 is plain decoding, 0 disables calls. By
    default, 10."""
    trigger: Trigger | None = None
    """top_k: k alone decides; probability: the opening must also reach its tool's threshold. By default, probability if
    the model has been calibrated and k is not given."""
    threshold: float | None = None
    """Open a call where its probability is at least this, whatever the tool. By default, what calibrating found."""
    calls: int = 1
    """Maximum number of calls in one text."""
    branches: int = 1
    """At each call, try this many of the likeliest tools, and keep the result behind which the text goes on best."""
    calls_sampled: int = 1
    """At each call, write this many: the likeliest one and samples. `choose` says which one stays."""
    choose: Choose = "votes"
    """Which of several calls stays: the one behind whose result the text goes on best, the likeliest call, or one whose
    result most of them have."""
    call_temperature: float | None = None
    """Temperature inside calls; 0 takes the likeliest token. By default, the text's own."""
    max_new_tokens: int = 256
    """Maximum number of tokens to write, without calls and results."""
    stop: tuple[str, ...] = ()
    """Strings that end a text; the first one that is written does."""
    late_stop: bool = False
    """Ignore a stop of white space, such as an empty line, until the text holds something else."""
    do_sample: bool = False
    """Sample the next token; otherwise take the likeliest."""
    temperature: float | None = None
    """Temperature: below 1 the text varies less, above 1 more."""
    top_k: int | None = None
    """Sample from this many of the likeliest tokens."""
    top_p: float | None = None
    """Sample from the likeliest tokens whose probabilities add up to this."""
    min_p: float | None = None
    """Sample from tokens with at least this share of the likeliest token's probability."""
    typical_p: float | None = None
    """Sample from the most typical tokens whose probabilities add up to this."""
    top_h: float | None = None
    """Sample from the likeliest tokens, as many as this share of the entropy allows."""
    epsilon_cutoff: float | None = None
    """Sample from tokens with at least this probability."""
    eta_cutoff: float | None = None
    """The same, by a threshold that depends on the entropy."""
    repetition_penalty: float | None = None
    """Above 1, tokens that are already in the text become less likely."""
    no_repeat_ngram_size: int | None = None
    """No sequence of this many tokens appears twice."""
    min_new_tokens: int | None = None
    """Minimum number of tokens to write."""
    seed: int = 0
    """Random seed. A row's randomness depends on it, on the row's prompt, and on how often that prompt came before."""
    batch: int = 32
    """Number of rows at a time; when one is finished, another takes its place."""
    input_tokens: int = 64
    """Maximum number of tokens of a call's input; a longer one undoes the call."""
    result_tokens: int = 128
    """Maximum number of tokens of a result; a longer one is cut."""

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                bound = f"least {least}" if value < least else f"most {most:,}"
                raise ConfigError(f"{name} must be at {bound}, not {value}")
        if self.threshold is not None:
            self._check_threshold(self.threshold)
        stop: object = self.stop
        if isinstance(stop, str):
            raise ConfigError(f"stop is a tuple of strings: write stop=({stop!r},)")
        if "" in self.stop:
            raise ConfigError("an empty stop string would end every text at once: leave it out")
        if self.branches > 1 and self.calls_sampled > 1:
            raise ConfigError("branches and calls_sampled do not go together: samples choose their tools themselves")
        if self.calls_sampled > 1 and self.call_temperature == 0:
            raise ConfigError("call_temperature=0 makes all calls_sampled the same: give another, or leave it out")
        if self.call_temperature is not None and not 0 <= self.call_temperature < float("inf"):
            raise ConfigError(f"call_temperature must be at least 0, not {self.call_temperature}")
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{name} must be a number, not {value}")
        idle = [name for name in ONLY_SAMPLED if getattr(self, name) is not None]
        if idle and not self.do_sample:
            raise ConfigError(f"{idle[0]} has no effect without sampling: add do_sample=True, or leave it out")

    def _check_threshold(self, threshold: float) -> None:
        if not 0 < threshold < 1:
            raise ConfigError(f"threshold must be between 0 and 1, not {threshold}")
        if self.trigger == "top_k":
            raise ConfigError("threshold has no effect with trigger='top_k': leave one of them out")

    @property
    def ranks(self) -> int:
        """A call can open where its opening is among so many of the likeliest tokens."""
        return _K if self.k is None else self.k

    def thresholds(self, calibrated: Thresholds | None) -> Thresholds | None:
        """What openings must reach besides, with what was found for the model, if anything was; None for no more."""
        if self.threshold is not None:
            return (calibrated or Thresholds(Bar(self.threshold))).at(self.threshold)
        if self.trigger == "probability" and calibrated is None:
            raise ConfigError(
                f"trigger='probability' needs thresholds, and the model has none ({FILE}): calibrate it, or give a "
                "threshold"
            )
        by_rank = self.trigger == "top_k" or (self.trigger is None and self.k is not None)
        return None if by_rank else calibrated

    def check_known(self, known: int | None) -> None:
        """Refuse what needs more of a model's answers than its so many likeliest tokens, where it tells only these."""
        if known is None:
            return
        if self.ranks > known:
            raise ConfigError(f"the model's server tells the {known} likeliest tokens only: k={self.ranks} is too much")
        if wanting := [name for name in _OF_ALL_TOKENS if getattr(self, name) is not None]:
            raise ConfigError(
                f"{wanting[0]} needs the probabilities of all tokens, and the model's server tells the {known} "
                "likeliest only: leave it out"
            )
        sampled = self.do_sample or self.temperature_in_calls
        if sampled and not 0 < (self.top_k or 0) <= known:
            raise ConfigError(
                f"the model's server tells the {known} likeliest tokens only: sample with do_sample=True and a top_k "
                f"of at most {known}"
            )

    @property
    def temperature_in_calls(self) -> float:
        """What is written inside calls is sampled with this; 0 takes the likeliest token."""
        if self.call_temperature is not None:
            return self.call_temperature
        if self.do_sample:
            return 1.0 if self.temperature is None else self.temperature
        return _WARM if self.calls_sampled > 1 else 0.0

    def changed(self, **changes: "Unpack[OptionChanges]") -> Self:
        """The same with some of them changed."""
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise ConfigError(unknown_name("option", name, known))
        if isinstance(stop := changes.get("stop"), list):
            changes["stop"] = tuple(stop)
        if "k" in changes:  # a k that is given decides alone
            changes = {"trigger": None, "threshold": None, **changes}
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


AT_ONCE = Options(k=10**9, max_new_tokens=1)
"""A call opens at once, since no vocabulary has more tokens, and nothing else is written."""


class OptionChanges(TypedDict, total=False):
    """The fields of Options, for calls that change some of them."""

    k: int | None
    trigger: Trigger | None
    threshold: float | None
    calls: int
    branches: int
    calls_sampled: int
    choose: Choose
    call_temperature: float | None
    max_new_tokens: int
    stop: tuple[str, ...] | list[str]
    late_stop: bool
    do_sample: bool
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    typical_p: float | None
    top_h: float | None
    epsilon_cutoff: float | None
    eta_cutoff: float | None
    repetition_penalty: float | None
    no_repeat_ngram_size: int | None
    min_new_tokens: int | None
    seed: int
    batch: int
    input_tokens: int
    result_tokens: int
