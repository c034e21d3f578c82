"""Rounds: annotate, train, let the trained model write the calls, train again, as long as something is gained.

    round 1    rules, or whoever is asked, propose the calls
    round 2    round 1's model writes calls, in its own spelling and without a prompt, and ranks those of the rules
    ...        and so on

The base model judges the calls of every round, and every round's model is trained from it, on the calls that all rounds
so far have kept. All are measured on the same texts: those that round 1 held out, with round 1's calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolformer.bootstrap.rounds import Round, best, why_ended
from toolformer.bootstrap.rounds_folder import RoundsFolder
from toolformer.bootstrap.stages import Run, Watch, annotated, trained
from toolformer.data_gen.annotators import RULES
from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Method
from toolformer.data_gen.reread import Corpus
from toolformer.data_gen.samplers.server import Server
from toolformer.data_gen.split import MOST
from toolformer.errors import ConfigError
from toolformer.finetune.config import TrainConfig
from toolformer.loading import Loading
from toolformer.tool import Tool
from toolformer.toolbox import ResultMemory


@dataclass(frozen=True)
class Rounds:
    """What came out."""

    rounds: Sequence[Round]
    best: Round
    """The one whose model has the lowest loss on held-out texts with calls."""
    ended: str
    """Why there is no further round."""


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
    loading: Loading = Loading(),
    memory: ResultMemory | None = None,
    watch: Watch | None = None,
) -> Rounds:
    """Annotate and train by turns; the same again goes on where it was stopped, and so does more `rounds`.

    Args:
        corpus: A file, a folder, a dataset; a `Corpus` says where in its rows what is, and how much of it to read. What
            it knows of its calls is for `Round.right` alone.
        tools: As for `annotate`.
        out: The folder to write; `rounds_folder.py` says what is in it.
        model: By name or path. It judges all calls, and every round finetunes it anew.
        rounds: So many at most: the first that gains nothing is the last (`why_ended`).
        sampler: Who proposes the calls of the first round, as for `annotate`. Later ones ask the rules too if it does.
        lessons: As for `annotate`, like `method`, `passage_tokens`, `shard_size` and `workers`.
        method: See there.
        passage_tokens: See there.
        shard_size: See there.
        workers: See there.
        config: How each round's model is trained.
        loading: How the base model is loaded, to judge and to be trained.
        memory: What tools answered before, and where new answers are kept.
        watch: Is told how it goes.
    """
    if rounds < 1:
        raise ConfigError(f"rounds={rounds}: it must be 1 at least")
    told = {"lessons": lessons, "method": method, "passage_tokens": passage_tokens, "shard_size": shard_size}
    corpus = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    run = Run(
        corpus, tools, model, sampler, config, loading, watch or Watch(), {**told, "workers": workers, "memory": memory}
    )
    run.check(out)
    with RoundsFolder(out, run.settings()) as folder:
        while (ended := why_ended(folder.trained, rounds)) is None:
            number = len(folder.trained) + 1
            if len(folder.rounds) < number:
                folder.note(annotated(run, folder, number))
            folder.note(trained(run, folder, folder.rounds[number - 1]))
            run.watch.done(folder.trained)
        folder.write(ended)
        return Rounds(folder.trained, best(folder.trained), ended)
