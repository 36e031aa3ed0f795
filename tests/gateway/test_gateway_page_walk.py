"""A new user's walk through the page, with the real models. ``make pictures`` keeps what is seen, for docs/page.md."""

import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import gateway_server
import httpx
import pytest
from browsers import accessible, pictured, watched
from pages import SECONDS, bounds, choose, drop, loaded, result, until, verdict_shown
from playwright.sync_api import Browser, Page, expect

from veracity.server import Server
from veracity.settings import Settings

pytestmark = [pytest.mark.triton, pytest.mark.slow]

NAME = "interview.mp4"
LOADED = "image => image.decode().then(() => image.naturalWidth)"


@pytest.fixture(scope="module")
def site(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for name in ("audio_starter", "semantic_starter"):
        if not (settings.model_repository / name / "1" / "model.onnx").is_file():
            pytest.skip(f"{name} is not installed: its encoder could not be fetched")
    with Server.from_settings(settings) as server:
        given = gateway_server.settings_in(tmp_path_factory.mktemp("site"), urls=(server.grpc_url,))
        with gateway_server.gateway(given) as url:
            yield url


@pytest.fixture(scope="module")
def interview(talking: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(copy(talking, tmp_path_factory.mktemp("interview") / NAME))


@pytest.fixture(scope="module")
def walked(browser: Browser, site: str, interview: Path) -> str:
    """The job of a file that was dropped on the page and is kept, with pictures of what the models saw."""
    with watched(browser) as found:
        page = found.page
        page.goto(site)
        expect(page.get_by_text("Drop a video")).to_be_visible()
        page.locator(".options summary").click()
        expect(page.get_by_label("Show what the models saw")).to_be_checked()
        page.get_by_label("Look at everything").check()
        page.get_by_label("Keep the file").check()
        pictured(page, "start", full_page=True)
        drop(page, interview)
        expect(page.locator(".stages li").nth(3)).to_be_visible()
        pictured(page.locator(".job"), "progress")
        return verdict_shown(page, SECONDS)


def top(page: Page, selector: str, most: float = 900) -> dict[str, float]:
    """The page down to the end of an element, as a ``clip``."""
    box = bounds(page.locator(selector).first)
    width = page.evaluate("document.documentElement.clientWidth")
    return {"x": 0, "y": 0, "width": width, "height": min(most, box["y"] + box["height"] + 24)}


def test_what_the_models_really_saw_is_shown(page: Page, site: str, walked: str) -> None:
    result(page, site, walked)
    loaded(page)
    crops = page.locator(".crop img:not(.cam)")
    assert crops.count() > 0
    assert all(width > 0 for width in crops.evaluate_all(f"all => Promise.all(all.map({LOADED}))"))
    assert page.locator(".crop img.cam").first.evaluate(LOADED) > 0
    assert page.locator(".strip img").first.evaluate(LOADED) > 16 * page.locator(".strip").count()
    assert page.locator(".spectrogram img").evaluate(LOADED) > 0
    expect(page.locator("canvas.wave")).to_be_visible()
    word = page.locator("#layer-4_semantic").locator("xpath=ancestor::article").locator("dt", has_text="Traces")
    expect(word.locator("xpath=following-sibling::dd")).to_contain_text(", 0.")
    accessible(page)


def test_the_answer_and_the_moment_that_weighed_most(page: Page, site: str, walked: str) -> None:
    result(page, site, walked)
    loaded(page)
    expect(page.locator("canvas.wave")).to_be_visible()
    pictured(page, "verdict-light", full_page=True, clip=top(page, ".stage", 1300))
    page.locator(".crop", has=page.locator(".cam")).first.click()
    expect(page.locator("image.heat")).to_have_count(1)
    until(page, "!document.querySelector('.screen video').seeking")
    pictured(page.locator(".player"), "heat-map")


def test_a_review_of_it(page: Page, site: str, walked: str) -> None:
    result(page, site, walked)
    page.get_by_text("Agree", exact=True).click()
    page.get_by_label("Note", exact=False).fill("The speaker told us by telephone that she said this.")
    if (truth := page.get_by_label("What is it, as far as you know?")).is_visible():  # of an inconclusive verdict
        truth.select_option("real")
    page.get_by_role("button", name="Add review").click()
    expect(page.locator(".reviews li")).to_contain_text("The speaker told us")
    pictured(page.locator(".card", has=page.locator("form.review")), "review")


def test_in_the_dark(browser: Browser, site: str, walked: str) -> None:
    with watched(browser, dark=True) as found:
        result(found.page, site, walked)
        loaded(found.page)
        expect(found.page.locator("canvas.wave")).to_be_visible()
        pictured(found.page.locator(".stage"), "verdict-dark")


def test_on_a_telephone(browser: Browser, site: str, walked: str) -> None:
    with watched(browser, 390) as found:
        result(found.page, site, walked)
        loaded(found.page)
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 390
        pictured(found.page, "phone", full_page=True, clip={"x": 0, "y": 0, "width": 390, "height": 1500})


def test_a_file_that_was_cut_off_is_an_error_and_stays_in_the_history(
    page: Page, site: str, walked: str, interview: Path
) -> None:
    choose(page, site, {"name": "cut.mp4", "mimeType": "video/mp4", "buffer": interview.read_bytes()[:5000]})
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("This file cannot be read as video, sound or picture", timeout=1000 * SECONDS)
    expect(page).to_have_url(re.compile(r"#/jobs/[0-9a-f]{32}$"))
    pictured(page.locator(".job"), "error")
    page.get_by_role("link", name="History").click()
    rows = page.locator(".jobs tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("cut.mp4")
    expect(rows.first).to_contain_text("Failed")
    pictured(page, "history", clip=top(page, ".jobs"))


def test_a_job_that_waits_is_cancelled(page: Page, site: str, interview: Path) -> None:
    before = [sent(site, interview.read_bytes() + bytes([number])) for number in range(3)]  # one at a time is analysed
    choose(page, site, {"name": NAME, "mimeType": "video/mp4", "buffer": interview.read_bytes() + b"other"})
    expect(page.locator(".progress-state")).to_have_text("Waiting")
    id_ = page.url.rpartition("/")[2]
    cancel = page.get_by_role("button", name="Cancel")
    cancel.focus()
    pictured(page.locator(".job"), "cancel")
    cancel.press("Enter")
    expect(page.get_by_text("Drop a video")).to_be_visible()
    assert httpx.get(f"{site}/jobs/{id_}").status_code == 404
    for job in before:
        assert httpx.delete(f"{site}/jobs/{job}").status_code == 204


def sent(site: str, content: bytes) -> str:
    answer = httpx.post(f"{site}/analyze-video", files={"video": ("before.mp4", content)})
    return str(answer.json()["job_id"])
