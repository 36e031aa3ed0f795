"""Uploads that are interrupted and go on, by the protocol's own client and by requests as bad clients make them."""

import base64
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from gateway_server import gateway, settings_in
from tusclient.client import TusClient

from veracity_gateway.errors import NotFound
from veracity_gateway.gateway import Gateway

FILE = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(FILE).hexdigest()
TUS = {"Tus-Resumable": "1.0.0"}
PART = TUS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with gateway(settings_in(tmp_path)) as served:
        yield served


def metadata(**said: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in said.items())


def begun(url: str, size: int = len(FILE), **said: str) -> str:
    headers = TUS | {"Upload-Length": str(size), "Upload-Metadata": metadata(**said)}
    answer = httpx.post(f"{url}/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return url + answer.headers["Location"]


def patched(upload: str, offset: int, content: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.patch(upload, headers=PART | {"Upload-Offset": str(offset)} | named, content=content)


def offset(upload: str) -> int:
    answer = httpx.head(upload, headers=TUS)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"])


def job_of(upload: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(upload.replace("/uploads/", "/jobs/")).json()
    return found


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def test_the_protocols_client_goes_on_after_a_cut(url: str, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(FILE)
    said = {"filename": "bär.mp4", "policy": "exhaustive", "layers": "audio,visual", "keep_media": "true"}
    client = TusClient(f"{url}/uploads")
    with clip.open("rb") as file:
        first = client.uploader(file_stream=file, chunk_size=300_000, metadata=said, upload_checksum=True)
        first.upload(stop_at=500_000)
        upload = str(first.url)
    _cut_in_the_middle(upload, first.offset)
    assert job_of(upload)["state"] == "UPLOADING"
    with clip.open("rb") as file:
        second = client.uploader(file_stream=file, chunk_size=300_000, url=upload)
        assert first.offset < second.offset < len(FILE)  # what came before the cut is there
        second.upload()
    shown = job_of(upload)
    assert shown["state"] in ("QUEUED", "PROCESSING")
    assert (shown["name"], shown["bytes"], shown["sha256"]) == ("bär.mp4", len(FILE), SHA256)
    assert (shown["options"]["policy"], shown["options"]["layers"]) == ("exhaustive", ["audio", "visual"])
    assert httpx.get(upload.replace("/uploads/", "/jobs/") + "/media").content == FILE
    assert not list((tmp_path / "incoming").glob("*"))
    assert offset(upload) == len(FILE)  # a client that did not see the last answer learns that it is done


def _cut_in_the_middle(upload: str, at: int) -> None:
    """Send a part of the rest and leave."""
    where = urlsplit(upload)
    assert where.hostname
    assert where.port
    rest = len(FILE) - at
    head = f"PATCH {where.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {rest}\r\nUpload-Offset: {at}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in PART.items()) + "\r\n"
    with socket.create_connection((where.hostname, where.port)) as connection:
        connection.sendall(head.encode() + FILE[at : at + 100_000])
        time.sleep(1)  # what uvicorn was not asked for before the end it throws away
    until = time.monotonic() + 60
    while offset(upload) <= at:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_uploads_go_on_after_a_restart(tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path)) as url:
        upload = begun(url)
        assert patched(upload, 0, FILE[:1000]).headers["Upload-Offset"] == "1000"
    with gateway(settings_in(tmp_path)) as url:
        upload = url + urlsplit(upload).path
        assert offset(upload) == 1000
        assert patched(upload, 1000, FILE[1000:]).status_code == 204
        assert job_of(upload)["sha256"] == SHA256


def test_says_what_it_can(url: str) -> None:
    answer = httpx.options(f"{url}/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert "checksum" in answer.headers["Tus-Extension"]
    assert int(answer.headers["Tus-Max-Size"]) == 200 << 20


def test_the_first_part_may_come_with_the_creation(url: str) -> None:
    headers = PART | {"Upload-Length": str(len(FILE))}
    answer = httpx.post(f"{url}/uploads", headers=headers, content=FILE)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, str(len(FILE)))
    assert job_of(url + answer.headers["Location"])["sha256"] == SHA256


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_part_with_another_checksum_is_not_kept(algorithm: str, url: str) -> None:
    upload = begun(url)
    right = base64.b64encode(hashlib.new(algorithm, FILE[:1000]).digest()).decode()
    answer = patched(upload, 0, FILE[1:1001], Upload_Checksum=f"{algorithm} {right}")
    assert problem(answer) == (460, "ChecksumMismatch")
    assert offset(upload) == 0
    assert patched(upload, 0, FILE[:1000], Upload_Checksum=f"{algorithm} {right}").status_code == 204
    assert problem(patched(upload, 1000, b"x", Upload_Checksum="crc32 AAAA")) == (400, "BadRequest")


def test_requests_that_are_wrong(url: str, tmp_path: Path) -> None:
    upload = begun(url)
    assert problem(httpx.post(f"{url}/uploads", headers={"Upload-Length": "5"})) == (412, "WrongVersion")
    assert problem(patched(upload, 7, b"x")) == (409, "Conflict")
    assert problem(patched(upload, 0, FILE + b"x")) == (413, "TooLarge")
    assert problem(httpx.patch(upload, headers=TUS | {"Upload-Offset": "0"}, content=b"x")) == (415, "UnsupportedType")
    for size, status in ((0, 400), (10 << 30, 413), (-1, 400)):
        answer = httpx.post(f"{url}/uploads", headers=TUS | {"Upload-Length": str(size)})
        assert answer.status_code == status
    for said in ("filename !!!", "policy " + base64.b64encode(b"guess").decode(), "filename YQ==,filename YQ=="):
        answer = httpx.post(f"{url}/uploads", headers=TUS | {"Upload-Length": "5", "Upload-Metadata": said})
        assert answer.status_code == 400
    assert httpx.post(f"{url}/uploads", headers=TUS).status_code == 400
    assert httpx.head(f"{url}/uploads/{'0' * 32}", headers=TUS).status_code == 404
    assert len(httpx.get(f"{url}/jobs").json()["jobs"]) == 1
    assert len(list((tmp_path / "incoming").glob("*"))) == 1


def test_an_upload_that_is_deleted_leaves_nothing(url: str, tmp_path: Path) -> None:
    for path in ("uploads", "jobs"):
        upload = begun(url)
        patched(upload, 0, FILE[:1000])
        assert httpx.delete(upload.replace("uploads", path), headers=TUS).status_code == 204
        assert httpx.head(upload, headers=TUS).status_code == 404
        assert not list((tmp_path / "incoming").glob("*"))
    done = begun(url)
    patched(done, 0, FILE)
    assert problem(httpx.delete(done, headers=TUS)) == (409, "Conflict")
    assert problem(patched(done, len(FILE), b"x")) == (409, "Conflict")


def test_an_upload_that_does_not_end_expires(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, unfinished_hours=1 / 3600)
    with gateway(settings) as url:
        upload = begun(url)
        patched(upload, 0, FILE[:1000])
        assert httpx.head(upload, headers=TUS).headers["Upload-Expires"].endswith("GMT")
    time.sleep(1)
    found = Gateway(settings)
    found.retention.sweep_old()
    found.database.close()
    with gateway(settings) as url:
        assert httpx.head(url + urlsplit(upload).path, headers=TUS).status_code == 404
    assert not list((tmp_path / "incoming").glob("*"))


def test_a_job_whose_file_comes_from_an_address_is_no_upload(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, gateway(settings_in(tmp_path, fetch_private=True)) as url:
        asked = {"video_url": f"http://127.0.0.1:{silent.getsockname()[1]}/a.mp4"}
        job = httpx.post(f"{url}/analyze-video", json=asked).json()["job_id"]
        assert problem(patched(f"{url}/uploads/{job}", 0, FILE)) == (404, "NotFound")


def test_one_request_at_a_time_writes(url: str) -> None:
    upload = begun(url)
    wait = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield FILE[:1000]
        wait.wait(10)
        yield FILE[1000:]

    def send() -> None:
        httpx.patch(upload, headers=PART | {"Upload-Offset": "0"}, content=slowly())

    first = threading.Thread(target=send)
    first.start()
    time.sleep(1)
    assert problem(patched(upload, 0, FILE)) == (423, "UploadBusy")
    wait.set()
    first.join()
    assert job_of(upload)["sha256"] == SHA256


def test_nobody_else_touches_an_upload(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with gateway(settings) as url:
        upload = begun(url).rpartition("/")[2]
    found = Gateway(settings)
    assert found.uploads.find(upload, "local")
    with pytest.raises(NotFound):
        found.uploads.find(upload, "other")
    found.database.close()


def test_a_path_says_all_its_methods(url: str) -> None:
    answer = httpx.put(f"{url}/uploads/{'0' * 32}", headers=TUS)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "DELETE, HEAD, PATCH")
