"""The page of a participant in a real browser: quiet, fit for a phone, and flipped through by keyboard."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dtimuscle.muscles import MuscleLabels, Side
from dtimuscle.presentation.figures import participant as views
from dtimuscle.presentation.pages import PageContext
from dtimuscle.presentation.participant_page import KeyNumber, PageSection, participant_page, summary_board
from dtimuscle.rating import Rating

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (looked for chromium, google-chrome)"),
]

AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])
ABOUT = {
    "steps": [{"step": "scanned"}, {"step": "denoised"}, {"step": "aligned"}],
    "low": {"volume": 0, "b": 0.0},
    "high": {"volume": 4, "b": 500.0},
}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    rng = np.random.default_rng(1)
    values = np.zeros((24, 12, 6), dtype=int)
    values[4:9, 3:8] = 7
    labels = MuscleLabels(values, AFFINE, {7: ("gracilis", Side.LEFT)})
    maps = [
        views.map_slices(kind, rng.uniform(0, 0.4, values.shape), AFFINE, labels=labels) for kind in ("fa", "residual")
    ]
    steps = views.steps_viewer(rng.uniform(50, 100, (24, 12, 1, 6)), AFFINE, ABOUT, labels=labels)
    tiles = [KeyNumber(f"Number {k}", "12.3 mm", "good", "fine", "what it is held against") for k in range(7)]
    board = summary_board(tiles, Rating("sub-01"))
    context = PageContext("A study", "run", is_simulated=True, version="1.0", created="now", root="../")
    html = participant_page("sub-01", board, [PageSection("Maps", (*maps, steps))], context)
    path = tmp_path_factory.mktemp("page") / "sub-01.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, page_file):
    """Return a function that opens the page in a window of some width."""
    contexts = []

    def opened(width: int, **how):
        context = browser.new_context(viewport={"width": width, "height": 800}, **how)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("request", lambda request: page.complaints.append(request.url) if _leaves(request.url) else None)
        page.goto(page_file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def _leaves(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


def visible(page) -> list[str]:
    script = "[...document.querySelectorAll('.stack figure')].filter(f => getComputedStyle(f).visibility == 'visible')"
    return page.evaluate(f"{script}.map(f => f.classList[0])")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_quiet_and_fits(opened, width):
    page = opened(width)
    assert page.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_arrow_keys_flip_through_the_steps(opened):
    page = opened(1280)
    assert visible(page) == ["s2"] * 4
    page.focus("#steps-2")
    page.keyboard.press("ArrowLeft")
    assert visible(page) == ["s1"] * 4
    page.keyboard.press("ArrowLeft")
    assert visible(page) == ["s0"] * 4


def test_flicker_can_be_switched_on_and_is_not_offered_to_those_who_bear_no_motion(opened):
    moving = "getComputedStyle(document.querySelector('.stack figure.s0')).animationName"
    page = opened(1280)
    assert page.evaluate(moving) == "none"
    page.check("#steps-flicker")
    assert page.evaluate(moving) == "flip-flicker"
    still = opened(1280, reduced_motion="reduce")
    assert not still.is_visible("#steps-flicker")


def test_outlines_are_switched_for_one_map_alone(opened):
    page = opened(1280)
    shown = "[...document.querySelectorAll('.maps')].map(m => getComputedStyle(m.querySelector('.outline')).display)"
    page.uncheck("#fa_slices-lines")
    assert page.evaluate(shown) == ["none", "inline"]


def test_paper_shows_every_step(opened):
    page = opened(800)
    page.emulate_media(media="print")
    assert sorted(set(visible(page))) == ["s0", "s1", "s2"]
