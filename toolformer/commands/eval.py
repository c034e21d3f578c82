"""`toolformer eval`: the benchmarks of the paper, base or with tools, and a report of them."""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from toolformer.catalog import MEASURED, PAPER, ToolSettings, make_tools
from toolformer.commands.flags import LoadingFlags, Often
from toolformer.commands.stopping import stopping
from toolformer.commands.tools import Settings
from toolformer.decode.trigger import FILE
from toolformer.errors import ConfigError
from toolformer.eval.settings import ENSEMBLE, OURS, Asking
from toolformer.eval.settings import Settings as Asked
from toolformer.loading import Loading
from toolformer.version import DISTRIBUTION
from toolformer.whole_file import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from toolformer.eval.tool_lm import Member
    from toolformer.tool import Tool

_TASKS = "lama,math,qa,dateset,bbh,mmlu,ppl"
_PAPER_TASKS = "lama,asdiv,svamp,mawps,qa,dates,ppl"
_PAPER_K = "0,1,3,10"
_CALIBRATED_K = "0,10"
_FORGOTTEN = ("ppl", "bbh", "mmlu_letters")
"""What a finetuned model may have lost."""


@dataclass(frozen=True)
class Eval:
    """Measure a model with and without its tools, beside the paper.

    It reports accuracy, tool calls, and whether the calls were right: docs/eval.md.
    """

    out: Path
    """The folder to write. Run the same command again to resume."""
    model: str = "builtin"
    """A model, or a folder of `toolformer train`, by name or path."""
    before: str | None = None
    """Compare this model with --after: what finetuning cost."""
    after: str | None = None
    """What --before became, by name or path."""
    tasks: str | None = None
    """Groups or single tasks, with commas: lama, math, qa, dates, bbh, mmlu, ppl, xl, more_math, or svamp, say; also
    mawps_all, triviaqa_rc, popqa, text and pairs. By default, the groups up to ppl, without TempLAMA."""
    k: str | None = None
    """Values of k, with commas: a call opens where its opening is among the k likeliest tokens; 0 disables calls. By
    default 0,1,3,10; calibrated, 0,10."""
    preset: Literal["paper"] | None = None
    """Use the tasks, tools and k of the paper, unless a flag says otherwise."""
    tools: str | None = None
    """Names of the tools, with commas, as `toolformer tools` lists them; "none" for a plain model. By default,
    calculator, calendar, dates, qa and wiki."""
    label: str | None = None
    """Name of the model in the tables; by default, its own name."""
    learnt: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A training corpus of the model, or a folder of `toolformer annotate`: count the examples that share 13 words in a
    row with it. May be given several times."""
    beside: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Show this folder of results in the same tables; may be given several times."""
    prompts: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A learned prompt, for --method prompt-ensemble; repeat it."""
    json: bool = False
    """Print results.json on one line instead of the tables."""
    loading: LoadingFlags = field(default_factory=Loading)
    asking: Annotated[Asking, Often("data", "limit", "method", "need", "vote")] = field(default_factory=Asking)
    settings: Settings = field(default_factory=ToolSettings)

    def run(self) -> None:
        """Ask what was not asked yet, count, and write the report."""
        with stopping(f"the same command goes on with {self.out} where it was"):
            if self.before is None and self.after is None:
                page, tables = self._evaluate()
                counted = self.out / "results.json"
            else:
                tables, counted = self._compare()
                page = self.out / "after" / "report.html"
            print(_one_line(counted) if self.json else tables.read_text("utf-8"))
            print(f"{page} shows it.", file=sys.stderr)

    def _compare(self) -> tuple[Path, Path]:
        """Ask the model before and after, each into a folder of its own; the comparison as a table and as JSON."""
        if not self.before or not self.after:
            raise ConfigError(
                f"name both: --before BASE and --after RUN; {'--after' if self.before else '--before'} is missing"
            )
        tasks = self.tasks or ",".join([*_FORGOTTEN, *(["text"] if self.asking.text else [])])
        run = replace(self, label=None, tasks=tasks, k=self.k or "0", tools=self.tools or "none")
        before, after = self.out / "before", self.out / "after"
        replace(run, model=self.before, out=before)._evaluate()
        replace(run, model=self.after, out=after, beside=(before, *self.beside))._evaluate()
        from toolformer.eval.comparison import write_comparison

        return write_comparison(before, after, self.out)

    def _evaluate(self) -> tuple[Path, Path]:
        """Ask what was not asked yet, and write the reports: the page and the tables."""
        try:
            import lm_eval  # noqa: F401
        except ImportError as error:
            raise ConfigError(f"lm-eval is not installed: pip install '{DISTRIBUTION}[eval]'") from error
        from toolformer.eval import evaluating
        from toolformer.eval.eval_report import write_reports
        from toolformer.eval.results import results, write_results

        chosen, tools = self._chosen(), self._tools()
        # Before the model, which may take long: what is missing is said at once.
        for folder in self.beside:
            results(folder)
        members = self._members(chosen)
        tasks = evaluating.load_tasks(chosen)
        if odd := evaluating.odd_sizes(tasks):
            print(odd, file=sys.stderr)
        if self.learnt:
            self._look(tasks)
        self._ask(chosen, tools, tasks, members)
        write_results(self.out)
        return write_reports([self.out, *self.beside])

    def _chosen(self) -> Asked:
        """Which tasks are asked, with which k, and how."""
        paper = self.preset == "paper"
        asking = self.asking if self.k or paper else self._by_thresholds()
        names = self.tasks or (_PAPER_TASKS if paper else _TASKS)
        return Asked(tasks=_names(names), k=_numbers(self.k or self._by_default(asking)), **vars(asking))

    def _tools(self) -> "list[Tool]":
        """What the model may call."""
        names = self.tools or ",".join(PAPER if self.preset == "paper" else MEASURED)
        return [] if names == "none" else make_tools(self.settings, _names(names))

    def _members(self, chosen: Asked) -> "Sequence[Member]":
        """The learned prompts that vote, for the method that lets them."""
        from toolformer.eval.methods.ensemble import members_of

        if chosen.method == ENSEMBLE:
            return members_of(self.model, self.prompts, self.loading)
        if self.prompts:
            raise ConfigError(f"--prompts goes with --method {ENSEMBLE}, not {chosen.method}: leave out one")
        return []

    def _ask(
        self, chosen: Asked, tools: "Sequence[Tool]", tasks: "Mapping[str, Any]", members: "Sequence[Member]"
    ) -> None:
        """Load the model, and ask it what was not asked yet."""
        from toolformer import load
        from toolformer.eval.eval_display import Display
        from toolformer.eval.evaluating import evaluate
        from toolformer.model import find_thresholds

        model = load(self.model, **vars(self.loading))
        by_method = "" if chosen.method == OURS else f"{model.name}, {chosen.method}"
        with Display() as display:
            evaluate(
                model,
                tools,
                chosen,
                self.out,
                tasks=tasks,
                about={"adapter": self.loading.adapter or "", "label": self.label or by_method},
                memory=self.settings.memory(),
                calibrated=find_thresholds(self.model, self.loading, model),
                members=members,
                on_progress=display.show,
            )

    @staticmethod
    def _by_default(asking: Asking) -> str:
        """The values of k that are asked."""
        if asking.way != OURS:
            return "0"
        return _CALIBRATED_K if asking.trigger == "probability" else _PAPER_K

    def _by_thresholds(self) -> Asking:
        """What is asked, with the trigger that the model has by itself."""
        from toolformer.hf.source import folder_of

        folder = folder_of(self.model, self.loading)
        calibrated = folder is not None and (folder / FILE).exists()
        if self.asking.trigger is None and (calibrated or self.asking.threshold is not None):
            return replace(self.asking, trigger="probability")
        return self.asking

    def _look(self, tasks: "Mapping[str, Any]") -> None:
        """Look for the examples in what was learnt."""
        from toolformer.eval.examples import example_of
        from toolformer.eval.seen import find_seen, said, write_seen

        examples = {name: [example_of(doc) for doc in task.test_docs()] for name, task in tasks.items()}
        found = find_seen(examples, (text for name in self.learnt for text in _texts(name)))
        make_folder(self.out)
        write_seen(self.out, ", ".join(self.learnt), found)
        print(said(found), file=sys.stderr)


def _texts(name: str) -> "Iterator[str]":
    """The texts of a corpus, or those with calls that annotate wrote."""
    from toolformer.data_gen.annotated_folder import AnnotatedFolder
    from toolformer.data_gen.documents import read_corpus

    if (Path(name) / "kept").is_dir():
        return (text.text for text in AnnotatedFolder(Path(name)).kept())
    return (document.text for document in read_corpus(name))


def _one_line(file: Path) -> str:
    return json.dumps(json.loads(file.read_text("utf-8")))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in _names(text))
    except ValueError as error:
        raise ConfigError(f"k is a list of numbers, such as {_PAPER_K}, not {text!r}") from error
