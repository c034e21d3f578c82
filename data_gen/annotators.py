"""From names to annotators: the models are loaded, and who proposes the calls is chosen."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from toolformer.data_gen.lessons import Lesson
from toolformer.data_gen.method import Method
from toolformer.data_gen.pipeline import Annotator
from toolformer.data_gen.samplers import Sampler, Several
from toolformer.data_gen.samplers.by_model import ModelSampler
from toolformer.data_gen.samplers.by_server import ChatSampler, CompletionSampler
from toolformer.data_gen.samplers.rules import RuleSampler
from toolformer.data_gen.samplers.server_client import Client
from toolformer.errors import ConfigError, unknown_name
from toolformer.expert import with_model
from toolformer.lm import Judge, LanguageModel
from toolformer.loading import Loading
from toolformer.remote.asking import Asker
from toolformer.toolbox import Toolbox

RULES, SELF = "rules", "self"
"""What a sampler is called that is no other model."""


def make_annotators(
    model: str | LanguageModel,
    loading: Loading,
    sampler: str | LanguageModel | Client | None,
    toolbox: Toolbox,
    lessons: Sequence[Lesson],
    method: Method,
    workers: int,
    server: Asker | None = None,
) -> Iterator[Annotator]:
    """One for each worker, with models of its own. Losses are asked of the `server`, where there is one."""
    for device in _devices(workers, loading.device):
        own = replace(loading, device=device)
        filters = _loaded(model, own)
        judge = _judge_on(server, model, own, filters, lessons) if server is not None else None
        # A worker's calls of an expert are answered by its own model, on its own device.
        tools = toolbox.with_tools(with_model(toolbox, filters))
        # Which revision and which adapter are said of the model that filters, not of another one.
        proposer = _sampler(sampler, filters, method, replace(own, adapter=None, revision=None))
        yield Annotator(filters, tools, lessons, method, sampler=proposer, judge=judge)


def _judge_on(
    server: Asker, model: str | LanguageModel, loading: Loading, here: LanguageModel, lessons: Sequence[Lesson]
) -> Judge:
    """The model's losses by a server, once that has been held to the model here on the lessons' own texts."""
    if not isinstance(model, str):
        raise ConfigError("a server judges for a model by name: its tokenizer is loaded beside it")
    from toolformer.hf.load import words_of
    from toolformer.remote.remote_judge import RemoteJudge

    judge = RemoteJudge(server, here, words_of(model, loading).codec)
    judge.check([here.encode(text).ids for lesson in lessons for _, text, _, _ in lesson.examples()])
    return judge


def precisions(annotator: Annotator) -> dict[str, str]:
    """How exactly is judged and sampled: a run goes on as it was begun."""
    return {"model": annotator.judge.precision, "sampler": annotator.sampler.model.precision}


def _sampler(
    sampler: str | LanguageModel | Client | None, judge: LanguageModel, method: Method, loading: Loading
) -> Sampler:
    """Who proposes the calls."""
    if isinstance(sampler, Client):
        if method.chain > 1 and sampler.server.by == "chat":
            raise ConfigError(
                f"chain={method.chain} is not for servers that are asked by chat, which write a text again without the "
                "calls that it has: ask by completions, or leave chain at 1"
            )
        by_server = CompletionSampler if sampler.server.by == "completions" else ChatSampler
        return by_server(judge, method, sampler)
    if not isinstance(sampler, str):
        return ModelSampler(judge if sampler is None else sampler, method)
    words = [word.strip() for word in sampler.split(",")]
    if not {RULES, SELF} & {*words}:
        words = [sampler]
    named = [word for word in words if word not in (RULES, SELF)]
    if "" in words:
        raise ConfigError(f"sampler={sampler!r} names nothing between its commas; write rules, self, or rules,self")
    if len(named) > 1 or (named and SELF in words):
        raise ConfigError(
            f"sampler={sampler!r} names several models that write calls: name one, alone or beside the rules "
            '("rules", "self", "rules,self", a model, or "rules,MODEL")'
        )
    for word in named:
        if difflib.get_close_matches(word, (RULES, SELF)) and not Path(word).exists():
            raise ConfigError(f"{unknown_name('sampler', word, (RULES, SELF))} Or name a model, or a server's URL")
    writer = _loaded(named[0], loading) if named else judge
    made: list[Sampler] = [RuleSampler(writer)] if RULES in words else []
    if named or SELF in words:
        made.append(ModelSampler(writer, method))
    return made[0] if len(made) == 1 else Several(made)


def _devices(workers: int, device: str) -> list[str]:
    """Where each worker's models go."""
    if workers == 1 or device not in ("auto", "cuda"):
        return [device] * workers
    import torch

    count = torch.cuda.device_count()
    return [f"cuda:{number % count}" if count else device for number in range(workers)]


def _loaded(model: str | LanguageModel, loading: Loading) -> LanguageModel:
    if not isinstance(model, str):
        return model
    from toolformer.hf import load

    return load(model, **vars(loading))
