"""The tools of the package by name, made from settings. Only this file and the commands know concrete tools.

Making a tool is cheap: models, indexes and sympy are loaded at the first call.
"""

import datetime
import functools
import logging
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from toolformer.calls import NAME
from toolformer.errors import ConfigError, unknown_name
from toolformer.expert import Expert, beside
from toolformer.loading import Loading
from toolformer.tool import Tool

if TYPE_CHECKING:
    from toolformer.toolbox import ResultMemory
    from toolformer.tools.passages import Source

log = logging.getLogger("toolformer")
REPEATED = "repeated"
"""Marks a setting that a command line takes several times."""


@dataclass(frozen=True)
class ToolSettings:
    """Settings of the package's tools."""

    date: datetime.date | None = None
    """Calendar and Dates: the date of today (YYYY-MM-DD); by default, the clock's."""
    decimals: int = 2
    """Calculator: number of decimals of an answer."""
    index: Path | None = None
    """WikiSearch and QA: search this folder, made by `toolformer index build`."""
    contact: str | None = None
    """WikiSearch: search Wikipedia, which asks for your mail address or page ($TOOLFORMER_CONTACT). Without this and
    without an index, it searches the facts of the package."""
    language: str = "en"
    """WikiSearch on Wikipedia: the language's code."""
    endpoint: str | None = None
    """WikiSearch: the api.php of another MediaWiki to ask instead of Wikipedia."""
    knowledge: Path | None = None
    """QA: a table of questions and answers (JSONL); by default, the package's own."""
    reader: str | None = None
    """QA: what reads what the search finds, instead of a table: an expert of the model that calls, such as
    `smollm2-reader` or a folder of `toolformer expert train`, or a reading model by name or path."""
    reader_kind: Literal["extractive", "text-to-text"] = "extractive"
    """QA: a reading model marks the answer in a passage, or writes it."""
    translator: str = "facebook/nllb-200-distilled-600M"
    """Translate: a translation model by name or path."""
    target: str = "English"
    """Translate: the language to translate to."""
    remember: Path | None = None
    """Store the answers of searches and models in this file, and reuse them."""
    mcp: Annotated[tuple[str, ...], REPEATED] = ()
    """The tools of an MCP server, by its command or URL: docs/mcp.md. May be given several times."""
    expert: Annotated[tuple[str, ...], REPEATED] = ()
    """An adapter of the model's base that answers as a tool, as NAME=ADAPTER: docs/experts.md. May be given several
    times."""

    def memory(self) -> "ResultMemory | None":
        """What tools answered before, where it is to be kept."""
        from toolformer.toolbox import ResultMemory

        return None if self.remember is None else ResultMemory(self.remember)


@dataclass(frozen=True)
class Entry:
    """A tool's class and module, the short name the command line also takes, how it is made, and a call to try."""

    name: str
    module: str
    short: str
    make: Callable[[ToolSettings], Tool]
    example: str

    @property
    def description(self) -> str:
        """What the tool says of itself, without making one."""
        tool: Tool = getattr(import_module(f"toolformer.tools.{self.module}"), self.name)
        return tool.description


def make_tools(settings: ToolSettings, names: Iterable[str] | None = None) -> list[Tool]:
    """The named tools, or all of them. Names are taken in any case and in their short form: `wiki`, `WikiSearch`.

    Of MCP servers come those that are named, by their whole names; if none of them is, all of theirs. Experts come
    whether they are named or not, and take the place of a tool that has their name.
    """
    served, experts = _served(settings), _experts(settings)
    if names is None:
        return beside([*(entry.make(settings) for entry in CATALOG.values()), *served], experts)
    names = [name.strip() for name in names]
    chosen = [tool for tool in served if tool.name in names]
    known = {tool.name for tool in served} | experts.keys()
    full = [_full_name(name, known) for name in names if name not in known]
    own = [CATALOG[name].make(settings) for name in full if name not in experts]
    return beside([*own, *(chosen or served)], experts)


def _experts(settings: ToolSettings) -> dict[str, str]:
    """Their adapters by their names."""
    experts: dict[str, str] = {}
    for one in settings.expert:
        name, equals, adapter = one.partition("=")
        if not (NAME.fullmatch(name) and equals and adapter):
            raise ConfigError(f"{one!r} names no expert: write NAME=ADAPTER, such as QA=runs/reader")
        if name in experts:
            raise ConfigError(f"two experts are called {name}: give one of them another name")
        experts[name] = adapter
    return experts


def _served(settings: ToolSettings) -> list[Tool]:
    if not settings.mcp:
        return []
    from toolformer.mcp import mcp_tools

    return [tool for server in settings.mcp for tool in mcp_tools(server)]


def default_tools() -> list[Tool]:
    """The tools that need neither a network nor a model."""
    return make_tools(ToolSettings(), ALONE)


def _full_name(name: str, others: Collection[str]) -> str:
    for full, entry in CATALOG.items():
        if name.casefold() in (full.casefold(), entry.short):
            return full
    raise ConfigError(unknown_name("tool", name, {*CATALOG, *others}))


def _calculator(settings: ToolSettings) -> Tool:
    from toolformer.tools.calculator import Calculator

    return Calculator(decimals=settings.decimals)


def _solver(settings: ToolSettings) -> Tool:  # noqa: ARG001 - one signature for all
    from toolformer.tools.solver import Solver

    return Solver()


def _calendar(settings: ToolSettings) -> Tool:
    from toolformer.tools.dates import Calendar

    return Calendar(_clock(settings))


def _dates(settings: ToolSettings) -> Tool:
    from toolformer.tools.dates import Dates

    return Dates(_clock(settings))


def _clock(settings: ToolSettings) -> Callable[[], datetime.date]:
    date = settings.date
    return datetime.date.today if date is None else lambda: date


def _wiki_search(settings: ToolSettings) -> Tool:
    from toolformer.tools.wiki_search import WikiSearch

    return WikiSearch(_source(settings))


def _source(settings: ToolSettings) -> "Source":
    if settings.index is not None:
        from toolformer.tools.search_index import SearchIndex

        return SearchIndex.open(settings.index)
    from toolformer.tools.wikipedia import CONTACT_VARIABLE, Wikipedia

    asks_wikipedia = settings.contact or settings.endpoint or settings.language != ToolSettings.language
    if not asks_wikipedia and not os.environ.get(CONTACT_VARIABLE):
        return _own_knowledge()
    return Wikipedia(settings.language, contact=settings.contact, endpoint=settings.endpoint)


@functools.cache
def _own_knowledge() -> "Source":
    """The facts that the built-in model is told about, a passage each."""
    from toolformer.builtin import knowledge
    from toolformer.tools.memory_index import MemoryIndex
    from toolformer.tools.passages import Passage

    passages = [Passage(fact.subject, fact.sentences[0]) for fact in knowledge.load()]
    log.warning(
        "searching the %s facts of this package, since no index is given; for Wikipedia itself, give a contact",
        f"{len(passages):,}",
    )
    return MemoryIndex("builtin", passages)


def _qa(settings: ToolSettings) -> Tool:
    from toolformer.tools.qa import QA

    if settings.reader is not None and _is_expert(settings.reader):
        from toolformer.tools.expert_reader import ExpertReader

        return QA(_source(settings), ExpertReader(Expert("Reader", settings.reader)))
    if settings.reader is not None:
        from toolformer.tools.readers import ExtractiveReader, TextToTextReader

        kind = ExtractiveReader if settings.reader_kind == "extractive" else TextToTextReader
        return QA(_source(settings), kind(settings.reader))
    from toolformer.tools.knowledge_table import KnowledgeTable

    table = settings.knowledge or Path(str(files("toolformer.builtin") / "knowledge.jsonl"))
    return QA(None, KnowledgeTable.load(table))


def _is_expert(reader: str) -> bool:
    """Whether it is an adapter of ours or on disk, and no model of its own."""
    from toolformer.hf.adapter import SETTINGS
    from toolformer.hf.source import folder_of

    folder = folder_of(reader, Loading(offline=True))
    return folder is not None and (folder / SETTINGS).is_file()


def _translate(settings: ToolSettings) -> Tool:
    from toolformer.tools.translate import Translate

    return Translate(model=settings.translator, target=settings.target)


_ENTRIES = (
    Entry("Calculator", "calculator", "calculator", _calculator, "400 / 1400"),
    Entry("Solver", "solver", "solver", _solver, "solve(x^2 - 4 = 0, x)"),
    Entry("Calendar", "dates", "calendar", _calendar, ""),
    Entry("Dates", "dates", "dates", _dates, "days between March 1, 2020 and April 5, 2020"),
    Entry("WikiSearch", "wiki_search", "wiki", _wiki_search, "Marie Curie"),
    Entry("QA", "qa", "qa", _qa, "What is the capital of France?"),
    Entry("Translate", "translate", "translate", _translate, "Wissen ist Macht."),
)
CATALOG = {entry.name: entry for entry in _ENTRIES}
"""Every tool of the package, in the order they are listed."""

ALONE = ("calculator", "solver", "calendar", "dates", "qa")
"""Those that need neither a network nor a model: what a Toolformer has if none are given."""
TAUGHT = ("calculator", "dates", "qa", "wiki")
"""Those that a corpus is annotated for, if nobody says which: what the built-in model has learnt."""
PAPER = ("calculator", "calendar", "qa", "wiki")
"""Those of the paper's models, without its translator."""
MEASURED = ("calculator", "calendar", "dates", "qa", "wiki")
"""Those that a model is measured with."""
