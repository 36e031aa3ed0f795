"""The page in a real browser, in front of a real gateway and a real tritonserver."""

import base64
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gateway_server
import httpx
import pytest
from browsers import accessible, serious, watched
from pages import SECONDS, SHOWN_SECONDS, at, bounds, choose, finished, loaded, result, until, verdict_shown
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from veracity.server import Server
from veracity_gateway.access.caller import SCOPES
from veracity_gateway.access.keys import Keys
from veracity_gateway.database import Database

pytestmark = [pytest.mark.triton, pytest.mark.slow]

EVIL = "<img src=x onerror=alert(1)>.mp4"


@pytest.fixture(scope="module")
def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = gateway_server.settings_in(tmp_path_factory.mktemp("site"), urls=(server.grpc_url,))
    with gateway_server.gateway(settings) as url:
        yield url


@pytest.fixture(scope="module")
def kept(site: str, talking: Path) -> str:
    """A finished job whose media are kept, and whose name is hostile."""
    return finished(site, talking.read_bytes(), EVIL, keep_media="true", policy="exhaustive")


def test_a_file_becomes_a_verdict_before_ones_eyes(page: Page, site: str, talking: Path) -> None:
    choose(page, site, talking)
    verdict_shown(page, SECONDS)
    expect(page).to_have_url(re.compile(r"#/jobs/[0-9a-f]{32}$"))
    said = page.evaluate("announced")
    for words in ("Upload 100 %", "Being analysed", "Reading the file: done", "Verdict: "):
        assert any(each.startswith(words) for each in said), (words, said)
    loaded(page)  # the file that was chosen: the gateway has deleted its own
    assert page.locator(".screen video").get_attribute("src").startswith("blob:")  # type: ignore[union-attr]
    expect(page.get_by_role("heading", name="What was looked at")).to_be_visible()
    expect(page.locator(".layer")).to_have_count(4)


def test_the_timeline_seeks_and_faces_are_drawn(page: Page, site: str, kept: str) -> None:
    result(page, site, kept)
    loaded(page)
    axis = page.locator(".tracks .axis")
    axis.click(position={"x": bounds(axis)["width"] / 2, "y": 5})
    until(page, "Math.abs(document.querySelector('.screen video').currentTime - 3) < 0.1")
    expect(page.locator(".face-box")).not_to_have_count(0)
    box, screen = bounds(page.locator(".face-box").first), bounds(page.locator(".screen"))
    assert screen["x"] < box["x"] < box["x"] + box["width"] < screen["x"] + screen["width"]
    page.get_by_role("button", name="Face boxes").click()
    expect(page.locator(".face-box")).to_have_count(0)


def test_keys_step_and_move(page: Page, site: str, kept: str) -> None:
    result(page, site, kept)
    loaded(page)
    page.locator(".tracks").focus()
    page.keyboard.press("Home")
    for key, seconds in (("ArrowRight", 1.0), ("Shift+ArrowLeft", 0.0), (".", 0.04), (".", 0.08), (",", 0.04)):
        page.keyboard.press(key)
        page.wait_for_timeout(400)
        assert at(page) == pytest.approx(seconds, abs=0.011), key
    page.keyboard.press("Space")
    until(page, "!document.querySelector('.screen video').paused")
    page.keyboard.press("Space")
    until(page, "document.querySelector('.screen video').paused")


def test_the_table_twin_has_the_timelines_numbers(page: Page, site: str, kept: str) -> None:
    result(page, site, kept)
    loaded(page)
    verdict = httpx.get(f"{site}/jobs/{kept}").json()["verdict"]
    page.get_by_text("The timeline as a table").click()
    rows = page.locator(".twin tbody tr")
    assert rows.count() >= sum(map(len, verdict["timeline"].values()))
    last = rows.last.get_by_role("button")
    minutes, seconds = last.inner_text().split(":")
    last.click()
    assert at(page) == pytest.approx(60 * int(minutes) + float(seconds), abs=0.05)


def test_key_frames_are_drawn_and_magnified(page: Page, site: str, kept: str) -> None:
    result(page, site, kept)
    frame = page.locator(".frame").nth(2)
    expect(frame).to_be_visible()
    drawn = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
    assert frame.locator("canvas").evaluate(drawn) > 16
    frame.focus()
    page.keyboard.press("Enter")
    pane = page.locator(".magnifier")
    expect(pane).to_be_focused()
    before = bounds(pane.locator("canvas"))
    page.keyboard.press("+")
    assert bounds(pane.locator("canvas"))["width"] > 1.3 * before["width"]
    page.keyboard.press("Escape")
    expect(pane).to_have_count(0)
    expect(frame).to_be_focused()


def test_a_name_is_text(page: Page, site: str, kept: str) -> None:
    result(page, site, kept)
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    page.goto(f"{site}/#/history")
    expect(page.get_by_role("link", name=EVIL).first).to_be_visible()
    assert page.locator("main img[src='x']").count() == 0


def test_what_the_models_saw_is_shown_and_no_other_address(page: Page, site: str, kept: str) -> None:
    def explained(route: Route) -> None:
        job = route.fetch().json()
        job["verdict"]["explanation"] = EXPLANATION
        route.fulfill(json=job)

    page.route(f"**/jobs/{kept}", explained)
    result(page, site, kept)
    loaded(page)
    number = httpx.get(f"{site}/jobs/{kept}").json()["verdict"]["layer_results"]["4_semantic"]["generative_signature"]
    traces = page.locator("#layer-4_semantic").locator("xpath=ancestor::article").locator("dt", has_text="Traces")
    expect(traces.locator("xpath=following-sibling::dd")).to_have_text(f"moderate, {number:.2f}")
    crops = page.locator(".crop")
    expect(crops).to_have_count(1)  # the second is no base64
    assert crops.locator("img").evaluate_all("all => all.map(image => image.naturalWidth)") == [8, 8]
    crops.click()
    assert at(page) == pytest.approx(2.0, abs=0.05)
    expect(page.locator(".inset")).to_be_visible()
    expect(page.locator(".inset img")).to_have_count(2)
    expect(page.locator("image.heat")).to_have_count(0)  # an older server does not say where the crop lies
    expect(page.get_by_role("button", name="Heat map")).to_have_count(0)
    expect(page.get_by_role("heading", name="Mouths over time")).to_be_visible()
    expect(page.get_by_text("speaks at")).to_have_text("Face 1 speaks at 0:01.0–0:02.5")
    expect(page.locator(".suspicious")).to_have_count(1)


def test_the_heat_map_lies_in_its_place_over_the_frame(page: Page, site: str, kept: str) -> None:
    def explained(route: Route) -> None:
        job = route.fetch().json()
        moments = [MAPPED | {"area": [160, 90, 320, 270]}]  # of 640 x 360
        job["verdict"]["explanation"] = EXPLANATION | {"moments": moments}
        route.fulfill(json=job)

    page.route(f"**/jobs/{kept}", explained)
    result(page, site, kept)
    loaded(page)
    heat, toggle = page.locator("image.heat"), page.get_by_role("button", name="Heat map")
    expect(heat).to_have_count(0)  # at another moment
    page.locator(".crop").click()
    expect(heat).to_have_count(1)
    expect(page.locator(".inset")).to_have_text("What the model weighed here")
    expect(page.locator(".inset img")).to_have_count(0)
    box, screen = bounds(heat), bounds(page.locator(".boxes"))
    scale = min(screen["width"] / 640, screen["height"] / 360)
    left, top = (screen["width"] - 640 * scale) / 2, (screen["height"] - 360 * scale) / 2
    wanted = {"x": screen["x"] + left + 160 * scale, "y": screen["y"] + top + 90 * scale}
    wanted |= {"width": 160 * scale, "height": 180 * scale}
    assert box == pytest.approx(wanted, abs=1.5)
    at_map = (left + 168 * scale, top + 98 * scale, left + 312 * scale, top + 262 * scale)

    def shown() -> bytes:
        image = Image.open(io.BytesIO(page.locator(".screen").screenshot()))
        return image.crop(tuple(map(round, at_map))).tobytes()  # type: ignore[arg-type]

    with_map = shown()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    expect(heat).to_have_count(0)
    expect(page.locator(".inset img")).to_have_count(2)
    assert shown() != with_map
    toggle.click()
    expect(heat).to_have_count(1)
    page.locator(".tracks").focus()
    page.keyboard.press("Home")
    expect(heat).to_have_count(0)


def test_a_text_file_is_an_error_in_plain_words(page: Page, site: str) -> None:
    choose(page, site, {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"These are notes.\n"})
    problem = page.get_by_role("alert").filter(has_text="cannot be read")
    expect(problem).to_contain_text("This file cannot be read as video, sound or picture")
    expect(problem).to_contain_text("Check that it plays elsewhere")


def test_a_refused_request_says_its_id(page: Page, site: str) -> None:
    page.goto(f"{site}/#/jobs/{'0' * 32}")
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("There is no such job")
    expect(problem).to_contain_text(re.compile("Request id [0-9a-f]{32}"))


def test_a_job_is_cancelled(page: Page, tmp_path: Path) -> None:
    with gateway_server.gateway(gateway_server.settings_in(tmp_path)) as url:  # no server: it waits
        choose(page, url, {"name": "clip.mp4", "mimeType": "video/mp4", "buffer": b"0" * 1000})
        expect(page.get_by_role("heading", name="Analysis under way")).to_be_visible()
        id_ = page.url.rpartition("/")[2]
        assert httpx.get(f"{url}/jobs/{id_}").status_code == 200
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Drop a video")).to_be_visible()
        assert httpx.get(f"{url}/jobs/{id_}").status_code == 404
        page.context.close()  # before the gateway ends: its connections would be open still


def test_a_review_is_added(page: Page, site: str, kept: str) -> None:
    result(page, site, kept)
    page.get_by_text("Cannot tell", exact=True).click()
    page.get_by_label("Note", exact=False).fill("<b>too dark</b>")
    page.get_by_role("button", name="Add review").click()
    expect(page.locator(".reviews li").last).to_contain_text("Cannot tell")
    expect(page.locator(".reviews li").last).to_contain_text("<b>too dark</b>")
    assert httpx.get(f"{site}/jobs/{kept}/reviews").json()["reviews"][-1]["opinion"] == "cannot_tell"


def test_ones_own_copy_is_compared_before_it_is_shown(page: Page, site: str, talking: Path) -> None:
    gone = finished(site, talking.read_bytes() + b"gone", "gone.mp4")
    page.route(f"**/jobs/{gone}", lambda route: route.fulfill(json=route.fetch().json() | {"media": True}))
    deadline = time.monotonic() + SHOWN_SECONDS
    while httpx.get(f"{site}/jobs/{gone}/media").status_code != 410:  # the page has read the job before that
        assert time.monotonic() < deadline
        time.sleep(0.2)
    result(page, site, gone)
    expect(page.get_by_text("The gateway did not keep this file")).to_be_visible()
    assert page.locator(".player").is_hidden()
    other = talking.read_bytes()[:-1] + b"!gone"
    page.locator("#own-file").set_input_files({"name": "other.mp4", "mimeType": "video/mp4", "buffer": other})
    expect(page.get_by_text("its sha256 differs")).to_be_visible()
    own = {"name": "own.mp4", "mimeType": "video/mp4", "buffer": talking.read_bytes() + b"gone"}
    page.locator("#own-file").set_input_files(own)  # type: ignore[arg-type]
    loaded(page)


def test_the_history_searches_and_deletes(page: Page, site: str, talking: Path) -> None:
    finished(site, talking.read_bytes(), "to be deleted.mp4")
    page.goto(f"{site}/#/history")
    page.get_by_label("Search").fill("be deleted")
    expect(page.locator(".jobs tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Delete to be deleted.mp4").click()
    page.get_by_role("button", name="Yes, delete").click()
    expect(page.locator(".jobs tbody tr")).to_have_count(0)
    assert httpx.get(f"{site}/jobs", params={"q": "be deleted"}).json()["jobs"] == []


def test_two_clips_play_together(page: Page, site: str, kept: str, talking: Path) -> None:
    other = finished(site, talking.read_bytes(), "other.mp4", keep_media="true")
    page.goto(f"{site}/#/compare/{kept}")
    page.get_by_role("link", name="other.mp4").click()
    expect(page).to_have_url(f"{site}/#/compare/{kept}/{other}")
    until(page, "[...document.querySelectorAll('video')].filter(each => each.readyState >= 2).length === 2")
    page.get_by_label("Right clip ahead by, s").fill("1")
    page.get_by_role("button", name="Play both").click()
    times = "[...document.querySelectorAll('.stage video')].map(each => each.currentTime)"
    until(page, f"{times}.every(time => time > 0.5)")
    page.get_by_role("button", name="Pause both").click()
    left, right = page.evaluate(times)
    assert right - left == pytest.approx(1.0, abs=0.5)


def test_a_key_is_asked_for_and_the_session_changes_things(page: Page, tmp_path: Path) -> None:
    settings = gateway_server.settings_in(tmp_path)
    database = Database(settings.database_url())
    key = Keys(database).add("news desk", SCOPES, 600)
    database.close()
    with gateway_server.gateway(settings) as url:
        page.goto(f"{url}/#/history")
        expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
        expect(page.get_by_label("API key")).to_be_focused()
        page.keyboard.type("vk_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("This key is not known")
        accessible(page)
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        expect(page.get_by_text("Nothing was analysed yet")).to_be_visible()
        expect(page.locator("#who")).to_have_text("news desk")
        page.get_by_role("link", name="Analyse").click()
        expect(page.get_by_text("Drop a video")).to_be_visible()
        page.locator("#file").set_input_files({"name": "clip.mp4", "mimeType": "video/mp4", "buffer": b"0" * 1000})
        page.get_by_role("button", name="Cancel").click()  # which wants the session's token
        expect(page.get_by_text("Drop a video")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("#who")).to_have_text("")
        page.context.close()  # before the gateway ends: its connections would be open still


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_view_is_accessible_and_fits(browser: Browser, site: str, kept: str, width: int, dark: bool) -> None:
    with watched(browser, width, dark=dark) as found:
        for view, heading in (
            ("/", "Is this recording"),
            (f"/jobs/{kept}", EVIL),
            ("/history", "History"),
            (f"/compare/{kept}/{kept}", "Two clips"),
        ):
            found.page.goto("about:blank")
            found.page.goto(f"{site}/#{view}")
            expect(found.page.get_by_role("heading", level=1)).to_contain_text(heading)
            if "jobs" in view:
                loaded(found.page)
            found.page.wait_for_timeout(300)
            assert found.page.evaluate("document.documentElement.scrollWidth") <= width, view
            assert serious(found.page) == [], view
        ground = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) is dark


def test_the_theme_is_chosen_and_kept(page: Page, site: str) -> None:
    page.goto(site)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


@pytest.mark.parametrize("view", ["/", "/history", "/jobs/KEPT"])
def test_the_keyboard_reaches_everything_and_leaves_it(page: Page, site: str, kept: str, view: str) -> None:
    page.goto(f"{site}/#{view.replace('KEPT', kept)}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if "KEPT" in view:  # what comes late is there: the numbers below are of a page that is whole
        expect(page.get_by_text("Open a frame to magnify it")).to_be_visible()
    else:
        page.wait_for_load_state("networkidle")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = set()
    for _ in range(300):
        number, outlined = page.evaluate(FOCUSED)
        if number in seen or number < 0:
            break
        assert outlined, page.evaluate("document.activeElement.outerHTML")
        seen.add(number)
        page.keyboard.press("Tab")
    else:
        raise AssertionError("the end of the page is not reached")
    missed = set(page.evaluate(REACHABLE)) - seen
    assert not missed, page.evaluate("numbers => numbers.map(each => all()[each].outerHTML)", sorted(missed))


def test_a_file_is_chosen_by_keyboard(page: Page, site: str) -> None:
    page.goto(site)
    page.wait_for_load_state("networkidle")
    with page.expect_file_chooser():
        page.locator("#file").press("Enter")
    page.locator("a.brand").focus()
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


# The number of the element that has the focus, -1 for none, and whether it, or its label, shows that
FOCUSED = """() => {
  window.all ??= () => [...document.querySelectorAll("*")];
  const now = document.activeElement;
  if (now === document.body) return [-1, true];
  const label = now.classList.contains("visually-hidden") ? now.labels[0] : now;
  return [all().indexOf(now), getComputedStyle(label).outlineStyle !== "none"];
}"""
# Of radio buttons one a group is reached by Tab, the others by arrows
REACHABLE = """() => all().map((each, index) => [each, index]).filter(([each]) =>
  each.matches("a[href], button, input:not([type=radio]), select, textarea, summary, [tabindex='0']") &&
  !each.disabled && each.checkVisibility({visibilityProperty: true})).map(([, index]) => index)"""


def picture() -> str:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((8, 8)).convert("RGBA").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


MOMENT: dict[str, Any] = {"layer": "2_visual", "time": 2.0, "score": 0.9, "face": 1, "box": [10, 10, 90, 90]}
MAPPED = MOMENT | {"crop": picture(), "cam": {"values": [[1.0]], "low": 0.0, "high": 1.0, "png": picture()}}
EXPLANATION: dict[str, Any] = {
    "moments": [
        MAPPED,
        MOMENT | {"crop": 'x" onerror=alert(1)', "cam": None},
    ],
    "spectrogram": {
        "seconds_start": 0.0,
        "seconds_end": 6.0,
        "png": picture(),
        "spans": [{"start": 1.0, "end": 2.0, "score": 0.8}],
        "threshold": 0.7,
    },
    "mouths": [{"face": 1, "times": [1.0, 1.04], "png": picture(), "windows": None}],
    "speakers": {
        "faces": [
            {"face": 1, "speaks": [{"start": 1.0, "end": 2.5, "score": 0.9}], "windows": []},
            {"face": 2, "speaks": [], "windows": []},
        ],
        "heard_face": [{"start": 1.0, "end": 2.0, "face": 1, "reason": None}],
        "reason": None,
    },
    "generative_signature_words": "moderate",
}
