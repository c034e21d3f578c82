"""Tasks times k: each pair is asked once and kept in a file of its own; a run that was stopped goes on with the rest.

`results.json` and the reports are made of those files alone, so they can be made again at any time.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager

from toolformer.calls import CallSyntax
from toolformer.decode.options import Options
from toolformer.decode.trigger import Thresholds
from toolformer.errors import DataError
from toolformer.eval.asking import ask, generates
from toolformer.eval.carried import carried, comparable
from toolformer.eval.eval_display import Progress
from toolformer.eval.examples import Example
from toolformer.eval.held import find_held
from toolformer.eval.need import ask_forced
from toolformer.eval.outcomes import EXAMPLES, FORCED, Outcome, check_header, read_header, read_outcomes, write_outcomes
from toolformer.eval.plan import Unit, plan
from toolformer.eval.results import SHARED, Cost, add_cost
from toolformer.eval.settings import Settings
from toolformer.eval.tool_lm import Member, ToolLM
from toolformer.expert import with_model
from toolformer.lm import LanguageModel, syntax_of
from toolformer.lock import sole_writer
from toolformer.tool import Tool
from toolformer.toolbox import ResultMemory
from toolformer.whole_file import make_folder

PREFIX = "toolformer_"
"""What our tasks are called in lm-eval, before their own name."""
FOLDER = Path(str(files("toolformer.eval") / "tasks"))


def load_tasks(settings: Settings) -> dict[str, Any]:
    """The tasks as lm-eval's own objects, with their data."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of every data set that is not the hub's
    given = {name: value and str(value) for name in ("data", "text", "pairs") for value in [getattr(settings, name)]}
    manager = TaskManager(include_path=str(FOLDER), include_defaults=False, metadata=given)
    return {name: manager.load([PREFIX + name])["tasks"][PREFIX + name] for name in settings.names()}


def odd_sizes(tasks: Mapping[str, Any]) -> str | None:
    """One line of the sets that are not as large as their publishers say: samples, other versions, cut off."""
    odd = [f"{name} {task.dataset.size}" for name, task in tasks.items() if task.dataset.size.odd]
    return f"not the published sets: {', '.join(odd)}" if odd else None


def evaluate(
    model: LanguageModel,
    tools: Sequence[Tool],
    settings: Settings,
    out: Path,
    *,
    tasks: Mapping[str, Any] | None = None,
    about: Mapping[str, str] | None = None,
    memory: ResultMemory | None = None,
    calibrated: Thresholds | None = None,
    members: Sequence[Member] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> list[Unit]:
    """Ask everything that is not kept yet. `tasks` are those of the settings, if they were loaded before; `about` says
    more of the model than it knows: its adapter, a label. `memory` is what tools answered before; `calibrated` the
    thresholds that were found for the model; `members` the learned prompts of the method prompt-ensemble."""
    tools = with_model(tools, model)
    units = plan(model, tools, settings, out, tasks or load_tasks(settings), about or {}, calibrated, members)
    with sole_writer(out):
        todo = _missing(out, units)
        find_held(out, tools, _asked(units))
        _ask_all(model, tools, settings, out, todo, memory, calibrated, members, on_progress)
    return units


def _asked(units: Sequence[Unit]) -> dict[str, tuple[str, list[Example]]]:
    """All examples of each task, once, behind their digest."""
    found: dict[str, dict[str, Example]] = defaultdict(dict)
    for unit in units:
        found[unit.name] |= {one.id: one for one in unit.examples}
    return {unit.name: (unit.header["data"], list(found[unit.name].values())) for unit in units}


def _ask_all(
    model: LanguageModel,
    tools: Sequence[Tool],
    settings: Settings,
    out: Path,
    todo: Sequence[Unit],
    memory: ResultMemory | None,
    calibrated: Thresholds | None,
    members: Sequence[Member],
    on_progress: Callable[[Progress], None],
) -> None:
    """Unit after unit, each kept when it is answered."""
    progress = Progress(sum(len(unit.examples) * (settings.votes if generates(unit.task) else 1) for unit in todo))

    def answered() -> None:
        progress.done += 1
        on_progress(progress)

    with ExitStack() as stack:
        models = {
            options: stack.enter_context(ToolLM(model, tools, options, answered, memory, calibrated, members))
            for options in {_options(unit, settings) for unit in todo}
        }
        for unit in todo:
            progress.what = f"{unit.name}, {'a call forced' if unit.disabled else f'k = {unit.k}'}"
            lm, begun = models[_options(unit, settings)], time.monotonic()
            waited, tokens = lm.waited, model.counter.tokens
            known = _known(unit, syntax_of(model), settings)
            progress.done += len(known) - known.count(None)
            new = iter(_new(unit, known, lm, settings, answered))
            write_outcomes(unit.path, unit.header, [one or next(new) for one in known])
            spent = time.monotonic() - begun, lm.waited - waited, model.counter.tokens - tokens
            add_cost(out, f"{unit.name}{', forced' if unit.disabled else ''}", unit.k, Cost(known.count(None), *spent))
    progress.finished = True
    on_progress(progress)


def _options(unit: Unit, settings: Settings) -> Options:
    """How a unit is asked. Where a call is forced, no threshold holds it back."""
    options = settings.options(unit.k)
    return options.changed(trigger="top_k", threshold=None) if unit.disabled else options


def _new(
    unit: Unit, known: Sequence[Outcome | None], lm: ToolLM, settings: Settings, on_answer: Callable[[], None]
) -> list[Outcome]:
    """What comes of the examples that are to be asked."""
    if unit.disabled:
        return ask_forced(lm, unit.task, unit.examples, read_outcomes(unit.disabled)[1])
    asked = [example for example, one in zip(unit.examples, known, strict=True) if one is None]
    return ask(lm, unit.task, asked, settings.votes, settings.way, on_answer)


def _known(unit: Unit, syntax: CallSyntax, settings: Settings) -> list[Outcome | None]:
    """The outcomes that a larger k has found already; None for what is to be asked."""
    if unit.larger is None or not comparable(unit.task, settings.votes):
        return [None] * len(unit.examples)
    return carried(unit.larger, unit.k, syntax)


def _missing(out: Path, units: Sequence[Unit]) -> list[Unit]:
    """What is not kept yet."""
    _check_company(out, units)
    todo = []
    for unit in units:
        if unit.path.exists():
            _check_whole(unit)
        else:
            todo.append(unit)
    return todo


def _check_whole(unit: Unit) -> None:
    """What is kept is of this very unit, all of it: nobody asks it again."""
    _, outcomes = read_outcomes(unit.path, unit.header)
    if [one.id for one in outcomes] != [one.id for one in unit.examples]:
        raise DataError(
            f"{unit.path} does not hold the {len(unit.examples):,} examples that were asked, but {len(outcomes):,} of "
            "them or others: delete it and run again"
        )


def _check_company(out: Path, units: Sequence[Unit]) -> None:
    """A folder holds what one model gave, with the same tools and settings."""
    make_folder(out / EXAMPLES)
    if any(unit.disabled for unit in units):
        make_folder(out / FORCED)
    for path in sorted([*(out / EXAMPLES).glob("*.jsonl"), *(out / FORCED).glob("*.jsonl")]):
        check_header(path, read_header(path), units[0].header, SHARED)
