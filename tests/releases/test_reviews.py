"""From what analysts say in the gateway to the release that answers: review, export, calibrate, gate, promote."""

import io
import json
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import gateway_server
import httpx
import numpy as np
import pytest

from veracity.cli import main
from veracity.decision.calibration import FILE, Calibration
from veracity.releases.store import Store
from veracity.server import Server

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(900)]

EACH = 32
SECONDS = 120.0


def picture(fake: bool, number: int) -> bytes:
    """Dark ones are real, bright ones fake, as the tiny models have it; none is like another."""
    rng = np.random.default_rng(number + 1000 * fake)
    middle = 190 if fake else 50
    pixels = np.clip(rng.normal(middle, 12, (240 + number % 7, 240, 3)), 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".png", pixels)[1])


@pytest.fixture
def repository(full_repository: Path, tmp_path: Path) -> Path:
    """Tiny models whose weights have a name, so that a calibration can hold for them."""
    target = Path(shutil.copytree(full_repository, tmp_path / "repository"))
    for name in ("visual_starter", "lipsync_starter", "semantic_starter", "semantic_texture_starter"):
        (target / name / "provenance.json").write_text(json.dumps({"checkpoint_sha256": name}))
    return target


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[httpx.Client]:
    settings = gateway_server.settings_in(tmp_path / "gateway", urls=(server.grpc_url,), jobs_at_once=4)
    with gateway_server.gateway(settings) as url, httpx.Client(base_url=url, timeout=SECONDS) as made:
        yield made


def reviewed(client: httpx.Client) -> None:
    jobs = {}
    for fake in (False, True):
        for number in range(EACH):
            files = {"video": (f"{fake}-{number}.png", picture(fake, number))}
            found = client.post("/analyze-video", files=files, data={"keep_media": "true", "layers": "semantic"})
            assert found.status_code == 202, found.text
            jobs[found.json()["job_id"]] = "fake" if fake else "real"
    for job, truth in jobs.items():
        until = time.monotonic() + SECONDS
        while (state := client.get(f"/jobs/{job}").json())["state"] != "COMPLETE":
            assert time.monotonic() < until, state
            time.sleep(0.1)
        said = {"inconclusive": "disagree", truth: "agree"}.get(state["label"], "disagree")
        assert client.post(f"/jobs/{job}/reviews", json={"opinion": said, "truth": truth}).status_code == 201


def test_reviews_become_a_release(
    client: httpx.Client, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    reviewed(client)
    assert len(client.get("/results.jsonl").text.splitlines()) == 2 * EACH
    export = zipfile.ZipFile(io.BytesIO(client.get("/reviews/export.zip").content))
    export.extractall(tmp_path / "reviewed")
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(repository))
    new = tmp_path / "new.toml"
    assert main(["calibrate", str(tmp_path / "reviewed" / "manifest.csv"), "--out", str(new)]) == 0
    still = Calibration.read(new).profiles["starter"]["still"]
    assert (still.reals, still.fakes) == (EACH, EACH)

    plain = tmp_path / "plain.toml"
    plain.write_text("\n".join(line for line in FILE.read_text().splitlines() if not line.startswith("checkpoint")))
    store = Store(tmp_path / "releases")

    def release(*arguments: str) -> int:
        return main(["release", *arguments, "--folder", str(store.folder)])

    assert release("stage", "before", "--calibration", str(plain)) == 0
    assert release("promote") == 0
    assert release("stage", "reviewed-1", "--calibration", str(new)) == 0
    apart = tmp_path / "apart"
    for fake, label in ((False, "real"), (True, "fake")):
        for number in range(EACH):
            path = apart / label / f"source {number % 10}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(fake, 100 + number))
    assert release("gate", str(apart)) == 0
    assert release("promote") == 0
    assert store.state().current == "reviewed-1"
    events = [json.loads(line)["event"] for line in (store.folder / "audit.jsonl").read_text().splitlines()]
    assert events == ["staged", "promoted", "staged", "gate", "promoted"]
