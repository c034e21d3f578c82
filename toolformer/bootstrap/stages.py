"""The two stages of a round: annotate the corpus, and train on what all rounds have kept."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolformer.bootstrap.rounds import Round
from toolformer.bootstrap.rounds_folder import RoundsFolder
from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.annotating import annotate
from toolformer.data_gen.annotators import RULES
from toolformer.data_gen.calibrate import Calibration
from toolformer.data_gen.known import judge
from toolformer.data_gen.reread import Corpus
from toolformer.data_gen.run_folder import THRESHOLDS
from toolformer.data_gen.samplers.server import Server
from toolformer.data_gen.shards import Progress
from toolformer.data_gen.together import TogetherText, together
from toolformer.data_gen.undecided import undecided
from toolformer.errors import ConfigError, DataError
from toolformer.finetune.config import TrainConfig
from toolformer.loading import Loading
from toolformer.tool import Tool, traits_of
from toolformer.version import __version__

if TYPE_CHECKING:
    from toolformer.finetune.mixture import Held
    from toolformer.finetune.train_display import Progress as TrainProgress


class Watch:
    """Looks on: this one shows nothing. Nothing of a run depends on it."""

    def annotating(self, number: int) -> AbstractContextManager[Callable[[Progress], None]]:  # noqa: ARG002
        """A round begins to annotate; what this gives is told how far it is."""
        return nullcontext(lambda _: None)

    def training(self, number: int) -> AbstractContextManager[Callable[["TrainProgress"], None]]:  # noqa: ARG002
        """A round begins to train; what this gives is told how far it is."""
        return nullcontext(lambda _: None)

    def done(self, rounds: Sequence[Round]) -> None:
        """A round is done."""


@dataclass(frozen=True)
class Run:
    """What all rounds share."""

    corpus: Corpus
    tools: Sequence[Tool]
    model: str
    sampler: str | Server
    config: TrainConfig
    loading: Loading
    watch: Watch
    annotating: Mapping[str, Any]
    """What `annotate` is told in every round, besides."""

    def check(self, out: Path) -> None:
        """Refuse what cannot be, before anything is written or loaded."""
        if self.config.control:
            raise ConfigError("control trains without calls: such a model cannot write those of the next round")
        if self.asks_rules and "," in str(out.resolve()):
            raise ConfigError(
                f"{out} has a comma in its name, which parts the names of samplers: choose another folder"
            )
        self.config.check(self.loading)
        next(self.corpus.known(), None)  # what is wrong with that column is said now

    @property
    def asks_rules(self) -> bool:
        """Whether rules propose calls in the first round; then they do in every one."""
        return isinstance(self.sampler, str) and RULES in [word.strip() for word in self.sampler.split(",")]

    def settings(self) -> dict[str, Any]:
        """Everything that decides what comes out."""
        from toolformer.hf.source import lasting

        by, told = self.sampler, self.annotating
        return {
            "toolformer": __version__,
            "corpus": self.corpus.digest(),
            "model": lasting(self.model),
            "tools": {tool.name: traits_of(tool).version for tool in self.tools},
            "lessons": {lesson.tool: lesson.fingerprint for lesson in told["lessons"]},
            "sampler": by if isinstance(by, str) else f"{by.model} at {by.url}",
            "method": vars(told["method"]),
            "passage_tokens": told["passage_tokens"],
            "shard_size": told["shard_size"],
            "training": self.config.settings(),
            "loading": {name: getattr(self.loading, name) for name in ("dtype", "quantize", "adapter", "revision")},
        }


def annotated(run: Run, folder: RoundsFolder, number: int) -> Round:
    """Annotate the corpus for a round, and count what was kept."""
    begun, told = time.monotonic(), run.annotating
    if number > 1:  # texts are cut as in the first round, although a model without a prompt has room for longer ones
        told = {**told, "passage_tokens": _config(folder, 1)["passage_tokens"]}
    writer = _sampler(run, folder, number)
    with run.watch.annotating(number) as tell:
        out = folder.annotated(number)
        told = {**told, "model": run.model, "loading": run.loading, "sampler": writer}
        progress = annotate(run.corpus, run.tools, out, on_progress=tell, **told)
    if progress.unavailable:
        raise DataError(
            f"{progress.unavailable} calls of round {number} failed because a server could not be reached: run the "
            "same command again to try them before training"
        )
    corpus, all_of_them = AnnotatedFolder(out), _together(folder, number)
    _check(run, folder, number, any_call=bool(all_of_them))
    kept = list(corpus.kept())
    share = judge(kept, run.corpus.known())
    names = Counter(one.call.tool for text in kept for one in text.calls)
    return Round(
        number,
        texts=corpus.documents() or 0,
        texts_with_calls=len(kept),
        calls=dict(sorted(names.items())),
        together_texts=len(all_of_them),
        together=sum(len(one.calls) for one in all_of_them),
        thresholds=_thresholds(_config(folder, number)),
        known=share.known,
        right=share.right,
        tokens={"annotated": progress.tokens},
        seconds={"annotated": round(time.monotonic() - begun, 1)},
    )


def _sampler(run: Run, folder: RoundsFolder, number: int) -> str | Server:
    """Who writes the calls: in later rounds the model of the one before, which also ranks what rules propose."""
    if number == 1:
        return run.sampler
    writer = str(folder.model(number - 1).resolve())
    return f"{RULES},{writer}" if run.asks_rules else writer


def _check(run: Run, folder: RoundsFolder, number: int, *, any_call: bool) -> None:
    """Refuse to go on with nothing to learn, or with calls that another model judged."""
    if not any_call:
        raise DataError(
            f"round {number} kept no call in {folder.annotated(number)}, so there is nothing to learn: give more "
            "texts, other tools, or a lesson with a lower filtering_threshold and filtering_threshold='lesson'; "
            "`toolformer report` shows what was tried. They need another folder"
        )
    if _mark(folder, number) != _mark(folder, 1):
        raise DataError(
            f"the calls of round {number} were judged by another model than those of round 1: {run.model} has changed. "
            "Restore it and remove that round's folder, or choose another folder"
        )


def _config(folder: RoundsFolder, number: int) -> dict[str, Any]:
    """What annotate wrote down of a round, with what is needed of it."""
    config = dict(AnnotatedFolder(folder.annotated(number)).config())
    if type(config.get("passage_tokens")) is not int or not isinstance(config.get("model_fingerprint"), str):
        raise _damaged(folder, number)
    return config


def _damaged(folder: RoundsFolder, number: int) -> DataError:
    return DataError(
        f"{folder.annotated(number) / 'config.json'} is damaged: remove the folder of round {number} and those behind "
        "it, or choose another folder"
    )


def _mark(folder: RoundsFolder, number: int) -> str:
    """The fingerprint of the model that judged a round's calls."""
    return str(_config(folder, number)["model_fingerprint"])


def _thresholds(config: dict[str, Any]) -> dict[str, float]:
    """What was found for each tool; nothing where the lessons' own were taken."""
    said = config.get(THRESHOLDS)
    return {} if said is None else Calibration.read(said).values


def _together(folder: RoundsFolder, number: int) -> list[TogetherText]:
    """The texts with the calls of all rounds up to this one."""
    return together(AnnotatedFolder(folder.annotated(n)).kept() for n in range(1, number + 1))


def trained(run: Run, folder: RoundsFolder, one: Round) -> Round:
    """Train the base model on the calls of all rounds up to this one."""
    from toolformer.finetune import train

    begun, learnt = time.monotonic(), 0
    texts, held = _together(folder, one.number), _held(run, folder)
    rounds = (AnnotatedFolder(folder.annotated(n)) for n in range(1, one.number + 1))
    elsewhere = _ids_of(run.corpus, {example.text for example in held.plain})
    with run.watch.training(one.number) as tell:

        def told(progress: "TrainProgress") -> None:
            nonlocal learnt
            learnt = progress.tokens
            tell(progress)

        came = train(
            [text for text in texts if not {text.id, text.id.rpartition("#")[0]} & elsewhere],
            folder.model(one.number),
            model=run.model,
            config=run.config,
            loading=run.loading,
            plain=(document.text for document in run.corpus),
            held=held,
            undecided=undecided(rounds, run.corpus) if run.config.spare_undecided else {},
            made_with=_mark(folder, 1),
            on_progress=told,
        )
    return replace(
        one,
        model=str(came.folder),
        before=came.before,
        perplexity=came.perplexity,
        tokens={**one.tokens, "learnt": learnt},
        seconds={**one.seconds, "trained": round(time.monotonic() - begun, 1)},
    )


def _held(run: Run, folder: RoundsFolder) -> "Held":
    """The texts that all rounds are measured on: those that round 1 holds out of its own."""
    from toolformer.finetune.mixture import Held, choose

    chosen = choose(_together(folder, 1), (document.text for document in run.corpus), run.config)
    return Held(chosen.held, chosen.held_plain)


def _ids_of(corpus: Corpus, texts: set[str]) -> set[str]:
    """What the documents with these texts are called."""
    return {document.id for document in corpus if document.text in texts}
