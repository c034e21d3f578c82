"""What may import what, and how light the package is."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import toolformer
from tests.bounds import cpu_seconds

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "toolformer": "toolformer",
    "toolformer.tools": "tools",
    "toolformer.data_gen": "data_gen",
    "toolformer.eval": "eval",
}

ORDER = [
    *("toolformer.version", "toolformer.errors", "toolformer.calls", "toolformer.chains", "toolformer.loading"),
    "toolformer.arguments",
    *(
        "toolformer.text_file",
        "toolformer.own_json",
        "toolformer.whole_file",
        "toolformer.lock",
        "toolformer.same_settings",
    ),
    *("toolformer.reach", "toolformer.user_cache", "toolformer.screen", "toolformer.page"),
    *("toolformer.tool", "toolformer.worker", "toolformer.toolbox"),
    *("toolformer.lm", "toolformer.hf", "toolformer.decode", "toolformer.generation"),
    *("toolformer.reflection", "toolformer.reflect", "toolformer.chat"),
    "toolformer.expert",
    "toolformer.tools",
    "toolformer.remote",
    "toolformer.data_gen",
    *("toolformer.finetune", "toolformer.footprint", "toolformer.bootstrap"),
    *("toolformer.builtin", "toolformer.mcp", "toolformer.other_tools", "toolformer.catalog"),
    *("toolformer.research", "toolformer.model", "toolformer", "toolformer.builtin.compare"),
    *("toolformer.eval", "toolformer.when", "toolformer.serve", "toolformer.export_model"),
    *("toolformer.commands", "toolformer.cli"),
]
"""Every module, or package with all its modules: each may import itself and what stands before it, and nothing else."""

HEAVY = {
    "torch",
    "transformers",
    "peft",
    "datasets",
    "sympy",
    "faiss",
    "bm25s",
    "numpy",
    "httpx",
    "fastapi",
    "wikipediaapi",
    "mcp",
    "tyro",
}


@cache
def modules() -> dict[str, Path]:
    found = {}
    for package, folder in FOLDERS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join([package, *file.relative_to(ROOT / folder).with_suffix("").parts])
            found[name.removesuffix(".__init__")] = file
    return found


def place(module: str) -> int:
    """Where the longest listed name stands that the module is or lies in; `toolformer` stands for itself alone."""
    name = module
    while name not in ORDER:
        name = name.rpartition(".")[0]
    assert name != "toolformer" or module == "toolformer", f"{module} has no place: add it to ORDER"
    return ORDER.index(name)


def named(file: Path) -> set[str]:
    """What a file imports: at its top, within functions, where that makes starting faster, or for types."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner if inner <= modules().keys() else inner | {node.module or ""}
    return names


def imported(file: Path) -> set[str]:
    """What it imports of ours."""
    return named(file) & modules().keys()


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_what_stands_before_it(module: str) -> None:
    wrong = [other for other in imported(modules()[module]) if place(other) > place(module)]
    assert not wrong, f"{module} imports {wrong}"


def test_no_module_is_imported_by_what_it_imports() -> None:
    graph = {module: imported(file) - {module} for module, file in modules().items()}
    TopologicalSorter(graph).prepare()  # or a CycleError that names them


NEEDED_BY_OTHERS = {"accelerate", "gguf", "ray", "sentencepiece"}
"""What is installed for transformers to use, and Ray, which starts our actor."""


def test_what_is_imported_is_asked_for_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = ("datatrove", "dedup", "eval", "gguf", "mcp", "ray", "rl", "serve", "translate")
    groups = [project["dependencies"], *(project["optional-dependencies"][name] for name in extras)]
    wanted = {_normal(re.split("[^\\w.-]", line)[0]) for group in groups for line in group}
    used = {name.partition(".")[0] for file in modules().values() for name in named(file)}
    used -= {*sys.stdlib_module_names, "toolformer", "deepspeed"}  # deepspeed is its users' own
    own = packages_distributions()
    missing = {module for module in used if wanted.isdisjoint(map(_normal, own.get(module, [module])))}
    idle = wanted - {_normal(one) for module in used for one in own.get(module, [module])} - NEEDED_BY_OTHERS
    assert (missing, idle) == (set(), set())


def _normal(distribution: str) -> str:
    return re.sub("[-_.]+", "-", distribution).lower()


def test_import_is_light_and_loads_nothing_heavy() -> None:
    code = f"import sys, toolformer; print(sorted({HEAVY} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert loaded == "[]"
    with_it = cpu_seconds(sys.executable, "-c", "import toolformer")
    assert with_it - cpu_seconds(sys.executable, "-c", "pass") < 0.3


@pytest.mark.parametrize("name", ["tools", "data_gen", "eval"])
def test_a_folder_is_no_package_of_its_own(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert f"this folder is the package toolformer.{name}" in done.stderr


def test_the_exported_names_are_chosen() -> None:
    assert set(toolformer.__all__) == {
        "Answered",
        "Call",
        "CallFormatError",
        "CallSyntax",
        "Called",
        "Chat",
        "ConfigError",
        "DataError",
        "DocumentFacts",
        "Draft",
        "Ended",
        "Event",
        "Expert",
        "Found",
        "FunctionTool",
        "Generation",
        "MadeCall",
        "Note",
        "Opened",
        "Options",
        "Reflection",
        "Research",
        "ResultMemory",
        "Review",
        "ServerError",
        "Text",
        "Tool",
        "ToolBroken",
        "ToolError",
        "ToolNothing",
        "ToolTimeout",
        "ToolUnavailable",
        "Toolbox",
        "Toolformer",
        "ToolformerError",
        "Traits",
        "Turn",
        "Undone",
        "default_tools",
        "from_langchain",
        "from_smolagents",
        "load",
        "tool",
    }
    assert all(hasattr(toolformer, name) for name in toolformer.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'tols'"):
        toolformer.tols  # noqa: B018


@pytest.mark.parametrize("module", sorted(modules()))
def test_only_commands_speak_of_flags(module: str) -> None:
    if module.startswith(("toolformer.commands", "toolformer.cli")):
        return
    said = [
        text.value
        for call in ast.walk(ast.parse(modules()[module].read_text("utf-8")))
        if isinstance(call, ast.Call) and re.search(r"Error$|^log\.", ast.unparse(call.func))
        for text in ast.walk(call)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
    ]
    assert not [text for text in said if re.search(r"--[a-z]", text)]
