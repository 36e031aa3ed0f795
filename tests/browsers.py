"""Debian's Chromium for tests of pages: what the browser complains of fails the test."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

PICTURES = "PICTURES"  # the environment's name for a folder in which pictures of pages are kept
MOST_BYTES = 120_000  # of one of them, since docs/ shows them
WIDEST = 1000  # pixels: more than the pages of docs/ show
QUALITY = 70

# What was announced to screen readers while the document lives
RECORDER = """
window.announced = [];
addEventListener("DOMContentLoaded", () => {
  const live = document.getElementById("live");
  if (!live) return;
  const observer = new MutationObserver(() => announced.push(live.textContent));
  observer.observe(live, {childList: true, characterData: true, subtree: true});
});
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test is skipped where there is none."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@dataclass
class Watched:
    """A page, and what the browser complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def noted(self, message: ConsoleMessage) -> None:
        """Note a complaint; that an answer was an error is for the page to say."""
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@contextmanager
def watched(browser: Browser, width: int = 1280, *, dark: bool = False) -> Iterator[Watched]:
    """A page; the browser must not have complained at the end."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    found = Watched(context.new_page())
    found.page.add_init_script(RECORDER)
    found.page.on("console", found.noted)
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    try:
        yield found
        assert not found.complaints, found.complaints
    finally:
        context.close()


def serious(page: Page) -> list[tuple[str, list[str]]]:
    """Return what axe-core finds that is serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        (one["id"], [f"{node['html'][:200]} {node['failureSummary'][:300]}" for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def accessible(page: Page) -> None:
    """Nothing serious is found, in either theme."""
    themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for theme in themes:
        page.emulate_media(color_scheme=theme)
        page.wait_for_timeout(300)  # colours change slowly
        assert serious(page) == [], theme


def pictured(shown: Page | Locator, name: str, **options: Any) -> None:
    """Keep a picture of a page or a part of it, where a folder for them is named."""
    if folder := os.environ.get(PICTURES):
        path = Path(folder) / f"{name}.jpg"
        picture = Image.open(io.BytesIO(shown.screenshot(**options))).convert("RGB")
        picture.thumbnail((WIDEST, 2 * WIDEST), Image.Resampling.LANCZOS)
        picture.save(path, quality=QUALITY, optimize=True, progressive=True)
        assert path.stat().st_size < MOST_BYTES, f"{path} has {path.stat().st_size} bytes"
