"""The page in a real browser: the ways a file comes in, what may be chosen, what is shown of it, and what is saved."""

import hashlib
import io
import json
import re
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import gateway_server
import httpx
import media_samples
import pypdf
import pytest
from browsers import accessible
from credential_samples import action, sign, signer
from pages import SECONDS, SHOWN_SECONDS, choose, drop, finished, loaded, result, verdict_shown
from PIL import Image
from playwright.sync_api import Page, expect

from veracity.server import Server
from veracity_client import Verdict
from veracity_gateway.report.document import Report

pytestmark = [pytest.mark.triton, pytest.mark.slow]

LOUD_FROM_A_SECOND_ON = ("-f", "lavfi", "-i", "aevalsrc=0.8*gt(t\\,1)*sin(880*PI*t):d=2:s=16000")
# How high the drawing is in each column of the waveform
HEIGHTS = """canvas => {
  const {width, height, data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return Array.from({length: width}, (_, x) =>
    Array.from({length: height}, (_, y) => data[4 * (y * width + x) + 3]).filter(Boolean).length);
}"""


@pytest.fixture(scope="module")
def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = gateway_server.settings_in(tmp_path_factory.mktemp("site"), urls=(server.grpc_url,), fetch_private=True)
    with gateway_server.gateway(settings) as url:
        yield url


@pytest.fixture(scope="module")
def kept(site: str, talking: Path) -> str:
    return finished(site, talking.read_bytes(), "kept.mp4", keep_media="true", policy="exhaustive")


@pytest.fixture
def elsewhere(talking: Path) -> Iterator[str]:
    """The address of a clip on another server."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(talking.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield f"http://127.0.0.1:{serving.server_port}/{talking.name}"
        serving.shutdown()


def test_an_address_becomes_a_verdict(page: Page, site: str, elsewhere: str, talking: Path) -> None:
    page.goto(site)
    address = page.get_by_label("Or the address of a file")
    address.fill("no address")
    address.press("Enter")
    assert address.evaluate("field => !field.validity.valid")  # the browser says so, and nothing is sent
    address.fill(elsewhere)
    address.press("Enter")
    job = verdict_shown(page, SECONDS)
    expect(page.get_by_role("heading", level=1)).to_have_text("talking.mp4")
    assert "Fetching the file: done" in page.evaluate("announced")
    assert httpx.get(f"{site}/jobs/{job}").json()["sha256"] == hashlib.sha256(talking.read_bytes()).hexdigest()


def test_an_address_that_is_not_public_is_refused_in_plain_words(page: Page, tmp_path: Path) -> None:
    with gateway_server.gateway(gateway_server.settings_in(tmp_path)) as url:
        page.goto(url)
        page.get_by_label("Or the address of a file").fill("http://169.254.169.254/latest")
        page.get_by_role("button", name="Analyse the address").click()
        expect(page.get_by_role("alert")).to_contain_text("This address cannot be fetched")
        expect(page.get_by_role("alert")).to_contain_text("It has to be public")
        assert httpx.get(f"{url}/jobs").json()["jobs"] == []
        page.context.close()  # before the gateway ends: its connections would be open still


def test_a_file_is_dropped(page: Page, site: str, talking: Path) -> None:
    page.goto(site)
    expect(page.get_by_text("Drop a video")).to_be_visible()
    drop(page, talking)
    verdict_shown(page, SECONDS)
    expect(page.get_by_role("heading", level=1)).to_have_text(talking.name)
    loaded(page)


def test_what_is_chosen_is_what_is_asked(page: Page, site: str, talking: Path) -> None:
    page.goto(site)
    options = page.locator(".options")
    options.locator("summary").click()
    for chosen in ("Look at everything", "Strict, 1 % wrong words", "Keep the file"):
        page.get_by_label(chosen).check()
    for left in ("Lips", "Whole picture", "Show what the models saw"):
        page.get_by_label(left).uncheck()
    expect(options.locator("summary")).to_contain_text(
        "Look at everything · Strict, 1 % wrong words · the file is kept"
    )
    page.locator("#file").set_input_files(talking)
    job = httpx.get(f"{site}/jobs/{verdict_shown(page, SECONDS)}").json()
    verdict = job["verdict"]
    assert (verdict["policy"], verdict["operating_point"]) == ("exhaustive", "strict")
    assert verdict["layers_executed"] == [1, 2]
    assert [verdict["layer_results"][key]["status"] for key in ("3_lipsync", "4_semantic")] == ["skipped", "skipped"]
    assert "explanation" not in verdict
    assert job["media"] is True


def test_one_look_at_least_stays_chosen(page: Page, site: str) -> None:
    page.goto(site)
    page.locator(".options summary").click()
    for left in ("Voice", "Faces", "Lips"):
        page.get_by_label(left).uncheck()
    last = page.get_by_label("Whole picture")
    last.click()
    expect(last).to_be_checked()


def test_the_waveform_is_as_high_as_the_sound_is_loud(page: Page, site: str, tmp_path: Path) -> None:
    clip = media_samples.write(
        tmp_path / "half.mp4", *media_samples.picture(), *LOUD_FROM_A_SECOND_ON, *media_samples.H264
    )
    choose(page, site, clip)
    verdict_shown(page, SECONDS)
    wave = page.locator("canvas.wave")
    expect(wave).to_be_visible()
    heights = wave.evaluate(HEIGHTS)
    assert max(heights[:480]) <= 2  # silence is a line
    assert min(heights[520:]) > 8


def test_without_sound_there_is_no_waveform(page: Page, site: str, tmp_path: Path) -> None:
    choose(page, site, media_samples.write(tmp_path / "mute.mp4", *media_samples.picture(), *media_samples.H264))
    verdict_shown(page, SECONDS)
    loaded(page)
    page.wait_for_load_state("networkidle")
    expect(page.locator("canvas.wave")).to_be_hidden()


def test_what_the_file_says_of_itself_is_shown(page: Page, site: str, tmp_path: Path) -> None:
    Image.effect_noise((400, 300), 50).convert("RGB").save(tmp_path / "plain.jpg")
    said = [action("c2pa.created", "trainedAlgorithmicMedia", softwareAgent={"name": "Some Model", "version": "3"})]
    signed = sign(tmp_path / "plain.jpg", tmp_path / "signed.jpg", signer("<b>Example News</b>"), said)
    choose(page, site, signed)
    verdict_shown(page, SECONDS)
    card = page.locator("section.card").filter(has=page.get_by_role("heading", name="What the file says of itself"))
    expect(card).to_contain_text("Content credentials of an unknown signer")
    expect(card).to_contain_text("Anyone can sign in any name")
    expect(card).to_contain_text("trainedAlgorithmicMedia")
    for summary in ("The credentials", "Metadata in the file"):
        card.get_by_text(summary, exact=True).click()
    expect(card.locator("dd", has_text="<b>Example News</b>, Example Signer")).to_be_visible()
    expect(card).to_contain_text("made by a generative model · Some Model 3")
    expect(card.locator("div", has=page.locator("dt", has_text="Container"))).to_be_visible()
    accessible(page)


@pytest.mark.parametrize("kind", ["json", "html", "pdf"])
def test_the_report_is_saved(page: Page, site: str, kept: str, kind: str) -> None:
    result(page, site, kept)
    with page.expect_download() as found:
        page.get_by_role("link", name=kind.upper(), exact=True).click()
    assert found.value.suggested_filename == f"veracity-{kept[:8]}.{kind}"
    content = Path(found.value.path()).read_bytes()
    assert content == httpx.get(f"{site}/jobs/{kept}/report.{kind}", timeout=SECONDS).content
    if kind == "json":
        shown = httpx.get(f"{site}/jobs/{kept}").json()["verdict"]
        assert Report.from_json(content).evidence.verdict == Verdict.from_json(json.dumps(shown))
    elif kind == "html":
        assert content.startswith(b"<!doctype html>")
    else:
        assert "Report on a media file" in pypdf.PdfReader(io.BytesIO(content)).pages[0].extract_text()


def test_a_job_under_way_is_accessible_and_its_analysis_stops(page: Page, doubles: Server, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    with gateway_server.gateway(gateway_server.settings_in(tmp_path / "data", urls=(doubles.grpc_url,))) as url:
        clip = {"name": "clip.mp4", "mimeType": "video/mp4", "buffer": f"watch {stopped}".encode()}
        choose(page, url, clip)
        expect(page.locator(".stages li.running")).to_contain_text("Voice")
        expect(page.locator(".progress-state")).to_contain_text("Being analysed for")
        expect(page.locator(".job-head p")).not_to_contain_text(re.compile("Waiting|analysed"))  # it would stay there
        accessible(page)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Drop a video")).to_be_visible()
        deadline = time.monotonic() + SHOWN_SECONDS
        while not stopped.exists():
            assert time.monotonic() < deadline, "the server was not told"
            time.sleep(0.05)
        page.context.close()  # before the gateway ends: its connections would be open still


def test_a_failed_job_is_accessible(page: Page, doubles: Server, tmp_path: Path) -> None:
    with gateway_server.gateway(gateway_server.settings_in(tmp_path, urls=(doubles.grpc_url,))) as url:
        buffer = b"error TooLong: the clip is 7200 s long, at most 600 s are analysed"
        choose(page, url, {"name": "clip.mp4", "mimeType": "video/mp4", "buffer": buffer})
        problem = page.get_by_role("alert")
        expect(problem).to_contain_text("The clip is too long")
        expect(problem).to_contain_text("at most 600 s are analysed")
        accessible(page)
        page.context.close()  # before the gateway ends: its connections would be open still


def test_the_magnifier_is_accessible(page: Page, site: str, kept: str) -> None:
    result(page, site, kept)
    page.locator(".frame").first.click()
    expect(page.locator(".magnifier")).to_be_focused()
    page.keyboard.press("+")
    accessible(page)
