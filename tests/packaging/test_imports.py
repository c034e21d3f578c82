"""The import rule, and how light the package is."""

import ast
import subprocess
import sys
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

LAYERS = [
    {"toolformer.errors", "toolformer.calls"},
    {"toolformer.whole_file", "toolformer.lock", "toolformer.same_settings", "toolformer.screen", "toolformer.page"}
    | {"toolformer.reach", "toolformer.loading", "toolformer.user_cache", "toolformer.own_json"},
    {"toolformer.tool", "toolformer.worker", "toolformer.toolbox", "toolformer.lm", "toolformer"},
    {"toolformer.hf", "toolformer.decode", "toolformer.finetune", "toolformer.model", "toolformer.chat"},
    {"toolformer.tools"},
    {"toolformer.data_gen"},
    {"toolformer.builtin", "toolformer.bootstrap"},
    {"toolformer.eval"},
    {"toolformer.catalog", "toolformer.commands", "toolformer.cli", "toolformer.builtin.compare"},
]
"""Left never imports right. A package stands for all its modules; `import toolformer` itself loads its own layer."""

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
    "wikipediaapi",
    "tyro",
}


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in FOLDERS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join([package, *file.relative_to(ROOT / folder).with_suffix("").parts])
            found[name.removesuffix(".__init__")] = file
    return found


def layer(module: str) -> int:
    """The layer of the longest listed name that the module is or lies in; `toolformer` stands for itself alone."""
    name = module
    while name:
        for place, names in enumerate(LAYERS):
            if name in names and (name != "toolformer" or module == "toolformer"):
                return place
        name = name.rpartition(".")[0]
    raise LookupError(f"{module} is in no layer: add it to LAYERS")


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return {name for name in names if name in modules()}


@pytest.mark.parametrize("module", sorted(modules().keys() - {"toolformer"}))  # it re-exports, some of it at first use
def test_left_never_imports_right(module: str) -> None:
    wrong = [other for other in imported(modules()[module]) if layer(other) > layer(module)]
    assert not wrong, f"{module} imports {wrong}"


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
        "Call",
        "CallFormatError",
        "CallSyntax",
        "ConfigError",
        "DataError",
        "DocumentFacts",
        "Found",
        "FunctionTool",
        "Generation",
        "Options",
        "ResultMemory",
        "ServerError",
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
        "default_tools",
        "load",
        "tool",
    }
    assert all(hasattr(toolformer, name) for name in toolformer.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'tols'"):
        toolformer.tols  # noqa: B018
