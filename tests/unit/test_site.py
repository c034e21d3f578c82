"""The site leads to every guide, and its API to every name that we offer. `make docs` finds links to nothing."""

from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import yaml
from markdown import markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files

import toolformer
from recipes.site_pages import API, on_files, on_page_content, on_page_markdown
from toolformer import bootstrap, data_gen, errors, finetune
from toolformer.decode import events

ROOT = Path(__file__).parents[2]


def _leaves(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for one in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        yield from _leaves(one)


@pytest.fixture
def files() -> Files:
    config = MkDocsConfig()
    config.load_dict({"site_name": "toolformer"})
    config.validate()
    config.plugins._current_plugin = "recipes/site_pages.py"
    return on_files(Files([]), config=config)


def test_the_navigation_names_every_page_and_no_other(files: Files) -> None:
    guides = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    named = list(_leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))
    assert sorted(named) == sorted(guides | {file.src_uri for file in files})


def test_the_api_shows_every_name_that_we_offer() -> None:
    shown = {name.rpartition(".")[2] for _, names in API.values() for name in names}
    offered = {name for package in (toolformer, data_gen, finetune, bootstrap) for name in package.__all__}
    assert offered - shown <= vars(errors).keys() | vars(events).keys()  # modules that are shown whole


@pytest.mark.parametrize("name", [name for _, names in API.values() for name in names])
def test_each_name_that_the_api_shows_is_where_it_says(name: str) -> None:
    assert resolve_name(name)


def test_the_home_is_the_readme_with_links_that_lead_on(files: Files) -> None:
    home = files.get_file_from_path("index.md")
    assert home is not None
    text = home.content_string
    assert text.startswith("# toolformer")
    assert "](docs/" not in text
    assert "](teach.md)" in text
    assert "CONTRIBUTING" not in text  # it stands beside the README


def test_formulas_of_every_form_are_mathml() -> None:
    unread: Any = None
    text = "At $x_1$ and $`[a, b]`$:\n\n```math\nx < 2\n```\n"
    given = on_page_markdown(text, page=unread, config=unread, files=unread)
    html = markdown(
        given, extensions=["pymdownx.arithmatex"], extension_configs={"pymdownx.arithmatex": {"generic": True}}
    )
    made = on_page_content(html, page=unread, config=unread, files=unread)
    assert made.count("<math ") == 3
    assert made.count('display="block"') == 1
    assert "<msub><mi>x</mi><mn>1</mn></msub>" in made
    assert "<mo>&lt;</mo>" in made or "<mo>&#x0003C;</mo>" in made
    assert "arithmatex" not in made
