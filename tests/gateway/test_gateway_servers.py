"""Servers that are away, or that lack a model: what the gateway says of itself, and what becomes of requests."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_server import NOWHERE, gateway, settings_in
from server_models import OPEN, make_repository

from veracity.server import Server
from veracity_gateway.jobs import runner

SECONDS = 60.0
FILE = {"video": ("clip.mp4", b"a film")}
DETECTORS = ("deepfake_detector", "deepfake_detector_stream")


def problem(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["type"].removeprefix("urn:veracity:error:")


def ended(url: str, job: str) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while (found := httpx.get(f"{url}/jobs/{job}").json())["state"] not in ("COMPLETE", "ERROR"):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return dict(found)


def test_without_a_server_nothing_is_ready(tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path)) as url:
        answer = httpx.get(f"{url}/health/ready", timeout=SECONDS)
        assert problem(answer) == (503, "ModelUnavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert NOWHERE not in answer.text
        assert httpx.get(f"{url}/health/live").status_code == 200
        found = httpx.get(f"{url}/health", timeout=SECONDS)
        assert (found.status_code, found.json()["ready"], found.json()["database"]) == (503, False, True)


@pytest.mark.triton
def test_a_server_that_lacks_a_model_is_not_ready(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models")
    for models, status in ((("double", *DETECTORS), 200), (("double", "broken", *DETECTORS), 503)):
        with Server(repository, models=models, access=OPEN) as server:
            settings = settings_in(tmp_path / f"gateway{status}", urls=(server.grpc_url,))
            with gateway(settings) as url:
                assert httpx.get(f"{url}/health/ready", timeout=SECONDS).status_code == status


def test_a_verdict_at_once_without_a_server(tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path)) as url:
        answer = httpx.post(f"{url}/predict", files=FILE, timeout=SECONDS)
        assert problem(answer) == (502, "ServerUnavailable")
        assert answer.json()["detail"] == "no Veracity server answers"
        assert NOWHERE not in f"{answer.text} {answer.headers}"
        assert list((tmp_path / "incoming").iterdir()) == []


def test_a_job_waits_for_servers_as_long_as_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FIRST_PAUSE", 0.05)
    retry_seconds = 2.0
    with gateway(settings_in(tmp_path, retry_seconds=retry_seconds)) as url:
        job = httpx.post(f"{url}/analyze-video", files=FILE).json()["job_id"]
        found = ended(url, job)
        assert (found["state"], found["error"]["type"]) == ("ERROR", "urn:veracity:error:ServerUnavailable")
        assert found["error"]["status"] == 502
        began, end = (datetime.fromisoformat(found[name].rstrip("Z")) for name in ("created", "finished"))
        assert (end - began).total_seconds() > retry_seconds
        assert found["attempts"] > 1
        said = httpx.get(f"{url}/jobs/{job}").text + httpx.get(f"{url}/jobs/{job}/events").text
        assert said.count("event: end") == 1
        assert NOWHERE not in said
