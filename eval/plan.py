"""What there is to ask: tasks times k, in parts, and what the file of each says of itself."""

import hashlib
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from toolformer.decode.trigger import Thresholds
from toolformer.errors import ConfigError
from toolformer.eval.asking import generates
from toolformer.eval.examples import Example, example_of
from toolformer.eval.outcomes import Header, path_at, path_disabled, path_forced
from toolformer.eval.settings import OURS, Settings
from toolformer.eval.tool_lm import Member
from toolformer.lm import LanguageModel
from toolformer.tool import Tool, traits_of
from toolformer.version import __version__

PART = 1000
"""Examples that are kept together: what a run loses at most when it is stopped."""


@dataclass(frozen=True)
class Unit:
    """One task at one k, or a part of its examples."""

    task: Any
    name: str
    k: int
    examples: tuple[Example, ...]
    header: Header
    path: Path
    larger: Path | None
    """The file of the same examples at the next larger k, which is asked before."""
    disabled: Path | None = None
    """Where a call is forced, whatever k: the file of the same examples with calls disabled, which is asked before."""


def plan(
    model: LanguageModel,
    tools: Sequence[Tool],
    settings: Settings,
    out: Path,
    tasks: Mapping[str, Any],
    about: Mapping[str, str],
    calibrated: Thresholds | None = None,
    members: Sequence[Member] = (),
) -> list[Unit]:
    """What there is to ask. Perplexity and letters know no calls: they are asked once."""
    if settings.need and not tools:
        raise ConfigError("whether a call is needed cannot be asked without tools: name some, or leave out need")
    units = []
    for name, task in tasks.items():
        examples = _limited([example_of(doc) for doc in task.test_docs()], settings)
        common = _common(model, tools, settings, about, calibrated, members) | {
            "task": name,
            "data": _digest(examples),
            "examples": len(examples),
            "size": asdict(task.dataset.size),
            "settings": task.config.generation_kwargs or {},
        }
        # The largest k first: most of what it answers is answered for the smaller ones.
        ks = sorted({*settings.k, *([0] if settings.need else [])}, reverse=True) if generates(task) else [0]
        parts = [examples[start : start + PART] for start in range(0, len(examples), PART)]
        for (place, k), (part, own) in itertools.product(enumerate(ks), enumerate(parts)):
            before = path_at(out, name, ks[place - 1], part) if place else None
            units.append(Unit(task, name, k, own, common | {"k": k, "part": part}, path_at(out, name, k, part), before))
        for part, own in enumerate(parts if settings.need and generates(task) else []):
            path, header = path_forced(out, name, part), common | {"k": 1, "part": part, "forced": True}
            units.append(Unit(task, name, 1, own, header, path, None, disabled=path_disabled(path)))
    return units


def _common(
    model: LanguageModel,
    tools: Sequence[Tool],
    settings: Settings,
    about: Mapping[str, str],
    calibrated: Thresholds | None,
    members: Sequence[Member],
) -> Header:
    """What all files of one folder say."""
    calls = {name: getattr(settings, name) for name in ("calls_sampled", "choose", "call_temperature")}
    if settings.way != OURS:
        calls["method"] = settings.way
    if members:
        calls["prompts"] = [one.fingerprint for one in members]
    if thresholds := settings.options(1).thresholds(calibrated):
        calls["thresholds"] = asdict(thresholds)
    return {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "precision": model.precision,
        "about": dict(about),
        "tools": {tool.name: traits_of(tool).version for tool in tools},
        "vote": settings.votes,
        "calls": calls,
        "seed": settings.seed,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of the packages that could change an answer."""
    names = ("lm_eval", "torch", "transformers", "peft")
    return {"toolformer": __version__, **{name: version(name) for name in names}}


def _limited(examples: list[Example], settings: Settings) -> tuple[Example, ...]:
    if settings.limit is None or settings.limit >= len(examples):
        return tuple(examples)
    chosen = random.Random(settings.seed).sample(range(len(examples)), settings.limit)
    return tuple(examples[place] for place in sorted(chosen))


def _digest(examples: Sequence[Example]) -> str:
    rows = json.dumps([vars(example) for example in examples], sort_keys=True)
    return hashlib.sha256(rows.encode()).hexdigest()[:16]
