"""A disk that takes no more: each way in says so, and leaves nothing on it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_server import gateway, settings_in
from url_servers import site

FILE = bytes(2_000_000)  # twice of what the disk takes
FITS = bytes(300_000)
TUS = {"Tus-Resumable": "1.0.0"}
PART = TUS | {"Content-Type": "application/offset+octet-stream"}
FULL = (507, "urn:veracity:error:StorageFull")


@pytest.fixture(params=["incoming", "media"])
def client(request: pytest.FixtureRequest, small_disk: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    """A gateway that has its incoming files, or those that it keeps, on that disk."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / request.param).symlink_to(small_disk)
    settings = settings_in(tmp_path / "data", fetch_private=True)
    with gateway(settings) as url, httpx.Client(base_url=url, timeout=60) as made:
        yield made


def said(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"]


def jobs(client: httpx.Client) -> list[Any]:
    found: list[Any] = client.get("/jobs").json()["jobs"]
    return found


def test_a_file(client: httpx.Client, small_disk: Path, tmp_path: Path) -> None:
    assert said(client.post("/analyze-video", files={"video": ("a.mp4", FILE)})) == FULL
    assert jobs(client) == []
    assert list(small_disk.iterdir()) == []
    assert list((tmp_path / "data" / "incoming").iterdir()) == []


def test_a_resumable_upload(client: httpx.Client, small_disk: Path, tmp_path: Path) -> None:
    created = client.post("/uploads", headers=TUS | {"Upload-Length": str(len(FITS) + len(FILE))})
    upload = created.headers["location"]
    assert client.patch(upload, headers=PART | {"Upload-Offset": "0"}, content=FITS).status_code == 204
    answer = client.patch(upload, headers=PART | {"Upload-Offset": str(len(FITS))}, content=FILE)
    assert said(answer) == FULL
    assert answer.headers["tus-resumable"] == "1.0.0"
    if any(small_disk.iterdir()):  # what was there before still is, so that the upload may go on once there is room
        assert client.head(upload, headers=TUS).headers["upload-offset"] == str(len(FITS))
        assert sum(path.stat().st_size for path in small_disk.iterdir()) == len(FITS)
    assert client.delete(upload, headers=TUS).status_code == 204
    assert list(small_disk.iterdir()) == []
    assert list((tmp_path / "data" / "incoming").iterdir()) == []


def test_an_address(client: httpx.Client, small_disk: Path, tmp_path: Path) -> None:
    with site() as remote:
        remote.film = b"\x00\x00\x00\x20ftypisom" + FILE
        asked = {"video_url": remote.at("/a.mp4")}
        job = client.post("/analyze-video", json=asked).json()["job_id"]
        deadline = time.monotonic() + 60
        while (found := client.get(f"/jobs/{job}").json())["state"] != "ERROR":
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        assert (found["error"]["status"], found["error"]["type"]) == FULL
        assert list(small_disk.iterdir()) == []
        assert list((tmp_path / "data" / "incoming").iterdir()) == []
