"""Every query of the dashboard and every rule, asked of a real Prometheus that reads a real server and gateway."""

import json
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from gateway_server import gateway, settings_in
from prometheus import prometheus, query
from server_models import eventually

from veracity.server import Server
from veracity.settings import CHECKOUT
from veracity_client import Detector, Options
from veracity_client.errors import BadVideo

pytestmark = [pytest.mark.triton, pytest.mark.slow]

INTERVAL = "$__rate_interval"
EMPTY = "Empty in a healthy run: "
SCRAPE_SECONDS = 1.0
PANELS = [panel for panel in json.loads((CHECKOUT / "deploy/grafana/veracity.json").read_text())["panels"]
          if panel["type"] != "row"]  # fmt: skip


@pytest.fixture(scope="module")
def fed(server: Server, talking: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that saw videos go through the server and the gateway, and a file that is none."""
    folder = tmp_path_factory.mktemp("prometheus")
    with gateway(settings_in(folder / "gateway", urls=(server.grpc_url,))) as page:
        targets = {
            "veracity-detector": urlsplit(server.metrics_url).netloc,
            "veracity-supervisor": urlsplit(server.health_url).netloc,
            "veracity-gateway": urlsplit(page).netloc,
        }
        with prometheus(folder, targets, SCRAPE_SECONDS) as url:
            eventually(lambda: len(query(url, "up == 1")) == len(targets))
            time.sleep(2 * SCRAPE_SECONDS)  # what comes now is an increase of what was seen before
            work(server, page, talking)
            yield url


def work(server: Server, page: str, video: Path) -> None:
    """Have videos analysed, over the wire and as a job, one of them without all layers, and a file that is no video."""
    with Detector(server.grpc_url) as detector:
        for layers in (Options().layers, ("audio",)) * 2:  # a series that begins at 1 increases with its second sample
            detector.analyze(video, Options(policy="exhaustive", layers=layers))
            time.sleep(2 * SCRAPE_SECONDS)
        with pytest.raises(BadVideo):
            detector.analyze(b"no video")
    with httpx.Client(base_url=page) as client:
        for sent in (video.read_bytes(), b"no video" * 1000):
            made = client.post("/analyze-video", files={"video": ("clip.mp4", sent)}, data={"policy": "exhaustive"})
            job = made.json()["job_id"]
            eventually(partial(has_ended, client, job))


def has_ended(client: httpx.Client, job: str) -> bool:
    return client.get(f"/jobs/{job}").json()["state"] in ("COMPLETE", "ERROR")


def test_every_panel_has_data_or_says_why_not(fed: str) -> None:
    def without_data() -> list[str]:
        return [
            f"{panel['title']} {target['refId']}"
            for panel in PANELS
            for target in panel["targets"]
            if not query(fed, target["expr"].replace(INTERVAL, "5m")) and EMPTY not in panel.get("description", "")
        ]

    missing = without_data()
    until = time.monotonic() + 30 * SCRAPE_SECONDS
    while missing and time.monotonic() < until:
        time.sleep(SCRAPE_SECONDS)
        missing = without_data()
    assert missing == []


def test_what_is_said_to_be_empty_is(fed: str) -> None:
    said = [panel for panel in PANELS if EMPTY in panel.get("description", "")]
    assert said
    found = {
        panel["title"]: query(fed, target["expr"].replace(INTERVAL, "5m"))
        for panel in said
        for target in panel["targets"]
    }
    assert {title: data for title, data in found.items() if data and "GPU" not in title} == {}


def test_prometheus_evaluates_every_rule(fed: str) -> None:
    def unhealthy() -> list[str]:
        with urllib.request.urlopen(f"{fed}/api/v1/rules", timeout=30) as answer:
            groups = json.load(answer)["data"]["groups"]
        return [
            f"{rule['name']}: {rule.get('lastError')}"
            for group in groups
            for rule in group["rules"]
            if rule["health"] != "ok"
        ]

    eventually(lambda: unhealthy() == [])
    assert query(fed, 'ALERTS{alertstate="firing"}') == []

    def failed() -> dict[str, float]:
        found = query(fed, "veracity:failed:ratio_rate5m")
        return {each["metric"]["component"]: float(each["value"][1]) for each in found}

    eventually(lambda: failed() == {"detector": 0.0, "gateway": 0.0})  # nan until two samples of a component differ
