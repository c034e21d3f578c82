"""Rounds: annotate, train, let the trained model write the calls, train again, as long as something is gained.

    round 1    rules, or whoever is asked, propose the calls
    round 2    round 1's model writes calls, in its own spelling and without a prompt, and ranks those of the rules
    ...        and so on

The base model judges the calls of every round, and every round's model is trained from it, on the calls that all rounds
so far have kept. All are measured on the same texts: those that round 1 held out, with round 1's calls.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import toolformer
from toolformer.bootstrap.folder import RoundsFolder
from toolformer.bootstrap.rounds import Round, best, why_ended
from toolformer.data_gen.annotated_folder import AnnotatedFolder
from toolformer.data_gen.known import judge
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Method
from toolformer.data_gen.reread import Corpus
from toolformer.data_gen.run import Progress, annotate
from toolformer.data_gen.samplers.server import Server
from toolformer.data_gen.split import MOST
from toolformer.data_gen.together import TogetherText, together
from toolformer.errors import ConfigError, DataError
from toolformer.finetune.config import TrainConfig
from toolformer.tool import Tool, traits_of

if TYPE_CHECKING:
    from toolformer.finetune.mixture import Held
    from toolformer.finetune.progress import Progress as TrainProgress

RULES = "rules"


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
class Rounds:
    """What came out."""

    rounds: Sequence[Round]
    best: Round
    """The one whose model has the lowest loss on held-out texts with calls."""
    ended: str
    """Why there is no further round."""


@dataclass(frozen=True)
class _Run:
    """What all rounds share."""

    corpus: Corpus
    tools: Sequence[Tool]
    folder: RoundsFolder
    model: str
    config: TrainConfig
    sampler: str | Server
    watch: Watch
    annotating: dict[str, Any] = field(default_factory=dict)
    """What `annotate` is told in every round."""


def bootstrap(
    corpus: Corpus | str | Path,
    tools: Sequence[Tool],
    out: Path,
    *,
    model: str = "builtin",
    rounds: int = 3,
    sampler: str | Server = RULES,
    lessons: Sequence[Lesson] = (),
    method: Method = Method(),
    passage_tokens: int = MOST,
    shard_size: int = 128,
    workers: int = 1,
    config: TrainConfig = TrainConfig(),
    watch: Watch | None = None,
) -> Rounds:
    """Annotate and train by turns; the same again goes on where it was stopped, and so does more `rounds`.

    Args:
        corpus: A file, a folder, a dataset; a `Corpus` says where in its rows what is, and how much of it to read. What
            it knows of its calls is for `Round.right` alone.
        tools: As for `annotate`.
        out: The folder to write; `folder.py` says what is in it.
        model: By name or path. It judges all calls, and every round finetunes it anew.
        rounds: So many at most: the first that gains nothing is the last (`why_ended`).
        sampler: Who proposes the calls of the first round, as for `annotate`. Later ones ask the rules too if it does.
        lessons: As for `annotate`, like `method`, `passage_tokens`, `shard_size` and `workers`.
        method: See there.
        passage_tokens: See there.
        shard_size: See there.
        workers: See there.
        config: How each round's model is trained.
        watch: Is told how it goes.
    """
    if rounds < 1:
        raise ConfigError(f"rounds={rounds}: it must be 1 at least")
    if config.control:
        raise ConfigError("control trains without calls: such a model cannot write those of the next round")
    if RULES in _words(sampler) and "," in str(out):
        raise ConfigError(f"{out} has a comma in its name, which parts the names of samplers: choose another folder")
    config.check()
    corpus = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    next(corpus.known(), None)  # what is wrong with that column is said now
    settings = {
        "toolformer": toolformer.__version__,
        "corpus": corpus.digest(),
        "model": str(Path(model).resolve()) if Path(model).is_dir() else model,
        "tools": {tool.name: traits_of(tool).version for tool in tools},
        "lessons": {lesson.tool: lesson.fingerprint for lesson in lessons},
        "sampler": sampler if isinstance(sampler, str) else f"{sampler.model} at {sampler.url}",
        "method": vars(method),
        "passage_tokens": passage_tokens,
        "shard_size": shard_size,
        "training": config.settings(),
    }
    annotating = {
        "model": model, "lessons": lessons, "method": method, "passage_tokens": passage_tokens,
        "shard_size": shard_size, "workers": workers,
    }  # fmt: skip
    with RoundsFolder(out, settings) as folder:
        run = _Run(corpus, tools, folder, model, config, sampler, watch or Watch(), annotating)
        while (ended := why_ended(folder.trained, rounds)) is None:
            _round(run, len(folder.trained) + 1)
        folder.write(ended)
        return Rounds(folder.trained, best(folder.trained), ended)


def _round(run: _Run, number: int) -> None:
    """Do what is not done yet of a round, and write it down."""
    folder = run.folder
    if len(folder.rounds) < number:
        folder.note(_annotated(run, number))
    folder.note(_trained(run, folder.rounds[number - 1]))
    run.watch.done(folder.trained)


def _annotated(run: _Run, number: int) -> Round:
    begun, out = time.monotonic(), run.folder.annotated(number)
    told = run.annotating
    if number > 1:  # texts are cut as in the first round, although a model without a prompt has room for longer ones
        told = {**told, "passage_tokens": AnnotatedFolder(run.folder.annotated(1)).config()["passage_tokens"]}
    with run.watch.annotating(number) as tell:
        progress = annotate(run.corpus, run.tools, out, sampler=_sampler(run, number), on_progress=tell, **told)
    annotated, all_of_them = AnnotatedFolder(out), list(_together(run, number))
    kept = list(annotated.kept())
    _check(run, number, any(one.calls for one in all_of_them))
    share = judge(kept, run.corpus.known())
    names = [one.call.tool for text in kept for one in text.calls]
    return Round(
        number,
        annotated.documents() or 0,
        len(kept),
        {name: names.count(name) for name in sorted(set(names))},
        len(all_of_them),
        sum(len(one.calls) for one in all_of_them),
        _thresholds(annotated.config()),
        share.known,
        share.right,
        tokens={"annotated": progress.tokens},
        seconds={"annotated": round(time.monotonic() - begun, 1)},
    )


def _words(sampler: str | Server) -> list[str]:
    return [word.strip() for word in sampler.split(",")] if isinstance(sampler, str) else []


def _sampler(run: _Run, number: int) -> str | Server:
    """Who writes the calls: in later rounds the model of the one before, which also ranks what rules propose."""
    if number == 1:
        return run.sampler
    writer = str(run.folder.model(number - 1).resolve())
    return f"{RULES},{writer}" if RULES in _words(run.sampler) else writer


def _check(run: _Run, number: int, any_call: bool) -> None:
    """Refuse to go on with nothing to learn, or with calls that another model judged."""
    if not any_call:
        raise DataError(
            f"round {number} kept no call in {run.folder.annotated(number)}, so there is nothing to learn: give more "
            "texts, other tools, or a lesson with a lower filtering_threshold and --filtering-threshold lesson; "
            "`toolformer report` shows what was tried. They need another folder"
        )
    if _mark(run, number) != _mark(run, 1):
        raise DataError(
            f"the calls of round {number} were judged by another model than those of round 1: {run.model} has changed. "
            "Restore it and remove that round's folder, or choose another folder with --out"
        )


def _mark(run: _Run, number: int) -> str:
    return str(AnnotatedFolder(run.folder.annotated(number)).config().get("model_fingerprint"))


def _thresholds(config: dict[str, Any]) -> dict[str, float]:
    """What was found for each tool; nothing where the lessons' own were taken."""
    tools = (config.get("thresholds") or {}).get("tools", {})
    return {name: float(one["value"]) for name, one in tools.items()}


def _together(run: _Run, number: int) -> list[TogetherText]:
    """The texts with the calls of all rounds up to this one."""
    return together(AnnotatedFolder(run.folder.annotated(n)).kept() for n in range(1, number + 1))


def _trained(run: _Run, one: Round) -> Round:
    from toolformer.finetune import train

    begun, learnt = time.monotonic(), 0
    texts, held = _together(run, one.number), _held(run)
    elsewhere = _ids_of(run.corpus, {example.text for example in held.plain})
    with run.watch.training(one.number) as tell:

        def told(progress: "TrainProgress") -> None:
            nonlocal learnt
            learnt = progress.tokens
            tell(progress)

        trained = train(
            [text for text in texts if not {text.id, text.id.rpartition("#")[0]} & elsewhere],
            run.folder.model(one.number),
            model=run.model,
            config=run.config,
            plain=_plain(run.corpus, texts),
            held=held,
            made_with=_mark(run, 1),
            on_progress=told,
        )
    return replace(
        one,
        model=str(trained.folder),
        before=trained.before,
        perplexity=trained.perplexity,
        tokens={**one.tokens, "learnt": learnt},
        seconds={**one.seconds, "trained": round(time.monotonic() - begun, 1)},
    )


def _held(run: _Run) -> "Held":
    """The texts that all rounds are measured on: those that round 1 holds out of its own."""
    from toolformer.finetune.mixture import Held, choose

    first = _together(run, 1)
    chosen = choose(first, _plain(run.corpus, first), run.config)
    return Held(chosen.held, chosen.held_plain)


def _plain(corpus: Corpus, texts: Sequence[TogetherText]) -> Iterator[str]:
    """The texts that kept no call in any round."""
    from toolformer.finetune.mixture import without_calls

    return without_calls(texts, (document.text for document in corpus))


def _ids_of(corpus: Corpus, texts: set[str]) -> set[str]:
    """What the documents with these texts are called."""
    return {document.id for document in corpus if document.text in texts}
