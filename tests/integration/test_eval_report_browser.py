"""The page of an evaluation in a browser: it shows, fits, and stays silent whatever a model has said."""

from pathlib import Path

import pytest

from tests.browser import chromium
from tests.unit.test_eval_report import EVIL, run
from toolformer.eval.eval_report import write_reports

pytestmark = pytest.mark.needs("chromium")


@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_shows_fits_and_runs_nothing(tmp_path: Path, width: int) -> None:
    page, _ = write_reports([run(tmp_path / "out", model=EVIL, text=EVIL)])
    (tmp_path / "profile").mkdir()
    with chromium(tmp_path / "profile") as browser:
        browser.size(width, 900)
        browser.open(page)
        assert browser.run("document.title") == "toolformer evaluation"
        assert browser.run("document.querySelectorAll('svg').length") == 3
        assert browser.run("document.querySelectorAll('tr.quoted').length") == 10
        assert browser.run("document.documentElement.scrollWidth") == width
        assert browser.run("document.querySelectorAll('script, img').length") == 0
        assert browser.run("[...document.styleSheets].length") == 1
        assert browser.said == []
