"""The audit page in a real browser: nothing leaves, nothing complains, nothing sticks out."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtimuscle.running.audit import audit_study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (looked for chromium, google-chrome)"),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    return audit_study("wang_thigh_osteoporosis", folder=folder, command="dtimuscle audit").folder.page


@pytest.fixture(scope="module")
def browser() -> Iterator:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_audit_page_is_quiet_and_fits(browser, page_file, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(page_file.as_uri(), wait_until="load")
    widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    page.close()
    assert not [url for url in requests if not url.startswith(("file:", "data:"))]
    assert complaints == []
    assert widths[0] <= widths[1]


def test_what_is_folded_is_printed(browser, page_file):
    page = browser.new_page()
    page.goto(page_file.as_uri(), wait_until="load")
    page.emulate_media(media="print")
    tables = "[...document.querySelectorAll('.findings details:not([open]) table')]"
    folded = page.evaluate(f"{tables}.map(table => table.getBoundingClientRect().height)")
    page.close()
    assert folded
    assert min(folded) > 0
