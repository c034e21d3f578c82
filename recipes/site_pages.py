"""What the site has beside the guides: its home, the README; pages of the API; and formulas that any browser shows.

mkdocs calls the functions named `on_...` as it builds the site (mkdocs.yml).
"""

import re
from html import unescape
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

API = {
    "toolformer": (
        "A model with tools",
        (
            "toolformer.Toolformer",
            "toolformer.Generation",
            "toolformer.generation.MadeCall",
            "toolformer.Research",
            "toolformer.Note",
            "toolformer.Reflection",
            "toolformer.Draft",
            "toolformer.Review",
            "toolformer.Options",
            "toolformer.chat.Chat",
            "toolformer.chat.Turn",
            "toolformer.hf.load.load",
            "toolformer.loading.Loading",
            "toolformer.default_tools",
        ),
    ),
    "tools": (
        "What a tool is",
        (
            "toolformer.tool.tool",
            "toolformer.Tool",
            "toolformer.Traits",
            "toolformer.DocumentFacts",
            "toolformer.FunctionTool",
            "toolformer.from_langchain",
            "toolformer.from_smolagents",
            "toolformer.Toolbox",
            "toolformer.ResultMemory",
            "toolformer.Call",
            "toolformer.CallSyntax",
            "toolformer.Found",
        ),
    ),
    "own_tools": (
        "The package's tools",
        (
            "toolformer.catalog.make_tools",
            "toolformer.catalog.ToolSettings",
            "toolformer.Expert",
            "toolformer.mcp.mcp_tools",
            "toolformer.mcp.server.mcp_server",
            "toolformer.tools.calculator.Calculator",
            "toolformer.tools.solver.Solver",
            "toolformer.tools.dates.Calendar",
            "toolformer.tools.dates.Dates",
            "toolformer.tools.wiki_search.WikiSearch",
            "toolformer.tools.wikipedia.Wikipedia",
            "toolformer.tools.search_index.SearchIndex",
            "toolformer.tools.index_build.build_index",
            "toolformer.tools.qa.QA",
            "toolformer.tools.expert_reader.ExpertReader",
            "toolformer.tools.translate.Translate",
        ),
    ),
    "annotate": (
        "Annotating",
        (
            "toolformer.data_gen.annotate",
            "toolformer.data_gen.CorpusPart",
            "toolformer.data_gen.merge_parts",
            "toolformer.data_gen.dedup",
            "toolformer.data_gen.Deduplicated",
            "toolformer.data_gen.estimate",
            "toolformer.data_gen.Estimate",
            "toolformer.data_gen.Document",
            "toolformer.data_gen.read_corpus",
            "toolformer.data_gen.Lesson",
            "toolformer.data_gen.load_lesson",
            "toolformer.data_gen.Proposed",
            "toolformer.data_gen.Method",
            "toolformer.data_gen.Server",
            "toolformer.data_gen.Progress",
            "toolformer.data_gen.AnnotatedFolder",
        ),
    ),
    "finetune": (
        "Finetuning, and rounds",
        (
            "toolformer.finetune.train",
            "toolformer.finetune.TrainConfig",
            "toolformer.finetune.PAPER",
            "toolformer.finetune.Trained",
            "toolformer.finetune.prefer",
            "toolformer.finetune.PreferConfig",
            "toolformer.finetune.Preferred",
            "toolformer.finetune.distil",
            "toolformer.finetune.train_expert",
            "toolformer.finetune.read_exchanges",
            "toolformer.finetune.Exchange",
            "toolformer.finetune.ExpertConfig",
            "toolformer.finetune.Practice",
            "toolformer.export_model.exporting.export_model",
            "toolformer.export_model.exporting.Exported",
            "toolformer.when.calibrating.calibrate",
            "toolformer.when.calibrating.Measured",
            "toolformer.when.calibrating.Calls",
            "toolformer.decode.trigger.Thresholds",
            "toolformer.decode.trigger.Bar",
            "toolformer.bootstrap.bootstrap",
            "toolformer.bootstrap.Rounds",
            "toolformer.bootstrap.Round",
            "toolformer.bootstrap.Watch",
        ),
    ),
    "decode": ("Events of decoding", ("toolformer.decode.events",)),
    "eval": (
        "Measuring",
        (
            "toolformer.eval.evaluating.evaluate",
            "toolformer.eval.settings.Settings",
            "toolformer.eval.settings.Asking",
            "toolformer.eval.results.write_results",
            "toolformer.eval.eval_report.write_reports",
        ),
    ),
    "errors": ("Errors", ("toolformer.errors",)),
}
"""The pages of the API: their titles, and what each shows, by the name that a user imports."""

_FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])</\1>', re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the home and the API to the pages of docs/."""
    home = (ROOT / "README.md").read_text("utf-8").replace("](docs/", "](")
    # What stands beside the README and not in docs/ is no part of the site.
    home = re.sub(r"\[([^\]]+)\]\([A-Z]+\.md\)", r"\1", home)
    files.append(File.generated(config, "index.md", content=home))
    for name, (title, shown) in API.items():
        text = "\n".join([f"# {title}\n", *(f"::: {one}\n" for one in shown)])
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Write formulas as the extension arithmatex reads them; GitHub has two forms of its own."""
    blocks = re.sub(r"^```math\n(.*?)^```$", r"$$\n\1$$", markdown, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\$`(.+?)`\$", r"$\1$", blocks)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Make formulas MathML, which browsers show by themselves."""
    return _FORMULA.sub(_mathml, html)


def _mathml(found: re.Match[str]) -> str:
    return convert(unescape(found[2]).strip(), display="block" if found[1] == "div" else "inline")
