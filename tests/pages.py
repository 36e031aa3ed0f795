"""What tests of the gateway's page do with it."""

import re
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import FloatRect, Locator, Page, expect

WORDS = re.compile("^(Fake|Real|Inconclusive)$")
SECONDS = 120.0  # of an analysis
SHOWN_SECONDS = 30.0  # of anything else


def finished(site: str, content: bytes, name: str, **options: str) -> str:
    """Have a file analysed past the page; returns the job."""
    with httpx.Client(base_url=site, timeout=SECONDS) as client:
        found = client.post("/analyze-video", files={"video": (name, content)}, data=options)
        assert found.status_code == 202, found.text
        id_ = str(found.json()["job_id"])
        deadline = time.monotonic() + SECONDS
        while (job := client.get(f"/jobs/{id_}").json())["state"] in ("QUEUED", "PROCESSING"):
            assert time.monotonic() < deadline, job
            time.sleep(0.1)
        assert job["state"] == "COMPLETE", job
        return id_


def verdict_shown(page: Page, seconds: float = SHOWN_SECONDS) -> str:
    """Wait for the answer; returns the job."""
    expect(page.locator("#verdict-title")).to_have_text(WORDS, timeout=1000 * seconds)
    return page.url.rpartition("/")[2]


def result(page: Page, site: str, id_: str) -> None:
    page.goto(f"{site}/#/jobs/{id_}")
    verdict_shown(page)


def loaded(page: Page) -> None:
    until(page, "document.querySelector('.screen video').readyState >= 2")


def until(page: Page, expression: str) -> None:
    """Wait for an expression; the page's policy lets Playwright's own way not through."""
    deadline = time.monotonic() + SHOWN_SECONDS
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def bounds(locator: Locator) -> FloatRect:
    """Return where an element is, once it is: not before a picture is loaded, nor while it is drawn anew."""
    deadline = time.monotonic() + SHOWN_SECONDS
    while True:
        expect(locator).to_be_visible()
        if found := locator.bounding_box():
            return found
        assert time.monotonic() < deadline, locator


def at(page: Page) -> float:
    return float(page.locator(".tracks").get_attribute("aria-valuenow") or "nan")


def choose(page: Page, site: str, file: Path | dict[str, Any]) -> None:
    page.goto(site)
    page.locator("#file").set_input_files(file)  # type: ignore[arg-type]


def drop(page: Page, file: Path) -> None:
    """Drag a file of this machine over the page and let it go there, as the browser itself does it."""
    session = page.context.new_cdp_session(page)
    page.locator(".drop").scroll_into_view_if_needed()
    target = bounds(page.locator(".drop"))
    where = {"x": target["x"] + target["width"] / 2, "y": target["y"] + 20}
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **where, "data": data})
    session.detach()
