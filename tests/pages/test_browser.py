"""Pages in a real browser: nothing leaves, nothing complains, nothing sticks out."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat.v4 as nb
import numpy as np
import pandas as pd
import pytest

from dtimuscle.issues import Issue, Severity
from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.exhibit import Beside
from dtimuscle.presentation.pages import Link, PageContext, exhibit_page, index_page, notebook_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (looked for chromium, google-chrome)"),
]

PAGES = ("index.html", "exhibits/quality.html", "exhibits/displacement.html", "notebooks/01_preprocessing.html")


@dataclass
class Watch:
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(1)
    quality = pd.DataFrame({"participant_id": [f"{i:03d}" for i in range(12)], "snr": rng.normal(30, 2, 12)})
    for column in ("n_directions", "mean_displacement_mm", "max_displacement_mm", "max_rotation_deg", "n_issues"):
        quality[column] = rng.uniform(1, 9, 12)
    made = [tables.quality_table(quality), figures.displacement_figure(rng.uniform(0, 2, 26))]
    context = PageContext(
        study="A study with a title that is long enough to need a second line on a phone",
        run="a_run_with_a_long_name_without_any_space_in_it",
        is_simulated=True,
        version="0.1.0",
        created="1 May 2025",
        command="dtimuscle run study.yaml --set erosion_mm=2.5 --out /a/path/that/goes/on/and/on/and/on/for/ever",
        nav=(Link("Overview", "index.html"), Link("Preprocessing", "notebooks/01_preprocessing.html")),
    )
    below = PageContext(**vars(context) | {"root": "../"})
    for name in ("exhibits", "figures", "notebooks"):
        (folder / name).mkdir()
    cards = []
    for exhibit in made:
        svg = f"figures/{exhibit.name}.svg" if exhibit.svg else ""
        if svg:
            (folder / svg).write_text(exhibit.svg, encoding="utf-8")
        page = f"exhibits/{exhibit.name}.html"
        cards.append(exhibit.card(notebook="01_preprocessing", page=page, csv=f"tables/{exhibit.name}.csv", svg=svg))
        (folder / page).write_text(exhibit_page(exhibit, cards[-1], below), encoding="utf-8")
    index = index_page(
        cards,
        context,
        question="What was asked?",
        key_results=[Beside("A label that goes on for a while", "0.722 (0.6239–0.821)", "0.811", "agrees", "A claim")],
        issues=[Issue(Severity.ERROR, "sub-" + "x" * 80, "the series has 3 dimensions instead of 4.")],
        notebooks=[Link("Preprocessing", "notebooks/01_preprocessing.html")],
    )
    (folder / "index.html").write_text(index, encoding="utf-8")
    cells = [nb.new_markdown_cell("# Preprocessing"), nb.new_code_cell("x = 1  # " + "a long comment " * 12)]
    for exhibit in made:
        shown = nb.new_output("display_data", data={"text/html": exhibit._repr_html_()})
        cells.append(nb.new_code_cell("show(exhibit)", outputs=[shown]))
    active = "<script>fetch('https://example.org')</script><img src='https://example.org/a.png' alt=''>"
    cells.append(nb.new_code_cell("y", outputs=[nb.new_output("display_data", data={"text/html": active})]))
    page = notebook_page(nb.new_notebook(cells=cells), below, title="Preprocessing")
    (folder / PAGES[-1]).write_text(page, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_quiet_and_fits(browser, run, name, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    watch = Watch()
    page.on("request", lambda request: watch.requests.append(request.url))
    page.on("console", lambda message: watch.complaints.append(message.text))
    page.on("pageerror", lambda error: watch.complaints.append(str(error)))
    page.on("requestfailed", lambda request: watch.complaints.append(f"failed: {request.url}"))
    page.goto((run / name).as_uri(), wait_until="load")
    widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    pictures = page.evaluate("[...document.images].map(i => i.naturalWidth)")
    page.close()
    assert not [url for url in watch.requests if not url.startswith(("file:", "data:"))]
    assert watch.complaints == []
    assert widths[0] <= widths[1]
    assert 0 not in pictures if name == "index.html" else True
