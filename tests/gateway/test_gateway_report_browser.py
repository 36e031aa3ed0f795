"""The report in a real browser: without scripts and requests, dark, on a phone, and for assistive technology."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from report_samples import VOICE, evidence, full_evidence

from veracity_gateway.report.document import make_report
from veracity_gateway.report.html import to_html
from veracity_gateway.report.signing import SigningKey

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    key = SigningKey.in_folder(folder / "keys")
    (folder / "full.html").write_text(to_html(make_report(full_evidence(), key)), "utf-8")
    (folder / "voice.html").write_text(to_html(make_report(evidence(VOICE, "<b>" + "x" * 4096), key)), "utf-8")
    return folder


def opened(browser: Browser, path: Path, width: int, dark: bool, complaints: list[str]) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light")
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("name", ["full", "voice"])
@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (390, False)])
def test_the_page_is_whole_and_accessible(browser: Browser, pages: Path, name: str, width: int, dark: bool) -> None:
    complaints: list[str] = []
    page = opened(browser, pages / f"{name}.html", width, dark, complaints)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]]) for one in found] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) is dark, "the policy has let the style through"
    assert complaints == []
    page.close()


def test_a_picture_is_shown_and_a_table_opens_by_key(browser: Browser, pages: Path) -> None:
    page = opened(browser, pages / "full.html", 1100, False, [])
    assert page.locator("figure img").evaluate("image => image.naturalWidth") == 32
    table = page.locator("details table").first
    assert not table.is_visible()
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert table.is_visible()
    page.close()
