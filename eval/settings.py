"""Which tasks there are, and how they are asked. Light: the command line makes flags of it."""

from dataclasses import dataclass
from pathlib import Path

from toolformer.decode.options import Choose, Options, Trigger
from toolformer.errors import ConfigError, unknown_name

GROUPS = {
    "lama": ("lama_squad", "lama_google_re", "lama_trex"),
    "math": ("asdiv", "svamp", "mawps", "gsm8k"),
    "qa": ("webquestions", "natural_questions", "triviaqa"),
    "dates": ("templama", "dateset"),
    "bbh": ("bbh_direct", "bbh_cot"),
    "mmlu": ("mmlu_text", "mmlu_letters"),
    "ppl": ("wikitext",),
    "xl": ("svamp_xl", "mawps_xl", "asdiv_xl", "gsm8k_xl"),
    "more_math": ("gsm_hard", "multiarith", "singleeq", "addsub", "funcqa_one_hop", "funcqa_multi_hop"),
}
ALONE = ("mawps_all", "triviaqa_rc", "popqa", "text", "pairs")
"""Tasks of no group: other sets of what a group has, one of a kind, and those that need a file of the user's."""
OURS = "toolformer"
"""The decoder's own way, with the tasks' own prompts."""
VOTE, ENSEMBLE = "vote", "prompt-ensemble"
"""The same with several samples, of which most decide; and several learned prompts, which vote."""
METHODS = (OURS, "few-shot", "cot", "self-ask", "react", "ama", "reflect", VOTE, ENSEMBLE)
"""All ways to ask: `eval/methods`. Only the decoder's own, with or without a vote, know k."""
_VOTES = 8
"""Samples of the method vote, if nobody says how many."""
TASKS = (*(name for names in GROUPS.values() for name in names), *ALONE)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Data of the tasks, and how the model answers."""

    data: Path | None = None
    """The folder with the publishers' files; by default, the copies on the hub are read, where there are any."""
    text: Path | None = None
    """For the task text: a text file, or a .jsonl file with a field `text`, to measure the perplexity of."""
    pairs: Path | None = None
    """For the task pairs: a .jsonl file with `prompt` and `references`, to score by ROUGE and BLEU."""
    limit: int | None = None
    """Maximum number of examples of a task, drawn by the seed."""
    trigger: Trigger | None = None
    """top_k: k alone decides where a call opens; probability: the opening must also reach its tool's threshold. By
    default, probability if the model has been calibrated and k is not given."""
    threshold: float | None = None
    """Open a call where its probability is at least this, whatever the tool. By default, what calibrating found."""
    method: str = OURS
    """toolformer, few-shot, cot, self-ask, react, ama, vote, prompt-ensemble, reflect: docs/eval.md."""
    need: bool = False
    """Also measure where a call was needed: docs/eval.md."""
    vote: int = 1
    """Sample this many texts for each example, and take the answer that most of them give."""
    calls_sampled: int = 1
    """At each call, write this many: the likeliest one and samples. `choose` says which one stays."""
    choose: Choose = "votes"
    """Which of several calls stays: see `toolformer generate --help-all`."""
    call_temperature: float | None = None
    """Temperature inside calls; 0 takes the likeliest token. By default, the text's own."""
    seed: int = 0
    """Random seed of the samples, and of the examples that a limit leaves."""
    batch: int = 32
    """Number of texts written at a time."""

    @property
    def way(self) -> str:
        """The method, with as many samples as it may have."""
        return OURS if self.method == VOTE else self.method

    @property
    def votes(self) -> int:
        """How many texts are sampled for each example; 1 is the likeliest text."""
        return _VOTES if self.method == VOTE and self.vote == 1 else self.vote


@dataclass(frozen=True)
class Settings(Asking):
    """What is asked, and how."""

    tasks: tuple[str, ...]
    """Names of tasks or groups."""
    k: tuple[int, ...] = (0, 1, 3, 10)
    """A call opens where its opening is among the k likeliest tokens; 0 disables calls."""

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ConfigError(f"name at least one task or group: {', '.join(GROUPS)}")
        if not self.k or min(self.k) < 0 or len(set(self.k)) < len(self.k):
            raise ConfigError(f"k is a list of different numbers, none below 0, not {','.join(map(str, self.k))}")
        if self.method not in METHODS:
            raise ConfigError(unknown_name("method", self.method, METHODS))
        for name in ("limit", "vote", "batch"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value}")

        if self.way != OURS and self.k != (0,):
            raise ConfigError(f"the method {self.method} makes its calls by itself, so k has no effect: leave it out")
        if self.way != OURS and self.need:
            raise ConfigError(f"where a call is needed cannot be told by the method {self.method}: leave out one")
        if self.need and self.votes > 1:
            raise ConfigError("where a call is needed is told from one text each: leave out vote, or need")
        self.options(0)  # it refuses what does not go together

    def options(self, k: int) -> Options:
        """How texts are written, beyond what their tasks say."""
        return Options(
            k=k,
            trigger=self.trigger,
            threshold=self.threshold,
            calls_sampled=self.calls_sampled,
            choose=self.choose,
            call_temperature=self.call_temperature,
            seed=self.seed,
            batch=self.batch,
        )

    def names(self) -> list[str]:
        """The tasks, groups opened, each once."""
        known = {*GROUPS, *TASKS}
        for name in self.tasks:
            if name not in known:
                raise ConfigError(unknown_name("task", name, known))
        return list(dict.fromkeys(one for name in self.tasks for one in GROUPS.get(name, (name,))))
